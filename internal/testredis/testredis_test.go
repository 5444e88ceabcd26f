package testredis_test

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/doorward/doorward/internal/testredis"
)

// TestMain lets the test binary be the process that TestKilled kills.
func TestMain(m *testing.M) {
	if os.Getenv("TESTREDIS_VICTIM") == "" {
		os.Exit(m.Run())
	}
	s, err := testredis.Start(context.Background())
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(s.Address + "\n")
	select {}
}

// folder asks a server where it lives.
func folder(t *testing.T, address string) string {
	t.Helper()
	c, err := redis.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pair, err := redis.Strings(c.Do("CONFIG", "GET", "dir"))
	if err != nil || len(pair) != 2 {
		t.Fatalf("%q, %v", pair, err)
	}
	return pair[1]
}

// vanishes holds that nothing is left of a server.
func vanishes(t *testing.T, address, dir string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		_, left := os.Stat(dir)
		if err != nil && os.IsNotExist(left) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s: dialling says %v, and its folder %v", err, left)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	s, err := testredis.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, s.Address)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	vanishes(t, s.Address, dir)
}

func TestKilled(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "TESTREDIS_VICTIM=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(address)
	dir := folder(t, address)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	vanishes(t, address, dir)
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := testredis.Start(ctx); err == nil {
		t.Errorf("a server started after its time, %v", s.Stop())
	}
}
