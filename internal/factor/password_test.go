package factor

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
)

// open returns a Hasher that is cheap, and closed after the test.
func open(t testing.TB, o Options) *Hasher {
	t.Helper()
	s := schemeOf(o.Algorithm)
	if s.algorithm == Argon2id {
		s.memory = 256
	} else if s.cost = o.InsecureCost; s.cost == 0 {
		s.cost = 4
	}
	h := newHasher(s, o)
	t.Cleanup(h.Close)
	return h
}

// computed makes h remember the schemes that it computes.
func computed(h *Hasher) func() []scheme {
	var mu sync.Mutex
	var schemes []scheme
	h.matches = func(s stored, p string, a *arena) bool {
		mu.Lock()
		schemes = append(schemes, s.scheme)
		mu.Unlock()
		return s.matches(p, a)
	}
	return func() []scheme {
		mu.Lock()
		defer mu.Unlock()
		got := schemes
		schemes = nil
		return got
	}
}

func hash(t testing.TB, h *Hasher, password string) string {
	t.Helper()
	text, err := h.Hash(t.Context(), "test", secret.From(password))
	if err != nil {
		t.Fatalf("Hash(%q): %v", password, err)
	}
	return text
}

func verify(t testing.TB, h *Hasher, password, stored string) Result {
	t.Helper()
	r, err := h.Verify(t.Context(), "test", secret.From(password), stored)
	if err != nil {
		t.Fatalf("Verify(%q, %q): %v", password, stored, err)
	}
	return r
}

func TestHashAndVerify(t *testing.T) {
	for _, algorithm := range []string{Bcrypt, Argon2id} {
		t.Run(algorithm, func(t *testing.T) {
			h := open(t, Options{Algorithm: algorithm})
			for _, p := range []string{"correct horse", " leading and trailing ", "påsswörd", "密码密码密码密码", "😀", strings.Repeat("x", 72)} {
				text := hash(t, h, p)
				if got := verify(t, h, p, text); got != (Result{OK: true}) {
					t.Errorf("Verify(%q) of its own hash %s = %+v", p, text, got)
				}
				for _, other := range []string{p + "x", p + " ", "x" + p, strings.ToUpper(p) + "?", strings.TrimSpace(p) + "\n", "", "\x00", p + "\x00"} {
					if r := verify(t, h, other, text); r != (Result{}) {
						t.Errorf("Verify(%q) against the hash of %q = %+v", other, p, r)
					}
				}
				if hash(t, h, p) == text {
					t.Errorf("two hashes of %q are equal: the salt is not random", p)
				}
			}
		})
	}
}

func TestHashForm(t *testing.T) {
	if got := hash(t, open(t, Options{InsecureCost: 5}), "password"); !strings.HasPrefix(got, "$2a$05$") || len(got) != 60 {
		t.Errorf("bcrypt: %s", got)
	}
	a := NewHasher(Options{Algorithm: Argon2id, Workers: 1})
	defer a.Close()
	if got := hash(t, a, "password"); !strings.HasPrefix(got, "$argon2id$v=19$m=19456,t=2,p=1$") || len(got) != 31+22+1+43 {
		t.Errorf("argon2id: %s (%d)", got, len(got))
	}
}

func TestDefaults(t *testing.T) {
	h := NewHasher(Options{Workers: 3})
	defer h.Close()
	if got, want := h.Describe(), "bcrypt cost 12; workers 3, queue 96"; got != want {
		t.Errorf("Describe() = %q, want %q", got, want)
	}
	a := NewHasher(Options{Algorithm: Argon2id, Workers: 1, Queue: 7})
	defer a.Close()
	if got, want := a.Describe(), "argon2id m=19456,t=2,p=1; workers 1, queue 7"; got != want {
		t.Errorf("Describe() = %q, want %q", got, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("an unknown algorithm is taken")
		}
	}()
	NewHasher(Options{Algorithm: "md5"})
}

// The vectors are those of Openwall's crypt_blowfish and of jBCrypt.
func TestVerifyKnownBcrypt(t *testing.T) {
	h := open(t, Options{})
	for _, v := range []struct{ password, hash string }{
		{"a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"},
		{"abc", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"},
		{"abcdefghijklmnopqrstuvwxyz", "$2a$06$.rCVZVOThsIa97pEDOxvGuRRgzG64bvtJ0938xuqzv18d3ZpQhstC"},
		{"~!@#$%^&*()      ~!@#$%^&*()PNBFRD", "$2a$06$fPIsBO8qRqkjj273rfaOI.HtSV9jLDpTbZn782DC6/t7qT67P6FfO"},
		{"U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
		{"U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
		{"U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
		{"U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"},
	} {
		if got := verify(t, h, v.password, v.hash); got != (Result{OK: true, Outdated: true}) {
			t.Errorf("%q: %+v", v.password, got)
		}
		if got := verify(t, h, v.password+"!", v.hash); got != (Result{}) {
			t.Errorf("%q!: %+v", v.password, got)
		}
	}
}

func TestVerifyNormalises(t *testing.T) {
	h := open(t, Options{})
	composed, decomposed := "caf\u00e9 cr\u00e8me", "cafe\u0301 cre\u0300me"
	if !verify(t, h, decomposed, hash(t, h, composed)).OK || !verify(t, h, composed, hash(t, h, decomposed)).OK {
		t.Error("the two ways to write é are two passwords")
	}
	// NFKC and case folding would make these equal.
	for _, pair := range [][2]string{{"ﬁne words", "fine words"}, {"１２３４５６７８", "12345678"}, {"Straße", "strasse"}} {
		if verify(t, h, pair[0], hash(t, h, pair[1])).OK {
			t.Errorf("%q is taken for %q", pair[0], pair[1])
		}
	}
}

func TestRefusedForAll(t *testing.T) {
	for _, algorithm := range []string{Bcrypt, Argon2id} {
		h := open(t, Options{Algorithm: algorithm})
		count := computed(h)
		good := hash(t, h, "password")
		for name, p := range map[string]string{
			"513 bytes":                  strings.Repeat("a", 513),
			"512 bytes of which 1 grows": strings.Repeat("a", 510) + "\u0344", // NFC: U+0308 U+0301
			"513 bytes of which 171 go":  strings.Repeat("e\u0301", 171),
			"a lone byte":                "pass\xffword",
			"an overlong slash":          "pass\xc0\xafword",
			"a surrogate":                "pass\xed\xa0\x80word",
		} {
			for _, stored := range []string{"", good, "rubbish"} {
				r, err := h.Verify(t.Context(), "test", secret.From(p), stored)
				var f *fault.Error
				if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != "password" || r != (Result{}) {
					t.Errorf("%s: Verify of %s = %+v, %v", algorithm, name, r, err)
				}
			}
			if _, err := h.Hash(t.Context(), "test", secret.From(p)); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: Hash of %s: %v", algorithm, name, err)
			}
		}
		if n := len(count()); n != 0 {
			t.Errorf("%s: %d hashes were computed", algorithm, n)
		}
	}
}

func TestHashRefusesWhatBcryptCannotHold(t *testing.T) {
	b, a := open(t, Options{}), open(t, Options{Algorithm: Argon2id})
	for _, p := range []string{strings.Repeat("a", 73), strings.Repeat("é", 37), "pass\x00word", "\x00"} {
		if _, err := b.Hash(t.Context(), "test", secret.From(p)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("bcrypt: Hash(%q): %v", p, err)
		}
		if !verify(t, a, p, hash(t, a, p)).OK {
			t.Errorf("argon2id does not hold %q", p)
		}
	}
	for _, h := range []*Hasher{a, b} {
		if _, err := h.Hash(t.Context(), "test", secret.From("")); fault.KindOf(err) != fault.Invalid {
			t.Errorf("the empty password: %v", err)
		}
	}
}

func TestOutdated(t *testing.T) {
	b4, b5, a := open(t, Options{InsecureCost: 4}), open(t, Options{InsecureCost: 5}), open(t, Options{Algorithm: Argon2id})
	long := strings.Repeat("long ", 20)
	weaker := a.scheme
	weaker.memory = 64
	salt := []byte("0123456789abcdef")
	weak := phc(weaker, salt, new(arena).argon2id(weaker, "password", salt))
	for _, c := range []struct {
		name             string
		h                *Hasher
		password, stored string
		want             bool
	}{
		{"the same bcrypt", b4, "password", hash(t, b4, "password"), false},
		{"the same bcrypt under another name", b4, "password", "$2y" + hash(t, b4, "password")[3:], false},
		{"bcrypt of less", b5, "password", hash(t, b4, "password"), true},
		{"bcrypt of more", b4, "password", hash(t, b5, "password"), true},
		{"bcrypt for argon2id", a, "password", hash(t, b4, "password"), true},
		{"the same argon2id", a, "password", hash(t, a, "password"), false},
		{"argon2id of less", a, "password", weak, true},
		{"argon2id for bcrypt", b4, "password", hash(t, a, "password"), true},
		{"argon2id for bcrypt, 72 bytes", b4, long[:72], hash(t, a, long[:72]), true},
		{"argon2id for bcrypt, too long for it", b4, long, hash(t, a, long), false},
		{"argon2id for bcrypt, with U+0000", b4, "pass\x00word", hash(t, a, "pass\x00word"), false},
	} {
		if got := verify(t, c.h, c.password, c.stored); got != (Result{OK: true, Outdated: c.want}) {
			t.Errorf("%s: %+v", c.name, got)
		}
		if got := verify(t, c.h, c.password+"?", c.stored); got != (Result{}) {
			t.Errorf("%s, a wrong password: %+v", c.name, got)
		}
	}
}

func TestContextEnds(t *testing.T) {
	h := open(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	count := computed(h)
	if _, err := h.Verify(ctx, "test", secret.From("password"), ""); !errors.Is(err, context.Canceled) || fault.KindOf(err) != 0 {
		t.Errorf("Verify: %v", err)
	}
	if text, err := h.Hash(ctx, "test", secret.From("password")); !errors.Is(err, context.Canceled) || text != "" {
		t.Errorf("Hash: %q, %v", text, err)
	}
	if n := len(count()); n != 0 {
		t.Errorf("%d hashes for nobody", n)
	}
}

func TestVerifyAfterClose(t *testing.T) {
	h := NewHasher(Options{InsecureCost: 4, Workers: 1})
	good := hash(t, h, "password")
	h.Close()
	h.Close()
	r, err := h.Verify(t.Context(), "test", secret.From("password"), good)
	if r != (Result{}) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := h.Hash(t.Context(), "test", secret.From("password")); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
}

func TestPanicIsIsolated(t *testing.T) {
	h := open(t, Options{Workers: 1})
	good := hash(t, h, "password")
	h.matches = func(stored, string, *arena) bool { panic("the password is hunter2") }
	r, err := h.Verify(t.Context(), "test", secret.From("hunter2"), good)
	if r != (Result{}) || !errors.Is(err, errPanic) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%+v, %v", r, err)
	}
	h.matches = func(stored, string, *arena) bool { var none []int; return none[len(good)] == 0 }
	if r, err = h.Verify(t.Context(), "test", secret.From("password"), good); r.OK || !errors.Is(err, errPanic) {
		t.Errorf("%+v, %v", r, err)
	}
	h.matches = stored.matches
	if !verify(t, h, "password", good).OK {
		t.Error("the worker did not survive")
	}
}

// The estimate of a wait comes from the time that hashes take.
func TestWaitEstimate(t *testing.T) {
	for _, c := range []struct{ mean, want time.Duration }{
		{time.Millisecond, time.Second},
		{900 * time.Millisecond, 5 * time.Second},
		{time.Second, 5 * time.Second},
		{time.Second + 1, 6 * time.Second},
	} {
		d := &door{workers: 2, waiting: 10, mean: c.mean}
		var f *fault.Error
		if !errors.As(d.full(), &f) || f.Kind != fault.Limited || f.After != c.want {
			t.Errorf("at %v each: %+v, want %v", c.mean, f, c.want)
		}
	}
	d := &door{mean: time.Second}
	d.took(-time.Hour)
	d.took(time.Hour)
	if d.mean != time.Second {
		t.Errorf("a clock that was set counts: %v", d.mean)
	}
	for range 100 {
		d.took(100 * time.Millisecond)
	}
	if d.mean > 110*time.Millisecond {
		t.Errorf("the mean does not follow: %v", d.mean)
	}
}
