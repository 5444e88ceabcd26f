package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
)

// shelf keeps letters in memory, as store keeps them.
type shelf struct {
	mu      sync.Mutex
	letters map[string]*kept
	people  map[string]Recipient
	events  []audit.Event
	broken  error // what every verb fails with
}

type kept struct {
	Claim
	due time.Time
}

func newShelf(letters ...Letter) *shelf {
	s := &shelf{letters: map[string]*kept{}, people: map[string]Recipient{"u": alice}}
	for _, l := range letters {
		s.letters[l.ID] = &kept{Claim: Claim{Letter: l}}
	}
	return s
}

func (s *shelf) ClaimLetters(_ context.Context, by Channel, n int, lease time.Duration) (list []Claim, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := clock.Wall().Now()
	for _, l := range s.letters {
		if len(list) < n && l.Kind.Channel() == by && !l.due.After(now) && s.broken == nil {
			l.Try++
			l.due = now.Add(lease)
			list = append(list, l.Claim)
		}
	}
	return list, s.broken
}

func (s *shelf) Recipient(_ context.Context, user string) (Recipient, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.people[user]
	if !ok {
		return r, fault.New(fault.NotFound, "no such user")
	}
	return r, s.broken
}

func (s *shelf) PostponeLetter(_ context.Context, c Claim, due time.Time, events ...audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.letters[c.ID]; ok && l.Try == c.Try {
		l.due = due
		s.events = append(s.events, events...)
	}
	return s.broken
}

func (s *shelf) DeleteLetter(_ context.Context, id string, events ...audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.letters, id)
	s.events = append(s.events, events...)
	return s.broken
}

func (s *shelf) DropLetters(context.Context) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.letters)
	clear(s.letters)
	return n, s.broken
}

func (s *shelf) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.letters)
}

// run runs a service in a bubble until the test ends, and returns its log.
func run(t *testing.T, s Store, c Carrier) *bytes.Buffer {
	t.Helper()
	var log bytes.Buffer
	service := NewService(Parts{Store: s, Clock: clock.Wall(), Log: slog.New(slog.NewTextHandler(&log, nil)), Carrier: c, Issuer: "https://auth.example.com"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { service.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return &log
}

func letter(user string) Letter { return New(user, DeviceNew, clock.Wall().Now(), whole()) }

func TestDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var letters []Letter
		for range 100 {
			letters = append(letters, letter("u"))
		}
		s := newShelf(append(letters, letter("gone"), letter("nowhere"))...)
		s.people["nowhere"] = Recipient{Username: "nowhere"}
		var mu sync.Mutex
		times, most, now := map[string]int{}, 0, 0
		run(t, s, CarrierFunc(func(_ context.Context, m Mail) error {
			mu.Lock()
			times[m.ID]++
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return nil
		}))
		time.Sleep(900 * time.Millisecond) // within one tick: a backlog does not wait for the next
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if s.left() != 0 || len(times) != 100 {
			t.Errorf("%d letters are left, %d were delivered", s.left(), len(times))
		}
		for id, n := range times {
			if n != 1 {
				t.Errorf("%s was delivered %d times", id, n)
			}
		}
		if most > mails.atOnce {
			t.Errorf("%d were on their way at once", most)
		}
	})
}

// A mail server that is down: the letter waits longer and longer, is delivered
// when the server is back, and given up after three days.
func TestAttackF30ServerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := newShelf(letter("u"))
		var at []time.Duration
		log := run(t, s, CarrierFunc(func(context.Context, Mail) error {
			at = append(at, time.Since(start))
			return errors.New("connection refused")
		}))
		time.Sleep(4 * 24 * time.Hour)
		synctest.Wait()
		if s.left() != 0 {
			t.Error("it is never given up")
		}
		var waits []time.Duration
		for i := range at[1:] {
			waits = append(waits, (at[i+1] - at[i]).Round(time.Minute))
		}
		want := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360}
		for i := range want {
			want[i] *= time.Minute
		}
		if len(waits) < len(want) || !slices.Equal(waits[:len(want)], want) || at[len(at)-1] > mails.giveUp {
			t.Errorf("the waits are %v, the last try at %v", waits, at[len(at)-1])
		}
		if !strings.Contains(log.String(), "given up") || strings.Contains(log.String(), "alice") || strings.Contains(log.String(), "203.0.113.7") {
			t.Errorf("the log says\n%s", log)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s, tries := newShelf(letter("u")), 0
		run(t, s, CarrierFunc(func(context.Context, Mail) error {
			if tries++; tries < 3 {
				return errors.New("connection refused")
			}
			return nil
		}))
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if tries != 3 || s.left() != 0 {
			t.Errorf("%d tries, %d left", tries, s.left())
		}
	})
}

// A thousand letters to a dead server are no storm: neither on it nor on the
// database.
func TestDeadServerIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var letters []Letter
		for range 1000 {
			letters = append(letters, letter("u"))
		}
		s, tries := newShelf(letters...), 0
		var mu sync.Mutex
		run(t, s, CarrierFunc(func(context.Context, Mail) error {
			mu.Lock()
			defer mu.Unlock()
			tries++
			return errors.New("connection refused")
		}))
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if tries > 11*mails.atOnce || s.left() != 1000 {
			t.Errorf("%d tries in ten seconds, %d letters left", tries, s.left())
		}
	})
}

func TestRefusedIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tries := newShelf(letter("u")), 0
		run(t, s, CarrierFunc(func(context.Context, Mail) error { tries++; return fmt.Errorf("550: %w", ErrRefused) }))
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if tries != 1 || s.left() != 0 {
			t.Errorf("%d tries, %d left", tries, s.left())
		}
	})
}

// A carrier that hangs, or panics, ends with its time; the others go on.
func TestHangingCarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs, panics, good := letter("u"), letter("u"), letter("u")
		s := newShelf(hangs, panics, good)
		carried := map[string]time.Time{}
		log := run(t, s, CarrierFunc(func(ctx context.Context, m Mail) error {
			switch m.ID {
			case hangs.ID:
				<-ctx.Done()
				return ctx.Err()
			case panics.ID:
				panic("a bug")
			}
			carried[m.ID] = time.Now()
			return nil
		}))
		start := time.Now()
		time.Sleep(patience + time.Second)
		synctest.Wait()
		if at, ok := carried[good.ID]; !ok || at.Sub(start) > time.Second || s.left() != 2 {
			t.Errorf("carried %v, %d left", carried, s.left())
		}
		if s.letters[hangs.ID].Try != 1 || !s.letters[hangs.ID].due.After(time.Now()) {
			t.Errorf("the one that hung: %+v", s.letters[hangs.ID])
		}
		if !strings.Contains(log.String(), "panic: a bug") {
			t.Error(log)
		}
	})
}

// When the server stops, what hangs does not hold it up.
func TestStopDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(letter("u"))
		service := NewService(Parts{
			Store: s, Clock: clock.Wall(), Log: slog.New(slog.DiscardHandler), Issuer: "https://a.example",
			Carrier: CarrierFunc(func(ctx context.Context, _ Mail) error { <-ctx.Done(); return ctx.Err() }),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan time.Time)
		go func() { service.Run(ctx); done <- time.Now() }()
		time.Sleep(time.Second)
		start := time.Now()
		cancel()
		if took := (<-done).Sub(start); took > parting {
			t.Errorf("it took %v", took)
		}
		if s.left() != 1 {
			t.Error("the letter is lost")
		}
	})
}

// Without a mail server, letters are not kept; the log says how many, now and
// then.
func TestNoCarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(letter("u"), letter("u"), letter("u"))
		log := run(t, s, nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s.mu.Lock()
		l := letter("u")
		s.letters[l.ID] = &kept{Claim: Claim{Letter: l}}
		s.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.left() != 0 {
			t.Errorf("%d are left", s.left())
		}
		if got := log.String(); strings.Count(got, "letters were dropped") != 2 || !strings.Contains(got, "letters=3") || !strings.Contains(got, "letters=1") {
			t.Errorf("the log says\n%s", got)
		}
	})
}

// A database that is down is no end of the worker.
func TestStoreDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(letter("u"))
		s.broken = errors.New("down")
		carried := 0
		run(t, s, CarrierFunc(func(context.Context, Mail) error { carried++; return nil }))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s.mu.Lock()
		s.broken = nil
		s.mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if carried != 1 || s.left() != 0 {
			t.Errorf("carried %d, left %d", carried, s.left())
		}
	})
}

// A letter of a kind that this version does not know is left for one that does:
// both may run on one database for a while.
func TestUnknownKindWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := letter("u")
		l.Kind = "later.version"
		s := newShelf(l)
		log := run(t, s, CarrierFunc(func(context.Context, Mail) error { t.Error("it was sent"); return nil }))
		time.Sleep(time.Hour)
		synctest.Wait()
		if s.left() != 1 || !strings.Contains(log.String(), "tried again") {
			t.Errorf("%d are left; the log says\n%s", s.left(), log)
		}
	})
}
