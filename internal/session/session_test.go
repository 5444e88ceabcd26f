package session

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	life  = Lifetimes{Absolute: 10 * time.Hour, Idle: time.Hour}
)

func TestCookieFindsItsSession(t *testing.T) {
	s, cookie := New(start, "ann", []string{"pwd"}, principal.Origin{Address: "192.0.2.1", UserAgent: "browser"}, life)
	hash, ok := ParseCookie(cookie)
	if !ok || !hash.Equal(s.Secret) || len(cookie.Reveal()) != 43 {
		t.Fatalf("the cookie of %d characters has the digest %x, %t; want %x", len(cookie.Reveal()), hash, ok, s.Secret)
	}
	if s.Address != "192.0.2.1" || s.UserAgent != "browser" || s.User != "ann" || !s.Live(start) {
		t.Errorf("the session is %+v", s)
	}
}

func TestSessionLives(t *testing.T) {
	s, _ := New(start, "ann", nil, principal.Origin{}, life)
	used := s
	used.IdleUntil = life.IdleUntil(start.Add(9*time.Hour+30*time.Minute), s.ExpiresAt)
	ended := s
	ended.EndedAt = start
	for name, c := range map[string]struct {
		s    Session
		at   time.Duration
		want bool
	}{
		"at once":                     {s, 0, true},
		"nearly idle":                 {s, time.Hour - time.Microsecond, true},
		"idle":                        {s, time.Hour, false},
		"used":                        {used, 9 * time.Hour, true},
		"nearly at its end":           {used, 10*time.Hour - time.Microsecond, true},
		"at its end, though not idle": {used, 10 * time.Hour, false},
		"ended":                       {ended, 0, false},
		"ended, the clock set back":   {ended, -time.Hour, false},
	} {
		if got := c.s.Live(start.Add(c.at)); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func hostileCookies() []string {
	good := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	return []string{
		"", "x", good[1:], good + "A", good + "=", "\n" + good[1:], good[:20] + "\r\n" + good[22:], good[:42] + "B", // bits past the last byte
		strings.ReplaceAll(good, "A", "+"), " " + good[1:], strings.Repeat("A", 1<<16), good[:42] + "\x00", good[:41] + "é",
	}
}

func TestParseCookieRefuses(t *testing.T) {
	for _, bad := range hostileCookies() {
		if hash, ok := ParseCookie(secret.From(bad)); ok {
			t.Errorf("%.60q is the cookie of %x", bad, hash)
		}
	}
}

// Ids are random to every bit (SES-014): none comes twice, and each bit is set
// half of the time.
func TestAttackSES014Ids(t *testing.T) {
	const n = 20_000
	seen := make(map[secret.Hash]bool, n)
	var set [256]int
	for range n {
		_, cookie := New(start, "ann", nil, principal.Origin{}, life)
		raw, err := base64.RawURLEncoding.DecodeString(cookie.Reveal())
		if err != nil || len(raw) != 32 {
			t.Fatal(raw, err)
		}
		hash, _ := ParseCookie(cookie)
		if seen[hash] {
			t.Fatal("a secret came twice")
		}
		seen[hash] = true
		for i := range set {
			set[i] += int(raw[i/8]>>(i%8)) & 1
		}
	}
	for i, times := range set {
		if times < n/2-500 || times > n/2+500 { // seven standard deviations
			t.Errorf("bit %d is set %d times of %d", i, times, n)
		}
	}
}

var (
	pepper  = secret.Pepper{Version: 2, Key: []byte(strings.Repeat("k", 32))}
	old     = secret.Pepper{Version: 1, Key: []byte(strings.Repeat("o", 32))}
	peppers = secret.Versions{pepper, old}
)

func TestDeviceKnowsWhoSignedIn(t *testing.T) {
	d := NewDevice()
	for _, user := range []string{"a", "b", "c", "d", "e"} {
		d = d.With(user, pepper)
	}
	d = d.With("a", pepper) // again: the newest now
	d = d.With("f", pepper)
	text := d.Cookie(pepper).Reveal()
	got, p, ok := ParseDevice(text, peppers)
	if !ok || got.ID != d.ID || p.Version != 2 || len(text) > 200 {
		t.Fatalf("%q is read as %+v, %+v, %t", text, got, p, ok)
	}
	for user, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true, "e": true, "f": true, "g": false, "": false} {
		if got.Knows(user, p) != want {
			t.Errorf("it knows %q: %t", user, !want)
		}
	}
	if strings.Contains(text, ".a.") || got.Knows("a", old) {
		t.Error("the cookie names an account, or another key opens it")
	}
}

// A cookie that was forged, changed or moved to another device knows nobody
// (LOG-010).
func TestAttackLOG010ForgedDevice(t *testing.T) {
	mine := NewDevice().With("mallory", pepper)
	hers := NewDevice().With("ann", pepper)
	for name, d := range map[string]Device{
		"another's":                 mine,
		"her MAC on my device":      {ID: mine.ID, macs: hers.macs},
		"my MAC on her device":      {ID: hers.ID, macs: mine.macs},
		"both":                      {ID: mine.ID, macs: append(mine.macs, hers.macs...)},
		"no MAC":                    {ID: hers.ID},
		"of a key that is no more":  NewDevice().With("ann", secret.Pepper{Version: 3, Key: []byte(strings.Repeat("x", 32))}),
		"a digest without the key":  {ID: hers.ID, macs: []string{base64.RawURLEncoding.EncodeToString(make([]byte, 16))}},
		"a MAC under the older key": {ID: hers.ID, macs: NewDevice().With("ann", old).macs},
	} {
		if d.Knows("ann", pepper) {
			t.Errorf("%s: it knows ann", name)
		}
	}
	text := hers.Cookie(pepper).Reveal()
	for i := range len(text) {
		for _, c := range []byte{'A', '.', '-', '0', 0, '\n'} {
			if text[i] == c {
				continue
			}
			changed := text[:i] + string(c) + text[i+1:]
			if d, p, ok := ParseDevice(changed, peppers); ok && d.Knows("ann", p) {
				t.Errorf("%q, changed from %q, knows ann", changed, text)
			}
		}
	}
}

func FuzzParseDevice(f *testing.F) {
	f.Add(NewDevice().With("bea", pepper).With("eve", pepper).Cookie(pepper).Reveal())
	f.Add("2..")
	f.Add("02." + strings.Repeat("A", 22) + "." + strings.Repeat("A", 22))
	f.Add("-1." + strings.Repeat("A", 22) + "." + strings.Repeat("A", 22))
	f.Fuzz(func(t *testing.T, text string) {
		d, p, ok := ParseDevice(text, peppers)
		if !ok {
			return
		}
		if d.Cookie(p).Reveal() != text || len(text) > 512 {
			t.Errorf("%q is read as what is written %q", text, d.Cookie(p).Reveal())
		}
		if d.Knows("zoe", p) { // no seed is hers, not even one that a cache kept
			t.Errorf("%q knows zoe", text)
		}
	})
}

func FuzzParseCookie(f *testing.F) {
	for _, bad := range hostileCookies() {
		if len(bad) < 100 {
			f.Add(bad)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		hash, ok := ParseCookie(secret.From(text))
		if !ok {
			return
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || base64.RawURLEncoding.EncodeToString(raw) != text || secret.HashOf(raw) != hash {
			t.Errorf("%q is a cookie", text)
		}
	})
}

// What came to its time is over, whatever the clock says later; where that cannot
// be written, nobody is told that there is no session.
func TestOverStaysOver(t *testing.T) {
	now := start
	in, cookie := New(now, "ann", nil, principal.Origin{}, life)
	kept := &uses{in: in}
	s := NewService(kept, clock.Func(func() time.Time { return now }))
	now = in.IdleUntil
	kept.err = fault.New(fault.Unavailable, "the database is away")
	if _, err := s.Of(t.Context(), principal.Principal{}, cookie); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("while its end cannot be written: %v", err)
	}
	kept.in, kept.err = in, nil
	for _, at := range []time.Time{in.IdleUntil, start, start.Add(-time.Hour)} {
		now = at
		if _, err := s.Of(t.Context(), principal.Principal{}, cookie); fault.KindOf(err) != fault.NotFound {
			t.Errorf("at %v: %v", at, err)
		}
	}
}

// uses keeps one session, and counts the writes.
type uses struct {
	Store
	in     Session
	writes int
	err    error
}

func (u *uses) SessionBySecret(context.Context, secret.Hash) (Session, error) {
	return u.in, nil
}

func (u *uses) TouchSession(_ context.Context, _ string, now, idle time.Time) error {
	if u.err == nil {
		u.writes++
		u.in.UsedAt, u.in.IdleUntil = now, idle
	}
	return u.err
}

func (u *uses) EndSession(context.Context, principal.Principal, secret.Hash, string) error {
	u.in.EndedAt = u.in.CreatedAt
	return u.err
}

// A use moves the idle end, with a write a minute at the most, or ten in the time
// that the session may lie idle, if that is short.
func TestUse(t *testing.T) {
	for _, tt := range []struct {
		idle, every time.Duration
		uses        int
		writes      int
	}{
		{time.Hour, time.Second, 120, 2}, {time.Hour, time.Minute, 10, 10}, {time.Hour, 59 * time.Minute, 3, 3}, {time.Hour, 61 * time.Minute, 1, 0}, {10 * time.Second, 5 * time.Second, 20, 20},
	} {
		now := time.Date(2026, 11, 24, 5, 0, 0, 0, time.UTC)
		in, cookie := New(now, "ann", nil, principal.Origin{}, Lifetimes{Absolute: 24 * time.Hour, Idle: tt.idle})
		kept := &uses{in: in}
		s := NewService(kept, clock.Func(func() time.Time { return now }))
		for i := range tt.uses {
			now = now.Add(tt.every)
			if _, err := s.Use(t.Context(), principal.Principal{}, cookie, tt.idle); (fault.KindOf(err) == fault.NotFound) != (tt.every > tt.idle) {
				t.Errorf("%v: use %d after %v: %v", tt.idle, i, tt.every, err)
			}
		}
		if kept.writes != tt.writes {
			t.Errorf("%d uses every %v were %d writes, want %d", tt.uses, tt.every, kept.writes, tt.writes)
		}
		now = in.CreatedAt.Add(time.Hour)
		kept.in = in
		kept.in.IdleUntil = now.Add(time.Hour)
		kept.err = fault.New(fault.Unauthenticated, "the session is over")
		if _, err := s.Use(t.Context(), principal.Principal{}, cookie, tt.idle); fault.KindOf(err) != fault.NotFound {
			t.Errorf("a session that ended meanwhile: %v", err)
		}
	}
}
