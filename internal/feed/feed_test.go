package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/feed"
)

// source is a table of changes in memory.
type source struct {
	mu      sync.Mutex
	changes []feed.Change
	head    int64
	broken  error // what every read returns
	polls   int
}

// commit adds changes as a transaction does.
func (s *source) commit(changes ...feed.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, changes...)
}

// lose forgets numbered changes up to a number, as a purge does.
func (s *source) lose(to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.changes) > 0 && s.changes[0].Seq > 0 && s.changes[0].Seq <= to {
		s.changes = s.changes[1:]
	}
}

func (s *source) NumberChanges(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polls++
	for i := range s.changes {
		if s.changes[i].Seq == 0 {
			s.head++
			s.changes[i].Seq = s.head
		}
	}
	return s.head, s.broken
}

func (s *source) ChangesAfter(_ context.Context, seq int64, limit int) ([]feed.Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []feed.Change
	for _, c := range s.changes {
		if c.Seq > seq && len(list) < limit {
			list = append(list, c)
		}
	}
	return list, s.broken
}

// reader keeps what it was told.
type reader struct {
	told    []string
	refuses string // the key of a change that it cannot follow
}

func (r *reader) follow(_ context.Context, c feed.Change) error {
	word := string(c.Topic)
	if c.Key != "" {
		word += ":" + c.Key
	}
	if c.Seq > 0 {
		word += fmt.Sprint("#", c.Seq)
	}
	r.told = append(r.told, word)
	if r.refuses != "" && c.Key == r.refuses {
		return errors.New("refused")
	}
	return nil
}

// expect compares what was told since the last time.
func (r *reader) expect(t *testing.T, when, want string) {
	t.Helper()
	if got := strings.Join(r.told, " "); got != want {
		t.Errorf("%s: told was %q, want %q", when, got, want)
	}
	r.told = nil
}

func start(t *testing.T, s *source) (*feed.Feed, *reader, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	f, r := feed.New(s, slog.New(slog.NewTextHandler(log, nil))), &reader{}
	f.Listen(r.follow)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f, r, log
}

func change(topic feed.Topic, key string) feed.Change { return feed.Change{Topic: topic, Key: key} }

// Who follows changes of the keyring reads all of it: of several that are read together
// one is told, the last, and none that comes between is passed over.
func TestPollTellsOnceOfTheKeyring(t *testing.T) {
	s := &source{}
	f, r, _ := start(t, s)
	s.commit(change(feed.Keys, "a"), change(feed.Account, "b"), change(feed.Keys, "c"), change(feed.Keys, "d"), change(feed.Account, "e"))
	if err := f.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "together", "account:b#2 keys:d#4 account:e#5")
	s.commit(change(feed.Keys, "f"), change(feed.Keys, "g"))
	r.refuses = "g"
	if f.Poll(t.Context()) == nil {
		t.Error("nobody noticed that it was not followed")
	}
	r.refuses = ""
	if err := f.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "once it can be followed", "keys:g#7 keys:g#7")
}

func TestPollTellsAllInOrder(t *testing.T) {
	s := &source{}
	s.commit(change(feed.Keys, "a"))
	f, r, _ := start(t, s)
	r.expect(t, "at the start", "keys:a#1")
	poll := func() {
		t.Helper()
		if err := f.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	poll()
	r.expect(t, "nothing new", "")
	s.commit(change(feed.Roles, "b"), change(feed.Account, "c"))
	poll()
	r.expect(t, "two", "roles:b#2 account:c#3")
	var want []string
	for i := range 2500 { // more than a page
		s.commit(change(feed.FamilyEnded, fmt.Sprint(i)))
		want = append(want, fmt.Sprintf("family-ended:%d#%d", i, 4+i))
	}
	poll()
	if !reflect.DeepEqual(r.told, want) {
		t.Errorf("of %d changes %d were told", len(want), len(r.told))
	}
}

// A change of the policy is taken from the feed, behind those of others; any
// other is told at once, and once more when it is read.
func TestCommitted(t *testing.T) {
	for _, topic := range []feed.Topic{feed.Roles, feed.Grants, feed.GrantLost} {
		s := &source{}
		f, r, _ := start(t, s)
		mine := []feed.Change{change(feed.RoleNarrows, "mine"), change(topic, "mine")}
		s.commit(change(feed.Grants, "theirs"))
		s.commit(mine...)
		f.Committed(t.Context(), mine)
		r.expect(t, string(topic), fmt.Sprintf("grants:theirs#1 role-narrows:mine#2 %s:mine#3", topic))
	}
	for _, topic := range []feed.Topic{feed.Account, feed.FamilyEnded, feed.Keys} {
		s := &source{}
		f, r, _ := start(t, s)
		mine := change(topic, "mine")
		s.commit(change(feed.Grants, "theirs"))
		s.commit(mine)
		f.Committed(t.Context(), []feed.Change{mine})
		r.expect(t, string(topic), string(topic)+":mine")
		if err := f.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.expect(t, string(topic), fmt.Sprintf("grants:theirs#1 %s:mine#2", topic))
	}
}

// What a process did itself it knows, even when the feed cannot be read: but
// without a number, so that it does not count as all there is up to it.
func TestCommittedWhileTheSourceIsAway(t *testing.T) {
	s := &source{}
	f, r, log := start(t, s)
	s.broken = errors.New("away")
	mine := change(feed.GrantLost, "mine")
	s.commit(mine)
	f.Committed(t.Context(), []feed.Change{mine})
	r.expect(t, "away", "grant-lost:mine")
	if !strings.Contains(log.String(), "away") {
		t.Errorf("the log says %q", log)
	}
	s.broken = nil
	if err := f.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "back", "grant-lost:mine#1")
}

// A change that a listener cannot follow stays at the head of the line.
func TestPollStopsAtWhatCannotBeFollowed(t *testing.T) {
	s := &source{}
	f, r, _ := start(t, s)
	s.commit(change(feed.Account, "a"), change(feed.Account, "b"), change(feed.Account, "c"))
	r.refuses = "b"
	for range 2 {
		if err := f.Poll(t.Context()); err == nil {
			t.Fatal("a change that was not followed was passed over")
		}
	}
	r.expect(t, "refused twice", "account:a#1 account:b#2 account:b#2")
	r.refuses = ""
	if err := f.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "followed", "account:b#2 account:c#3")
}

// Whoever slept while changes were thrown away is told that he missed some,
// before anything after them.
func TestGap(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(s *source)
		want string
	}{
		"before what is left": {func(s *source) {
			s.commit(change(feed.Keys, "b"), change(feed.Keys, "c"), change(feed.Keys, "d"))
			_, _ = s.NumberChanges(t.Context())
			s.lose(3)
		}, "gap keys:d#4"},
		"nothing is left": {func(s *source) {
			s.commit(change(feed.Keys, "b"))
			_, _ = s.NumberChanges(t.Context())
			s.lose(2)
		}, "gap"},
		"what was read already": {func(s *source) {
			s.commit(change(feed.Keys, "b"))
			s.lose(1)
		}, "keys:b#2"},
		"an older state of the database": {func(s *source) {
			s.changes, s.head = nil, 0
			s.commit(change(feed.Keys, "another"))
		}, "keys:another#1"},
		"an older state, shorter": {func(s *source) { s.changes, s.head = nil, 0 }, "gap"},
	} {
		s := &source{}
		s.commit(change(feed.Keys, "a"))
		f, r, _ := start(t, s)
		r.told = nil
		if name == "an older state of the database" { // it has to be shorter than what was read to be seen
			s.commit(change(feed.Keys, "b"))
			if err := f.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.told, c.want = nil, "gap keys:another#1"
		}
		c.do(s)
		for range 2 { // it is told once
			if err := f.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r.expect(t, name, c.want)
	}
	// One that starts keeps nothing that it could have missed a change of.
	s := &source{}
	s.commit(change(feed.Keys, "a"), change(feed.Keys, "b"))
	_, _ = s.NumberChanges(t.Context())
	s.lose(1)
	_, r, _ := start(t, s)
	r.expect(t, "a start", "keys:b#2")
}

// A gap that a listener could not follow is told again.
func TestGapThatCannotBeFollowed(t *testing.T) {
	s := &source{}
	s.commit(change(feed.Keys, "a"))
	f, r, _ := start(t, s)
	fails := true
	f.Listen(func(_ context.Context, c feed.Change) error {
		if c.Topic == feed.Gap && fails {
			return errors.New("refused")
		}
		return nil
	})
	s.commit(change(feed.Keys, "b"), change(feed.Keys, "c"))
	_, _ = s.NumberChanges(t.Context())
	s.lose(2)
	r.told = nil
	if err := f.Poll(t.Context()); err == nil {
		t.Error("a gap that was not followed was passed over")
	}
	fails = false
	if err := f.Poll(t.Context()); err != nil {
		t.Error(err)
	}
	r.expect(t, "twice", "gap gap keys:c#3")
}

// Run polls four times a second, goes on while the source is away, and says so
// once.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		f, r, log := start(t, s)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { f.Run(ctx); close(done) }()
		s.commit(change(feed.Keys, "a"))
		time.Sleep(feed.Every)
		synctest.Wait()
		r.expect(t, "after a tick", "keys:a#1")
		if age := f.Age(); age != 0 {
			t.Errorf("its age is %v", age)
		}
		set := func(err error) {
			s.mu.Lock()
			s.broken = err
			s.mu.Unlock()
		}
		set(errors.New("away"))
		time.Sleep(10*feed.Every + time.Millisecond)
		if age := f.Age(); age != 10*feed.Every+time.Millisecond {
			t.Errorf("after ten ticks without an answer its age is %v", age)
		}
		s.commit(change(feed.Keys, "b"))
		set(nil)
		time.Sleep(feed.Every)
		synctest.Wait()
		r.expect(t, "when it is back", "keys:b#2")
		if got := strings.Count(log.String(), "cannot be read"); got != 1 || strings.Count(log.String(), "read again") != 1 {
			t.Errorf("the log says:\n%s", log)
		}
		stop()
		<-done
		polls := s.polls
		time.Sleep(time.Minute)
		if s.polls != polls {
			t.Error("it polls after its end")
		}
	})
}
