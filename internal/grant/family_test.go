package grant

import (
	"errors"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

var (
	start   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	strict  = Lifetimes{Absolute: 24 * time.Hour, Idle: 4 * time.Hour}
	lenient = Lifetimes{Absolute: 24 * time.Hour, Idle: 4 * time.Hour, Grace: 10 * time.Second}
	pepper  = secret.Pepper{Version: 3, Key: make([]byte, 32)}
)

// turn is what the store does with a rotation.
func turn(f Family, r Rotation) Family {
	f.Secret, f.Previous, f.Grace, f.UsedAt, f.IdleUntil = r.To, r.From, r.Grace, r.Now, r.IdleUntil
	f.Generation++
	return f
}

// rotate takes a family through a turn.
func rotate(f Family, token RefreshToken, now time.Time, life Lifetimes) (Family, RefreshToken) {
	r, next := f.Rotate(token, now, life, pepper)
	return turn(f, r), next
}

// The table of docs/security.md.
func TestJudge(t *testing.T) {
	first, t1 := New(start, "ann", "app", lenient)
	second, t2 := rotate(first, t1, start, lenient)
	third, t3 := rotate(second, t2, start, lenient)
	strictSecond, s2 := rotate(first, t1, start, strict)
	ended := third
	ended.EndedAt = start
	stranger := t1.next([secretSize]byte{})
	for name, c := range map[string]struct {
		family Family
		token  RefreshToken
		after  time.Duration
		want   Verdict
	}{
		"the first":                               {first, t1, 0, Current},
		"the first, as long as it lives":          {first, t1, 4*time.Hour - 1, Current},
		"the first, idle for too long":            {first, t1, 4 * time.Hour, Expired},
		"a secret that never was":                 {first, stranger, 0, Reused},
		"the one to come":                         {first, t2, 0, Reused},
		"the present one":                         {third, t3, 0, Current},
		"the one before, within the grace":        {third, t2, 10*time.Second - 1, Retry},
		"the one before, at the end of the grace": {third, t2, 10 * time.Second, Reused},
		"the one before that, within the grace":   {third, t1, 0, Reused},
		"the one before, strictly":                {strictSecond, t1, 0, Reused},
		"the present one, strictly":               {strictSecond, s2, 0, Current},
		"a secret that never was, in a grace":     {third, stranger, 0, Reused},
		"ended":                                   {ended, t3, 0, Dead},
		"ended, the one before":                   {ended, t2, 0, Dead},
		"ended, before it was":                    {ended, t3, -time.Hour, Dead},
		"ended, and past its time":                {ended, t3, 48 * time.Hour, Dead},
		"past its time, a spent one":              {third, t1, 24 * time.Hour, Expired},
		"a clock that was set back":               {third, t3, -time.Hour, Current},
	} {
		if got := c.family.Judge(c.token, start.Add(c.after)); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// A family that is used all the time ends when its time has come, and one that
// is not before that (RT-008).
func TestAttackRT008LifetimeNeverSlides(t *testing.T) {
	for _, life := range []Lifetimes{strict, lenient} {
		f, token := New(start, "ann", "app", life)
		now := start
		for ; f.Judge(token, now) == Current; now = now.Add(time.Hour) {
			if now.Sub(start) > life.Absolute {
				t.Fatalf("after %v it is still accepted", now.Sub(start))
			}
			if f.IdleUntil.After(f.ExpiresAt) || f.ExpiresAt != start.Add(life.Absolute) {
				t.Fatalf("it may idle until %v and expires at %v", f.IdleUntil, f.ExpiresAt)
			}
			f, token = rotate(f, token, now, life)
		}
		if now != start.Add(life.Absolute) || f.Judge(token, now) != Expired {
			t.Errorf("it ended after %v: %d", now.Sub(start), f.Judge(token, now))
		}
		f, token = New(start, "ann", "app", life)
		if got := f.Judge(token, start.Add(life.Idle)); got != Expired {
			t.Errorf("after %v idle: %d", life.Idle, got)
		}
		short, token := New(start, "ann", "app", Lifetimes{Absolute: time.Minute, Idle: time.Hour})
		if got := short.Judge(token, start.Add(time.Minute)); got != Expired || short.IdleUntil != short.ExpiresAt {
			t.Errorf("a short life: %d, idle until %v", got, short.IdleUntil)
		}
	}
}

// Within the grace the immediate predecessor alone is a retry (RT-003).
func TestAttackRT003GraceIsOfOneGeneration(t *testing.T) {
	f, t1 := New(start, "ann", "app", lenient)
	f, t2 := rotate(f, t1, start, lenient)
	f, _ = rotate(f, t2, start.Add(2*time.Second), lenient)
	if got := f.Judge(t1, start.Add(5*time.Second)); got != Reused {
		t.Errorf("the first, after two turns: %d, want %d", got, Reused)
	}
	if got := f.Judge(t2, start.Add(5*time.Second)); got != Retry {
		t.Errorf("the second: %d, want %d", got, Retry)
	}
	if f, _ = rotate(f, t2, start, strict); f.Judge(t2, start) == Retry {
		t.Error("a grace that was set to nothing goes on")
	}
}

// However often a token is retried, its successor is one (RT-004).
func TestAttackRT004GraceGivesOneSuccessor(t *testing.T) {
	f, t1 := New(start, "ann", "app", lenient)
	f, t2 := rotate(f, t1, start, lenient)
	for range 1000 {
		if again, err := f.Again(t1, pepper); err != nil || again != t2 {
			t.Fatalf("another successor, %v", err)
		}
	}
	damaged := map[string]func(f *Family, p *secret.Pepper, token *RefreshToken){
		"another pepper":     func(_ *Family, p *secret.Pepper, _ *RefreshToken) { p.Key = append(make([]byte, 31), 1) },
		"another salt":       func(f *Family, _ *secret.Pepper, _ *RefreshToken) { f.Grace.Salt = make([]byte, 16) },
		"another generation": func(f *Family, _ *secret.Pepper, _ *RefreshToken) { f.Generation++ },
		"another secret":     func(f *Family, _ *secret.Pepper, _ *RefreshToken) { f.Secret = secret.Hash{} },
		"another token":      func(_ *Family, _ *secret.Pepper, token *RefreshToken) { *token = t2 },
	}
	for name, damage := range damaged {
		g, p, token := f, pepper, t1
		damage(&g, &p, &token)
		if again, err := g.Again(token, p); !errors.Is(err, errFork) || again != (RefreshToken{}) {
			t.Errorf("%s: %v, want no token and an error", name, err)
		}
	}
}

func TestRotate(t *testing.T) {
	f, t1 := New(start, "ann", "app", lenient)
	now := start.Add(time.Minute)
	r, next := f.Rotate(t1, now, lenient, pepper)
	if r.Family != f.ID || r.From != t1.Secret() || r.To != next.Secret() || r.Now != now || r.IdleUntil != now.Add(lenient.Idle) || next.Handle() != t1.Handle() {
		t.Errorf("the turn is %+v", r)
	}
	if len(r.Grace.Salt) != 16 || r.Grace.Pepper != pepper.Version || r.Grace.Until != now.Add(lenient.Grace) {
		t.Errorf("the grace is %+v", r.Grace)
	}
	if _, other := f.Rotate(t1, now, lenient, pepper); other == next {
		t.Error("two turns have one salt")
	}
	if r, next := f.Rotate(t1, now, strict, secret.Pepper{}); r.Grace.Salt != nil || r.Grace.Pepper != 0 || !r.Grace.Until.IsZero() || next == t1 {
		t.Errorf("a strict turn has the grace %+v", r.Grace)
	}
	late := f.ExpiresAt.Add(-time.Minute)
	if r, _ := f.Rotate(t1, late, lenient, pepper); r.IdleUntil != f.ExpiresAt {
		t.Errorf("a late turn idles until %v", r.IdleUntil)
	}
}
