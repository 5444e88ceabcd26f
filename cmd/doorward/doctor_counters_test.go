package main

import (
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/testredis"
)

func TestDoctorCounters(t *testing.T) {
	t.Parallel()
	s, err := testredis.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	examine := func(counters string) finding {
		t.Helper()
		c, err := config.Read(config.Sources{Mode: config.Command, Environ: []string{"DOORWARD_COUNTERS=" + counters}})
		if err != nil {
			t.Fatal(err)
		}
		e := examination{c: c}
		e.counters(t.Context())
		if len(e.findings) != 1 {
			t.Fatalf("%s: %+v", counters, e.findings)
		}
		return e.findings[0]
	}
	set := func(pairs ...any) {
		t.Helper()
		conn, err := redis.Dial("tcp", s.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Do("CONFIG", append([]any{"SET"}, pairs...)...); err != nil {
			t.Fatal(err)
		}
	}
	if f := examine(s.URL()); f.Status != minor || !strings.Contains(f.Says, "forgets") {
		t.Errorf("a server that writes nothing down: %+v", f)
	}
	set("appendonly", "yes")
	if f := examine(s.URL()); f.Status != well || !strings.Contains(f.Says, "answers") {
		t.Errorf("%+v", f)
	}
	set("maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
	if f := examine(s.URL()); f.Status != grave || !strings.Contains(f.Says, "allkeys-lru") {
		t.Errorf("a server that evicts: %+v", f)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if f := examine("redis://:the-password@" + s.Address); f.Status != grave || strings.Contains(f.Says, "the-password") {
		t.Errorf("a server that is down: %+v", f)
	}
	c, err := config.Read(config.Sources{Mode: config.Command})
	if err != nil {
		t.Fatal(err)
	}
	e := examination{c: c}
	if e.counters(t.Context()); len(e.findings) != 0 {
		t.Errorf("without one: %+v", e.findings)
	}
}
