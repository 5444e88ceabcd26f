package testpg_test

import (
	"bufio"
	"context"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doorward/doorward/internal/testpg"
)

// TestMain lets the test binary be the process that TestKilled kills.
func TestMain(m *testing.M) {
	if os.Getenv("TESTPG_VICTIM") == "" {
		os.Exit(m.Run())
	}
	s, err := testpg.Start(context.Background(), testpg.Options{})
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(s.SocketDSN("postgres") + "\n")
	select {}
}

func ask(t *testing.T, dsn, query string) string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	var answer string
	if err := c.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

func folderOf(t *testing.T, socketDSN string) string {
	t.Helper()
	u, err := url.Parse(socketDSN)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("host")
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return os.IsNotExist(err)
}

func TestServer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options testpg.Options
		sync    string
	}{
		{"quick", testpg.Options{}, "off"},
		{"durable", testpg.Options{Durable: true}, "on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := testpg.Start(t.Context(), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			stopped := false
			defer func() {
				if !stopped {
					_ = s.Stop()
				}
			}()
			for setting, want := range map[string]string{
				"fsync": tt.sync, "synchronous_commit": tt.sync, "full_page_writes": tt.sync, "max_connections": "300",
			} {
				if got := ask(t, s.DSN("postgres"), "SHOW "+setting); got != want {
					t.Errorf("%s = %s, want %s", setting, got, want)
				}
			}
			dsn, err := s.NewDatabase(t.Context(), `odd "name`)
			if err != nil {
				t.Fatal(err)
			}
			if got := ask(t, dsn, "SELECT current_database()"); got != `odd "name` {
				t.Errorf("the new database is %q", got)
			}
			dir := folderOf(t, s.SocketDSN("postgres"))
			if got := ask(t, s.SocketDSN("postgres"), "SELECT current_user"); got != "postgres" {
				t.Errorf("over the socket we are %q", got)
			}
			stopped = true
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			if !gone(dir) {
				t.Errorf("%s is left behind", dir)
			}
		})
	}
}

func TestCrashKeepsWhatWasCommitted(t *testing.T) {
	t.Parallel()
	s, err := testpg.Start(t.Context(), testpg.Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	c, err := pgx.Connect(t.Context(), s.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "CREATE TABLE kept AS SELECT 'here' AS word"); err != nil {
		t.Fatal(err)
	}
	if err := s.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()); err == nil {
		t.Error("the connection outlived the crash")
	}
	if err := s.Revive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, s.DSN("postgres"), "SELECT word FROM kept"); got != "here" {
		t.Errorf("after the crash the table holds %q", got)
	}
	log, err := s.Log()
	if err != nil || !strings.Contains(string(log), "not properly shut down") {
		t.Errorf("the log tells of no crash: %v\n%s", err, log)
	}
}

// Whoever kills a test run must not find servers left over from it.
func TestKilled(t *testing.T) {
	t.Parallel()
	victim := exec.CommandContext(t.Context(), os.Args[0])
	victim.Env = append(os.Environ(), "TESTPG_VICTIM=1")
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dsn := strings.TrimSpace(line)
	ask(t, dsn, "SELECT 'alive'")
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = victim.Wait()
	for end := time.Now().Add(30 * time.Second); !gone(folderOf(t, dsn)); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server or its folder outlived the process that started it")
		}
	}
	if c, err := pgx.Connect(t.Context(), dsn); err == nil {
		c.Close(t.Context())
		t.Error("the server still answers")
	}
}

func TestCancelledStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := testpg.Start(ctx, testpg.Options{}); err == nil {
		t.Errorf("a start that was called off gave a server: %v", s.Stop())
	}
}
