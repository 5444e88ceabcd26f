package limit_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/limit"
)

var victim = limit.Attempt{Subject: "user:victim"}

// The same over every store and on two servers: storetest.Limits.
func TestAttackLOG001ParallelGuesses(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{Patience: 10 * time.Second})
	var judged atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			try, err := h.Begin(t.Context(), victim)
			if fault.KindOf(err) == fault.Limited {
				return
			} else if err != nil {
				t.Error(err)
				return
			}
			judged.Add(1)
			time.Sleep(5 * time.Millisecond)
			if _, err := try.Failed(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if judged.Load() != 5 {
		t.Errorf("%d of 200 were judged, want 5", judged.Load())
	}
}

// Neither the attacker's own success, nor waiting, nor anything else that he can
// do takes from what is counted against another.
func TestAttackLOG004CounterReset(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{})
	own := limit.Attempt{Subject: "user:attacker"}
	judged := 0
	for range 10 {
		for range 4 {
			if _, ok := h.guess(t, victim); ok {
				judged++
			}
		}
		if !h.enters(t, own) {
			t.Fatal("his own account is locked")
		}
	}
	if judged != 5 {
		t.Errorf("%d were judged, want 5", judged)
	}

	// However patient he is: a hundred, until he rests for a week.
	h = newHouse(limit.Options{})
	judged = 0
	began := h.Now()
	var last time.Time
	for h.Now().Sub(began) < 30*24*time.Hour {
		v, ok := h.guess(t, victim)
		if !ok {
			h.Move(time.Minute)
			if judged == 100 && h.Now().Sub(last) > limit.Keep {
				break
			}
			continue
		}
		judged++
		last = h.Now()
		if v.Hard != (judged == 100) {
			t.Errorf("after %d failures: %+v", judged, v)
		}
		if judged > 100 {
			t.Fatalf("the 101st guess was judged %v after the first", h.Now().Sub(began))
		}
	}
	if spent := last.Sub(began); spent < 16*time.Hour {
		t.Errorf("a hundred guesses took %v", spent)
	}
	if _, ok := h.guess(t, victim); !ok {
		t.Error("a week after the last failure it is still closed")
	}
}

func TestAttackLOG006AddressesOfOneNetwork(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{})
	judged := 0
	for n := range 65_536 {
		address := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(n >> 8), 15: byte(n)})
		network, err := address.Prefix(64) // as principal.Origin says it
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := h.guess(t, limit.Attempt{Subject: fmt.Sprintf("user:%d", n), Network: network.String()}); ok {
			judged++
		}
	}
	if judged != 10 {
		t.Errorf("%d were judged, want 10", judged)
	}

	// The 65,536 networks of one site have ten times as much, and of another site
	// each has its own.
	h = newHouse(limit.Options{})
	judged = 0
	for n := range 65_536 {
		if _, ok := h.guess(t, limit.Attempt{Subject: fmt.Sprintf("user:%d", n), Network: fmt.Sprintf("2001:db8:1:%x::/64", n)}); ok {
			judged++
		}
	}
	if judged != 100 {
		t.Errorf("from one /48, %d were judged, want 100", judged)
	}
	if _, ok := h.guess(t, limit.Attempt{Subject: "user:other", Network: "2001:db8:2:1::/64"}); !ok {
		t.Error("another /48 is refused with it")
	}
}

// A stranger who keeps the account locked does not keep its owner out, and what
// he does to the owner's device he cannot do to another.
func TestAttackLOG009OwnerLockedOut(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{})
	owner := limit.Attempt{Subject: victim.Subject, Device: "laptop", Network: "192.0.2.1"}
	for range 24 * 60 { // a day
		h.guess(t, victim)
		if !h.enters(t, owner) {
			t.Fatal("the owner is kept out")
		}
		h.Move(time.Minute)
	}
	for n := range 5 {
		if v, ok := h.guess(t, owner); !ok || v.Locked != (n == 4) {
			t.Errorf("failure %d from a known device: %v, %+v", n+1, ok, v)
		}
	}
	if h.enters(t, owner) {
		t.Error("a device that failed five times is not locked")
	}
	if !h.enters(t, limit.Attempt{Subject: victim.Subject, Device: "phone"}) {
		t.Error("another known device is locked with it")
	}

	// A device that fails a hundred times is a stranger's, and shares the lock of
	// strangers.
	h = newHouse(limit.Options{})
	for judged := 0; judged < 100; {
		if _, ok := h.guess(t, owner); ok {
			judged++
		} else {
			h.Move(time.Hour)
		}
	}
	for range 5 {
		if _, ok := h.guess(t, owner); !ok {
			t.Error("as a stranger it has no room, and no stranger has failed")
		}
	}
	if _, ok := h.guess(t, owner); ok {
		t.Error("its sixth attempt as a stranger was judged")
	}
	if _, ok := h.guess(t, victim); ok {
		t.Error("strangers are not locked with it")
	}

	// Where the right password comes from there after all, it is the owner's again.
	h.Move(time.Hour)
	try, err := h.Begin(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	if try.Known() {
		t.Error("what a stranger's device tries is said to be the owner's")
	}
	if err := try.Succeeded(t.Context()); err != nil {
		t.Error(err)
	}
	for range 5 {
		h.guess(t, victim)
	}
	if !h.enters(t, owner) {
		t.Error("strangers keep the owner out where he has signed in")
	}
}

// One password for ten thousand accounts within a minute: an address has ten, and
// one more each six seconds; past six hundred altogether, two at once and one each half a minute.
func TestAttackLOG011Spraying(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ networks, most, floods int }{
		{50, 50 * (10 + 10), 0},
		{500, 600 + 100 + 500*3, 1},
	} {
		h := newHouse(limit.Options{})
		const users = 10_000
		judged, floods, locked := 0, 0, 0
		for n := range users {
			for network := range 12 { // whichever of his next addresses still can
				v, ok := h.guess(t, limit.Attempt{Subject: fmt.Sprintf("user:%d", n), Network: fmt.Sprint((n + network) % tt.networks)})
				if v.Locked {
					locked++
				}
				if v.Flood {
					floods++
				}
				if ok {
					judged++
					break
				}
			}
			h.Move(time.Minute / users)
		}
		if judged < tt.most/2 || judged > tt.most || floods != tt.floods || locked != 0 {
			t.Errorf("from %d networks, %d of %d were judged, with %d alarms and %d locks; want up to %d, %d, 0",
				tt.networks, judged, users, floods, locked, tt.most, tt.floods)
		}
		if !h.enters(t, limit.Attempt{Subject: "user:1", Network: "192.0.2.1"}) {
			t.Error("meanwhile nobody gets in")
		}
	}
}

// Where nothing can be counted, nothing may be guessed; the operator is told, not
// once for each; and when it can again, it may.
func TestAttackLOG020StoreDown(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{})
	var log strings.Builder
	h.Service = limit.NewService(h.store, h.Hands, slog.New(slog.NewTextHandler(&log, nil)), limit.Options{Patience: time.Millisecond})
	try, err := h.Begin(t.Context(), victim)
	if err != nil {
		t.Fatal(err)
	}
	h.store.breaks(errors.New("out of order"))
	for n := range 100 {
		_, err := h.Begin(t.Context(), limit.Attempt{Subject: fmt.Sprint("user:", n), Network: "192.0.2.1"})
		told, _ := errors.AsType[*fault.Error](err)
		if fault.KindOf(err) != fault.Unavailable || strings.Contains(told.Message, "out of order") {
			t.Fatalf("while the store is down: %v", err)
		}
	}
	if _, err := try.Failed(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("settling while the store is down: %v", err)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "out of order") {
		t.Errorf("%d lines were logged:\n%s", n, log.String())
	}
	h.store.breaks(nil)
	for n := range 5 {
		if _, ok := h.guess(t, victim); ok != (n < 4) { // the one that could not be settled counts
			t.Errorf("guess %d afterwards: %v", n+1, ok)
		}
	}
	if h.Lanes() != 0 {
		t.Errorf("%d lanes are left", h.Lanes())
	}
}

// What is attacked is not forgotten for the sake of what else is, and this
// process keeps nothing of it.
func TestAttackLOG021ManyNames(t *testing.T) {
	h := newHouse(limit.Options{})
	for range 4 {
		h.guess(t, victim)
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range 100_000 {
		try, err := h.Begin(t.Context(), limit.Attempt{Subject: fmt.Sprint("name:", n), Network: fmt.Sprint(n)})
		if err != nil {
			t.Fatal(err)
		}
		try.Abandon(t.Context())
		h.store.buckets = map[limit.Key]limit.Bucket{{}: {}} // the store's memory is not the question
		clear(h.store.marks)
	}
	runtime.GC()
	runtime.ReadMemStats(&now)
	if grown := int64(now.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 || h.Lanes() != 0 {
		t.Errorf("after 100,000 names %d bytes and %d lanes more", grown, h.Lanes())
	}
}

// Every limit is told alike, of those who are there and those who are not.
func TestAttackLOG022OneRefusal(t *testing.T) {
	t.Parallel()
	for name, trip := range map[string]func(h house, subject string) limit.Attempt{
		"lock": func(h house, subject string) limit.Attempt {
			for range 5 {
				h.guess(t, limit.Attempt{Subject: subject})
			}
			return limit.Attempt{Subject: subject}
		},
		"hard": func(h house, subject string) limit.Attempt {
			for range 2000 {
				h.guess(t, limit.Attempt{Subject: subject})
				h.Move(time.Minute)
			}
			return limit.Attempt{Subject: subject}
		},
		"address": func(h house, subject string) limit.Attempt {
			for n := range 10 {
				h.guess(t, limit.Attempt{Subject: fmt.Sprint("user:", n), Network: "192.0.2.1"})
			}
			return limit.Attempt{Subject: subject, Network: "192.0.2.1"}
		},
		"flood": func(h house, subject string) limit.Attempt {
			for n := range 601 {
				h.guess(t, limit.Attempt{Subject: fmt.Sprint("user:", n), Network: fmt.Sprint(n)})
			}
			for n := range 2 {
				h.guess(t, limit.Attempt{Subject: fmt.Sprint("user:", n), Network: "192.0.2.1"})
			}
			return limit.Attempt{Subject: subject, Network: "192.0.2.1"}
		},
	} {
		want := map[string]time.Duration{"lock": time.Minute, "hard": time.Hour, "address": 6 * time.Second, "flood": 30 * time.Second}[name]
		for _, subject := range []string{"user:01h", "name:af"} {
			h := newHouse(limit.Options{})
			_, err := h.Begin(t.Context(), trip(h, subject))
			if err == nil {
				t.Fatalf("%s: it has room", name)
			}
			if got := after(t, err); got != want {
				t.Errorf("%s, %s: come again after %v, want %v", name, subject, got, want)
			}
		}
	}
}

// Who sends what is never judged, as a password that is too long for anybody, fails
// nowhere: it must leave nothing behind, whatever names it comes with. What is
// counted already stays.
func TestAttackLOG021NeverJudged(t *testing.T) {
	t.Parallel()
	h := newHouse(limit.Options{})
	h.guess(t, victim)
	for n := range 1000 {
		try, err := h.Begin(t.Context(), limit.Attempt{Subject: fmt.Sprint("name:", n%500), Network: "192.0.2.1"})
		if err != nil {
			t.Fatal(err)
		}
		try.Abandon(t.Context())
	}
	if try, err := h.Begin(t.Context(), victim); err != nil {
		t.Error(err)
	} else {
		try.Abandon(t.Context())
	}
	if len(h.store.buckets) != 1 || len(h.store.marks) != 0 {
		t.Errorf("%d buckets and %d marks are kept, want the victim's alone", len(h.store.buckets), len(h.store.marks))
	}
	if s, err := h.Locked(t.Context(), victim.Subject); s.Failures != 1 || err != nil {
		t.Errorf("Locked = %+v, %v", s, err)
	}
}
