package server_test

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/servertest"
)

// shipped is a line of a sink.
type shipped struct {
	Leaf       int64
	Event      struct{ ID, Action, Actor string }
	Checkpoint string
}

func readShipped(t testing.TB, path string) (lines []shipped) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	r := bufio.NewScanner(f)
	for r.Scan() {
		l := shipped{Leaf: -1}
		if err := json.Unmarshal(r.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", r.Text(), err)
		}
		lines = append(lines, l)
	}
	return lines
}

// A file gets every event, with the bytes of its leaf and nothing of what can be
// erased, and at the end the checkpoint over all, also over the server's last one.
func TestShipping(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		s := servertest.Start(t, servertest.Options{DSN: dsn, Set: map[string]string{"audit.sinks": "file:" + path}})
		s.Login(t, servertest.Admin)
		s.Form(t, "/auth/login", "username", servertest.Admin, "password", "wrong")
		deadline := time.Now().Add(10 * time.Second)
		for {
			seen := map[string]bool{}
			last := shipped{}
			for _, l := range readShipped(t, path) {
				seen[l.Event.Action] = true
				last = l
			}
			if seen["login.succeeded"] && seen["login.failed"] && last.Checkpoint != "" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("after ten seconds the sink has %v", seen)
			}
			time.Sleep(50 * time.Millisecond)
		}
		for { // what is told of it is written once it was sent
			list, err := s.Core.Shipping(t.Context())
			if err == nil && len(list) == 1 && list[0].Place == "file:"+path && !list[0].Away && list[0].Checkpoint > 0 && time.Since(list[0].SentAt) < time.Minute {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%+v, %v", list, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		s.Stop()
		lines := readShipped(t, path)
		next := int64(0)
		for _, l := range lines {
			if l.Checkpoint == "" && l.Leaf != next {
				t.Fatalf("leaf %d comes where %d should", l.Leaf, next)
			}
			if l.Checkpoint == "" {
				next++
			}
		}
		end, before := lines[len(lines)-1], lines[len(lines)-2]
		c, err := audit.ReadCheckpoint([]byte(end.Checkpoint))
		if err != nil || c.Size != next || before.Event.Action != "server.stopped" {
			t.Errorf("the end is %+v, %+v: %v", before, end, err)
		}
		text, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(text), `"address"`) || strings.Contains(string(text), "admin@example.com") || strings.Contains(string(text), "Go-http-client") {
			t.Errorf("what can be erased was sent: %s, %v", text, err)
		}
	})
}

// A sink that hangs or refuses all holds up nobody: people sign in, roles are
// given, and the server ends in time.
func TestAttackAUD005SinksHoldUpNobody(t *testing.T) {
	hole, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	s := servertest.Start(t, servertest.Options{Set: map[string]string{
		"audit.sinks": "webhook:http://" + hole.Addr().String() + "/,webhook:http://127.0.0.1:1/,file:/dev/full,syslog:tcp://127.0.0.1:1",
	}, Environ: []string{"DOORWARD_AUDIT_WEBHOOK_SECRET=0123456789abcdef01234567"}})
	ann := s.User(t, "ann")
	until := time.Now().Add(3 * time.Second)
	slowest := time.Duration(0)
	for time.Now().Before(until) {
		began := time.Now()
		root := s.Login(t, servertest.Admin).Access
		for _, method := range []string{"POST", "DELETE"} {
			path, body := "/users/"+ann.ID+"/roles", any(map[string]any{"role": "viewer"})
			if method == "DELETE" {
				path, body = path+"/viewer", nil
			}
			if a := s.Call(t, root, method, path, body); a.Status != http.StatusCreated && a.Status != http.StatusNoContent {
				t.Fatalf("%s: %d %s", method, a.Status, a.Body)
			}
		}
		slowest = max(slowest, time.Since(began))
	}
	if slowest > 2*time.Second {
		t.Errorf("a sign-in and two changes took %v", slowest)
	}
	began := time.Now()
	s.Stop()
	if d := time.Since(began); d > 12*time.Second {
		t.Errorf("the server took %v to end", d)
	}
}
