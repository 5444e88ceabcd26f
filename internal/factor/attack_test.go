package factor

import (
	"errors"
	"fmt"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
)

func TestAttackPW001BcryptTruncation(t *testing.T) {
	h := open(t, Options{})
	full := strings.Repeat("a", 72)
	imported, err := bcrypt.GenerateFromPassword([]byte(full), 4)
	if err != nil {
		t.Fatal(err)
	}
	if !verify(t, h, full, string(imported)).OK {
		t.Fatal("72 bytes are refused")
	}
	for _, tail := range []string{"a", "b", "\x00", " ", strings.Repeat("z", 400)} {
		if bcrypt.CompareHashAndPassword(imported, []byte(full+tail)) != nil {
			t.Log("the library refuses by itself now")
		}
		if r := verify(t, h, full+tail, string(imported)); r != (Result{}) {
			t.Errorf("72 bytes and %q are accepted: %+v", tail, r)
		}
	}
	// Characters, not bytes, would let this one through: 36 of two bytes, and one.
	accented := strings.Repeat("é", 36)
	if verify(t, h, accented+"x", hash(t, h, accented)).OK {
		t.Error("73 bytes in 37 characters are accepted")
	}
	// Decomposed, a password of 72 bytes has more; what counts is its normal form.
	if !verify(t, h, strings.Repeat("e\u0301", 36), hash(t, h, accented)).OK {
		t.Error("the length is taken before normalisation")
	}
	// bcrypt repeats the password with U+0000 behind it, so "ab" and "ab\0ab" are one.
	ab := hash(t, h, "ab")
	if verify(t, h, "ab\x00ab", ab).OK {
		t.Error(`"ab\0ab" is accepted for "ab"`)
	}
}

func TestAttackPW002LongPassword(t *testing.T) {
	h := open(t, Options{Workers: 1, Queue: 1})
	count := computed(h)
	good := hash(t, h, "password")
	for _, size := range []int{513, 64 << 10, 10 << 20} {
		p := secret.From(strings.Repeat("p", size))
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				// Were it to enter the queue, which has one place, it would be Limited.
				if r, err := h.Verify(t.Context(), fmt.Sprint(i), p, good); r.OK || fault.KindOf(err) != fault.Invalid {
					t.Errorf("%d bytes: %+v, %v", size, r, err)
				}
			})
		}
		wg.Wait()
	}
	if n := len(count()); n != 0 {
		t.Errorf("%d hashes were computed", n)
	}
	// Decision 5 has bytes alone: 129 characters are well.
	a := open(t, Options{Algorithm: Argon2id})
	if p := strings.Repeat("p", 129); !verify(t, a, p, hash(t, a, p)).OK {
		t.Error("129 characters are refused")
	}
}

func TestAttackPW005Policy(t *testing.T) {
	h := open(t, Options{})
	context := []string{"alice.smith", "alice@wonderland.example", "login.acme.example"}
	for name, p := range map[string]string{
		"7 characters": "x7#kq!z", "one of the top 3000": "baseball", "in other case": "BaseBall", "breached": "1qaz2wsx3edc",
		"the user name": "Alice.Smith", "the mailbox": "alice2026", "the domain": "Wonderland1", "the company": "acme2026",
		"the product": "doorward1",
	} {
		if err := h.Check(secret.From(p), context...); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %q: %v", name, p, err)
		}
	}
	for name, p := range map[string]string{
		"8 characters": "x7#kq!zv", "no digits": "tangerine umbrella", "only letters": "qpmzdkwo", "72 bytes": strings.Repeat("kx", 36),
	} {
		if err := h.Check(secret.From(p), context...); err != nil {
			t.Errorf("%s: %q: %v", name, p, err)
		}
	}
	a := open(t, Options{Algorithm: Argon2id, MinLength: 15})
	if err := a.Check(secret.From("fourteen chars")); fault.KindOf(err) != fault.Invalid {
		t.Errorf("14 characters where 15 are asked for: %v", err)
	}
	for _, n := range []int{64, 128, 512} {
		if err := a.Check(secret.From(strings.Repeat("k", n))); err != nil {
			t.Errorf("%d characters: %v", n, err)
		}
	}
}

// What a hostile hash would cost is refused; what it costs instead is one hash
// of our own.
func TestAttackPW015HostileStoredHash(t *testing.T) {
	for _, algorithm := range []string{Bcrypt, Argon2id} {
		h := open(t, Options{Algorithm: algorithm})
		count := computed(h)
		for _, text := range hostile {
			r := verify(t, h, "password", text)
			if r.OK || r.Outdated || r.Damaged == nil {
				t.Errorf("%s: %+v", text, r)
			} else if fault.KindOf(r.Damaged) != 0 || len(text) > 20 && strings.Contains(r.Damaged.Error(), text[len(text)-20:]) {
				t.Errorf("%s: the error may be told, or quotes the hash: %v", text, r.Damaged)
			}
			if got := count(); !slices.Equal(got, []scheme{h.scheme}) {
				t.Errorf("%s: computed %v", text, got)
			}
			if err := CheckStored(text); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: CheckStored: %v", text, err)
			}
		}
		if r := verify(t, h, "", ""); r != (Result{}) {
			t.Errorf("the empty hash: %+v", r)
		}
		if fault.KindOf(CheckStored("")) != fault.Invalid {
			t.Error("CheckStored takes the empty hash")
		}
	}
}

// Twenty good sign-ins see an old hash; each makes a new one and swaps it for
// the one that it verified.
func TestAttackPW016RehashOnce(t *testing.T) {
	old, h := open(t, Options{InsecureCost: 4}), open(t, Options{InsecureCost: 5})
	before := hash(t, old, "password")
	var kept atomic.Pointer[string]
	kept.Store(&before)
	var wg sync.WaitGroup
	var swaps atomic.Int32
	for range 20 {
		wg.Go(func() {
			seen := kept.Load()
			r, err := h.Verify(t.Context(), "test", secret.From("password"), *seen)
			if err != nil || !r.OK {
				t.Errorf("%+v, %v", r, err)
			}
			if !r.Outdated {
				return
			}
			made, err := h.Hash(t.Context(), "test", secret.From("password"))
			if err != nil {
				t.Error(err)
			}
			if kept.CompareAndSwap(seen, &made) {
				swaps.Add(1)
			}
		})
	}
	wg.Wait()
	if n := swaps.Load(); n != 1 {
		t.Errorf("%d upgrades", n)
	}
	if r := verify(t, h, "password", *kept.Load()); r != (Result{OK: true}) {
		t.Errorf("after the upgrade: %+v", r)
	}
}

// An account that does not exist, has no password, or a password that cannot
// match get the same answer for the same work.
func TestAttackLOG007Indistinguishable(t *testing.T) {
	for _, algorithm := range []string{Bcrypt, Argon2id} {
		h := open(t, Options{Algorithm: algorithm})
		count := computed(h)
		known := hash(t, h, "password")
		for name, c := range map[string]struct{ password, stored string }{
			"wrong":                {"passwort", known},
			"unknown":              {"passwort", ""},
			"wrong, long":          {strings.Repeat("p", 73), known},
			"unknown, long":        {strings.Repeat("p", 73), ""},
			"wrong, with U+0000":   {"pass\x00word", known},
			"unknown, with U+0000": {"pass\x00word", ""},
			"empty":                {"", known},
			"unknown, empty":       {"", ""},
		} {
			if r := verify(t, h, c.password, c.stored); r != (Result{}) {
				t.Errorf("%s: %+v", name, r)
			}
			if got := count(); !slices.Equal(got, []scheme{h.scheme}) {
				t.Errorf("%s: %s: computed %v", algorithm, name, got)
			}
		}
	}
}

// Were the dummy met by chance, there still would be no account.
func TestAttackLOG007DummyNeverMatches(t *testing.T) {
	h := open(t, Options{})
	h.matches = func(stored, string, *arena) bool { return true }
	for _, stored := range []string{"", "rubbish"} {
		if r := verify(t, h, "password", stored); r.OK || r.Outdated {
			t.Errorf("%q: %+v", stored, r)
		}
	}
	if r := verify(t, h, strings.Repeat("p", 73), hash(t, h, "password")); r.OK {
		t.Errorf("too long: %+v", r)
	}
}

// The dummy costs what the scheme says that it does.
func TestAttackLOG008DummyCost(t *testing.T) {
	h := open(t, Options{InsecureCost: 8})
	known := hash(t, h, "password")
	fastest := func(stored string) time.Duration {
		best := time.Hour
		for range 7 {
			start := time.Now()
			verify(t, h, "passwort", stored)
			best = min(best, time.Since(start))
		}
		return best
	}
	// Without the dummy the unknown would be a thousand times as fast, and with
	// one that is made anew each time half as fast.
	for range 5 {
		a, b := fastest(known), fastest("")
		if ratio := float64(b) / float64(a); ratio > 0.7 && ratio < 1.4 {
			return
		}
	}
	t.Error("known and unknown accounts differ in time in five of five tries")
}

// 500 sign-ins at once: no more hashes than workers, memory within bounds, and
// who finds no room is told when to come again.
func TestAttackPW003ParallelSignIns(t *testing.T) {
	const workers, callers = 2, 500
	s := schemeOf(Argon2id)
	s.passes = 1 // all of the memory in half of the time
	h := newHasher(s, Options{Workers: workers, Queue: 16})
	t.Cleanup(h.Close)
	good := hash(t, h, "password")
	var now, most, done, refused atomic.Int32
	h.matches = func(s stored, p string, a *arena) bool {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return s.matches(p, a)
	}
	heap := watchHeap()
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			r, err := h.Verify(t.Context(), fmt.Sprint(i%250), secret.From("password"), good)
			var f *fault.Error
			switch {
			case err == nil && r.OK:
				done.Add(1)
			case errors.As(err, &f) && f.Kind == fault.Limited && f.After >= time.Second:
				refused.Add(1)
			default:
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	wg.Wait()
	if m := most.Load(); m != workers {
		t.Errorf("%d hashes at the same time, want %d", m, workers)
	}
	if done.Load() < 16 || done.Load()+refused.Load() != callers || refused.Load() == 0 {
		t.Errorf("%d done, %d refused", done.Load(), refused.Load())
	}
	// Each worker has its 19 MiB, and the hash before may have left as much.
	if m := heap(); m > 100<<20 {
		t.Errorf("the heap grew by %d MiB", m>>20)
	}
}

// watchHeap samples how many bytes the objects of the heap take, and returns a
// function that ends this and tells how far they rose.
func watchHeap() func() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before := read()
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		top := before
		for {
			select {
			case <-stop:
				most <- top - before
				return
			case <-time.After(time.Millisecond):
				top = max(top, read())
			}
		}
	}()
	return func() uint64 { close(stop); return <-most }
}
