package floor

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/store/storetest"
)

func serve(t *testing.T, name, dsn string, families int) string {
	t.Helper()
	h, end, err := handler(t.Context(), name, dsn, families)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.Close()
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return s.URL
}

func send(t *testing.T, method, url, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// A floor that did not do its work would be no floor: each is seen to refuse.

func TestForm(t *testing.T) {
	for _, name := range []string{Form, Sign} {
		url := serve(t, name, "", 0)
		if status, text := send(t, http.MethodPost, url, "refresh_token=x"); status != http.StatusOK || !json.Valid([]byte(text)) {
			t.Errorf("%s: %d %s", name, status, text)
		}
		if status, _ := send(t, http.MethodPost, url, "other=x"); status != http.StatusBadRequest {
			t.Errorf("%s without the parameter: %d", name, status)
		}
	}
}

func TestVerify(t *testing.T) {
	url := serve(t, Verify, "", 0)
	_, token := send(t, http.MethodGet, url+"/token", "")
	_, other := send(t, http.MethodGet, serve(t, Verify, "", 0)+"/token", "")
	for bearer, want := range map[string]int{
		"Bearer " + token: 200, "Bearer " + other: 401, "Bearer " + token[:len(token)-4] + "AAAA": 401, "Bearer a" + token: 401, "Bearer x": 401, token: 401, "": 401,
	} {
		if status, _ := send(t, http.MethodGet, url, "", "Authorization", bearer); status != want {
			t.Errorf("%.20s…: %d, want %d", bearer, status, want)
		}
	}
}

func TestRotate(t *testing.T) {
	dsns := map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "floor.db"), "postgres": storetest.EmptyPostgres(t)}
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			link := serve(t, Rotate, dsn, 2)
			refresh := func(token string) (int, string) {
				status, text := send(t, http.MethodPost, link, url.Values{"refresh_token": {token}}.Encode())
				var answer struct {
					Refresh string `json:"refresh_token"`
				}
				_ = json.Unmarshal([]byte(text), &answer)
				return status, answer.Refresh
			}
			token := First(1)
			for range 3 {
				status, next := refresh(token)
				if status != http.StatusOK || next == token {
					t.Fatalf("%d %q after %q", status, next, token)
				}
				if status, _ := refresh(token); status != http.StatusBadRequest {
					t.Errorf("a spent token: %d", status)
				}
				token = next
			}
			for _, none := range []string{"", "1", "7.first", "x.first", "0.second"} {
				if status, _ := refresh(none); status != http.StatusBadRequest {
					t.Errorf("%q: %d", none, status)
				}
			}
		})
	}
}

// What Note has answered is kept, each event once, in no more rows than there were requests.
func TestNote(t *testing.T) {
	for _, dsn := range []string{"sqlite:" + filepath.Join(t.TempDir(), "floor.db"), storetest.EmptyPostgres(t)} {
		url := serve(t, Note, dsn, 0)
		var asked sync.WaitGroup
		for range 20 {
			asked.Go(func() {
				if status, text := send(t, http.MethodPost, url, "refresh_token=x"); status != http.StatusOK || !json.Valid([]byte(text)) {
					t.Errorf("%d %s", status, text)
				}
			})
		}
		asked.Wait()
		w := storetest.NewWitness(t, dsn)
		if kept, rows := w.Number(t, `SELECT SUM(LENGTH(data)) FROM events`), w.Number(t, `SELECT COUNT(*) FROM events`); kept != int64(20*len(event)) || rows > 20 {
			t.Errorf("%d bytes are kept, of %d, in %d rows", kept, 20*len(event), rows)
		}
	}
}

func TestLoop(t *testing.T) {
	dsns := []string{"sqlite:" + filepath.Join(t.TempDir(), "floor.db"), storetest.EmptyPostgres(t)}
	for _, dsn := range dsns {
		for _, name := range []string{Insert, Turn} {
			rate, err := Loop(t.Context(), name, dsn, 4, 50*time.Millisecond)
			if err != nil || rate <= 0 {
				t.Errorf("%s on %.6s: %f %v", name, dsn, rate, err)
			}
		}
	}
	if rate, err := Loop(t.Context(), Bcrypt, "", 1, time.Millisecond); err != nil || rate <= 0 || rate > 100 {
		t.Errorf("%f %v", rate, err)
	}
	if _, err := Loop(t.Context(), "nap", "", 1, time.Millisecond); err == nil {
		t.Error("an unknown loop ran")
	}
}
