package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
)

// memory is a Log in memory.
type memory struct {
	mu      sync.Mutex
	entries []audit.Entry
	covered int64 // by the newest checkpoint; 0 for none
	at      map[string]audit.Shipped
	holder  map[string]string
	fails   error
}

func newMemory(n int) *memory {
	m := &memory{at: map[string]audit.Shipped{}, holder: map[string]string{}}
	m.grow(n)
	return m
}

// grow adds events, and a checkpoint over all.
func (m *memory) grow(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range n {
		leaf := int64(len(m.entries))
		outcome := "success"
		if leaf%3 == 2 {
			outcome = "failure"
		}
		m.entries = append(m.entries, audit.Entry{Leaf: leaf, Public: fmt.Appendf(nil,
			`{"v":1,"id":"%026d","at":"2026-02-28T23:59:59.%06dZ","action":"login.failed","outcome":%q,"actor":"cli:\u003cx\u003e"}`, leaf, leaf, outcome)})
	}
	m.covered = int64(len(m.entries))
}

func (m *memory) Leaves(_ context.Context, first, last int64, limit int) ([]audit.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []audit.Entry
	for _, e := range m.entries {
		if e.Leaf >= first && e.Leaf <= last && len(list) < limit {
			list = append(list, e)
		}
	}
	return list, m.fails
}

func (m *memory) AuditCheckpoint(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.covered == 0 {
		return nil, fault.New(fault.NotFound, "none")
	}
	return note(m.covered), m.fails
}

func note(size int64) []byte {
	c := audit.Checkpoint{Origin: "example.com/audit", Size: size}
	return []byte(c.Text() + "\n— example.com/audit AAAAAAAA\n")
}

func (m *memory) TakeSink(_ context.Context, place, holder string, until time.Time) (audit.Shipped, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holder[place] != "" && m.holder[place] != holder && m.at[place].Until.After(time.Now()) {
		return audit.Shipped{}, false, nil
	}
	m.holder[place] = holder
	at := m.at[place]
	at.Until = until
	m.at[place] = at
	return at, true, m.fails
}

func (m *memory) SaveSink(_ context.Context, place, holder string, at audit.Shipped) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holder[place] != holder {
		return errOther
	}
	m.at[place] = at
	return m.fails
}

// shelf is a place in memory that does as it is told.
type shelf struct {
	mu   sync.Mutex
	got  []Line
	then func(ctx context.Context, n int) error // before the nth delivery
	n    int
}

func (s *shelf) deliver(ctx context.Context, lines []Line) error {
	s.mu.Lock()
	s.n++
	n, then := s.n, s.then
	s.mu.Unlock()
	if then != nil {
		if err := then(ctx, n); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, lines...)
	return nil
}

func (s *shelf) close() error { return nil }

// begun returns how many deliveries were begun.
func (s *shelf) begun() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *shelf) lines() []Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Line{}, s.got...)
}

func newRunner(m *memory, p place, log *bytes.Buffer) *runner {
	logger := slog.New(slog.DiscardHandler)
	if log != nil {
		logger = slog.New(slog.NewTextHandler(&locked{b: log}, nil))
	}
	return &runner{Options: Options{Log: m, Clock: clock.Wall(), Logger: logger}, name: "p", shown: "p", holder: "me", place: p, every: time.Millisecond}
}

// locked lets several write.
type locked struct {
	mu sync.Mutex
	b  *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// complete fails the test unless lines hold every leaf below n, the first time in
// order, and end with a checkpoint of that size.
func complete(t *testing.T, lines []Line, n int64) {
	t.Helper()
	next := int64(0)
	for _, l := range lines {
		switch {
		case l.Leaf < 0 && l.Size > next:
			t.Errorf("a checkpoint of %d comes before leaf %d", l.Size, next)
		case l.Leaf == next:
			next++
		case l.Leaf > next:
			t.Fatalf("leaf %d comes where %d should", l.Leaf, next)
		}
	}
	if next != n {
		t.Errorf("%d leaves came, want %d", next, n)
	}
	if last := lines[len(lines)-1]; last.Leaf != -1 || last.Size != n {
		t.Errorf("the last line is %s", last.Text)
	}
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("not after five seconds: %s", what)
}

func TestPassSendsAllInOrder(t *testing.T) {
	m, s := newMemory(1234), &shelf{}
	r := newRunner(m, s, nil)
	if err := r.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	complete(t, s.lines(), 1234)
	if err := r.pass(t.Context()); err != nil || len(s.lines()) != 1235 {
		t.Errorf("nothing new: %d lines, %v", len(s.lines()), err)
	}
	m.grow(5)
	if err := r.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	complete(t, s.lines(), 1239)
	// What no checkpoint covers waits for the next.
	m.covered, m.entries = 1239, append(m.entries, audit.Entry{Leaf: 1239, Public: []byte(`{}`)})
	if err := r.pass(t.Context()); err != nil || len(s.lines()) != 1241 {
		t.Errorf("without a checkpoint: %d lines, %v", len(s.lines()), err)
	}
	// Each hour it is shown that the sink is alive.
	r.Clock = clock.Func(func() time.Time { return time.Now().Add(alive + time.Minute) })
	if err := r.pass(t.Context()); err != nil || len(s.lines()) != 1242 {
		t.Errorf("an hour later: %d lines, %v", len(s.lines()), err)
	}
	// Another process goes on where this one was.
	again := newRunner(m, s, nil)
	m.grow(1)
	if err := again.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.lines(); got[1242].Leaf != 1239 {
		t.Errorf("after a start comes leaf %d", got[1242].Leaf)
	}
}

func TestNoCheckpointYet(t *testing.T) {
	s := &shelf{}
	if err := newRunner(newMemory(0), s, nil).pass(t.Context()); err != nil || len(s.lines()) != 0 {
		t.Errorf("%d lines, %v", len(s.lines()), err)
	}
}

// Whatever fails on the way, each event comes at least once and none is left out.
func TestAttackAUD005SinkFails(t *testing.T) {
	m := newMemory(900)
	var log bytes.Buffer
	s := &shelf{then: func(_ context.Context, n int) error {
		if n%2 == 1 {
			return errors.New("no space left on device")
		}
		return nil
	}}
	r := newRunner(m, s, &log)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.run(ctx) }()
	eventually(t, "all is sent", func() bool { got := s.lines(); return len(got) > 0 && got[len(got)-1].Size == 900 })
	m.grow(10)
	eventually(t, "more is sent", func() bool { got := s.lines(); return got[len(got)-1].Size == 910 })
	stop()
	<-done
	complete(t, s.lines(), 910)
	if n := strings.Count(log.String(), "no space left on device"); n != 2 { // once each time that it begins, not for each try
		t.Errorf("the log tells %d times of it:\n%s", n, log.String())
	}
	if !strings.Contains(log.String(), "reaches a sink again") {
		t.Errorf("the log does not tell of the recovery:\n%s", log.String())
	}
}

// A sink that hangs holds up no other, no end, and not itself once it goes on.
func TestAttackAUD005SinkHangs(t *testing.T) {
	m := newMemory(3)
	free := make(chan struct{})
	stuck := &shelf{then: func(_ context.Context, n int) error {
		if n == 1 {
			<-free // whatever its context says
		}
		return nil
	}}
	good := &shelf{}
	slow := newRunner(m, stuck, nil)
	other := newRunner(m, good, nil)
	other.name = "other"
	sinks := &Sinks{list: []*runner{slow, other}}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); sinks.Run(ctx) }()
	eventually(t, "the other gets all", func() bool { return len(good.lines()) == 4 })
	stop()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("a sink that hangs holds up the end")
	}
	last, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	sinks.Finish(last)
	if n := stuck.begun(); n != 1 {
		t.Errorf("%d deliveries were begun while one hung", n)
	}
	close(free)
	<-slow.hanging
	if err := slow.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	complete(t, stuck.lines(), 3)
}

// One server at a time sends; when it ends or is gone, another goes on.
func TestOneServerSends(t *testing.T) {
	m, s := newMemory(3), &shelf{}
	one, two := newRunner(m, s, nil), newRunner(m, s, nil)
	two.holder = "two"
	if err := one.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := two.pass(t.Context()); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the second: %v", err)
	}
	one.letGo(t.Context())
	m.grow(1)
	if err := two.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	complete(t, s.lines(), 4)
	if len(s.lines()) != 6 {
		t.Errorf("%d lines", len(s.lines()))
	}
	// The first one, back from a long pause, believes that it still may.
	m.grow(1)
	if err := one.pass(t.Context()); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the first, later: %v", err)
	}
}

// A log that is shorter than what was sent was cut; that is told, and what comes
// from then on is sent.
func TestAttackLogWasCut(t *testing.T) {
	var log bytes.Buffer
	m, s := newMemory(10), &shelf{}
	r := newRunner(m, s, &log)
	if err := r.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.entries, m.covered = m.entries[:4], 4
	if err := r.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "sent=10 leaves=4") {
		t.Errorf("the log tells %q", log.String())
	}
	m.grow(1)
	if err := r.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.lines(); got[len(got)-2].Leaf != 4 || got[len(got)-1].Size != 5 {
		t.Errorf("then came %s, %s", got[len(got)-2].Text, got[len(got)-1].Text)
	}
}

// A line is one JSON object with the leaf's bytes as they are, whatever they are.
func TestLines(t *testing.T) {
	m := newMemory(1)
	l, err := eventLine(m.entries[0])
	if err != nil || !bytes.Contains(l.Text, append([]byte(`{"leaf":0,"event":`), m.entries[0].Public...)) {
		t.Errorf("%s, %v", l.Text, err)
	}
	if l.Action != "login.failed" || l.Failed || l.At.Year() != 2026 {
		t.Errorf("%+v", l)
	}
	for _, bad := range []string{"", "{", "{}\n{}", "null\n", "\xff", `{"at":1}`, "{\"action\":\n\"x\"}", "{}{}"} {
		l, err := eventLine(audit.Entry{Leaf: 7, Public: []byte(bad)})
		var v struct {
			Leaf  int64
			Bytes []byte
		}
		if err != nil || json.Unmarshal(l.Text, &v) != nil || v.Leaf != 7 || string(v.Bytes) != bad || bytes.ContainsAny(l.Text, "\r\n") {
			t.Errorf("%q: %s, %v", bad, l.Text, err)
		}
	}
	c, err := checkpointLine(note(3), 3, time.Now())
	var v struct{ Checkpoint string }
	if err != nil || json.Unmarshal(c.Text, &v) != nil || v.Checkpoint != string(note(3)) || bytes.Contains(c.Text, []byte("\n")) {
		t.Errorf("%s, %v", c.Text, err)
	}
}

// signingKey is what the tests' webhooks are signed with.
var signingKey = secret.From("0123456789abcdef01234567")
