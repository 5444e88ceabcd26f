package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/storm/program"
)

// TestInboxPage looks at dev's inbox as a browser shows it, with the letter that
// a lock leaves there.
func TestInboxPage(t *testing.T) {
	t.Parallel()
	port, err := program.Port()
	if err != nil {
		t.Fatal(err)
	}
	const password = "a password that dev prints" // so it is no canary
	home := fmt.Sprintf("http://localhost:%d", port)
	launch(t, home+"/readyz", program.Command{
		Path: binary, Args: []string{"dev", "--listen", fmt.Sprintf("localhost:%d", port), "--data", "data"},
		Env: program.Environment("DOORWARD_ADMIN_PASSWORD=" + password), Folder: t.TempDir(),
	})
	for n := range 5 {
		body := fetch(t, http.MethodPost, home+"/auth/login", url.Values{"username": {"admin"}, "password": {fmt.Sprint("a wrong one, ", n)}})
		var answer struct{ Error string }
		if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Error == "" {
			t.Fatalf("a wrong password: %s", body)
		}
	}
	letter := ""
	for n := 0; letter == ""; n++ {
		if n == 100 {
			t.Fatal("no letter came")
		}
		time.Sleep(50 * time.Millisecond)
		letter = regexp.MustCompile(`/inbox/[0-9a-v]{26}`).FindString(fetch(t, http.MethodGet, home+"/inbox", nil))
	}
	for _, path := range []string{"/inbox", letter, letter + "/html"} {
		if page := fetch(t, http.MethodGet, home+path, nil); strings.Contains(page, "a wrong one") || strings.Contains(page, password) {
			t.Errorf("%s tells a password:\n%s", path, page)
		}
	}
	for path, has := range map[string]string{
		"/inbox": "Sign-in to your account at localhost", letter: "Hello admin,", letter + "/html": "<td>127.0.0.1</td>",
	} {
		for _, v := range []view{{"light", 1280, 900, false}, {"dark", 1280, 900, true}, {"phone", 390, 844, false}} {
			t.Run(v.name+strings.ReplaceAll(path, letter, "-letter"), func(t *testing.T) {
				picture, dom, console := look(t, v, home+path)
				if len(console) > 0 {
					t.Errorf("the console says:\n%s", strings.Join(console, "\n"))
				}
				if !strings.Contains(dom, has) {
					t.Errorf("the page is:\n%s", dom)
				}
				paper := brightness(picture.At(2, 2))
				if v.dark != (paper < 128) {
					t.Errorf("the paper's brightness is %d", paper)
				}
				if ink := contrast(picture, paper, 0, v.width); ink < 120 {
					t.Errorf("nothing stands out from the paper by more than %d", ink)
				}
				if ink := contrast(picture, paper, v.width-10, v.width); ink > 8 {
					t.Error("the page is wider than the screen")
				}
			})
		}
	}
}

// fetch returns the body of an answer.
func fetch(t *testing.T, method, to string, form url.Values) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, to, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
