package keyring

import (
	"slices"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

const day = 24 * time.Hour

// Where a key was withdrawn, the one before it does not come back, whatever their
// algorithms: it may have been replaced for a reason.
func TestAttackWithdrawnKeyRevivesNothing(t *testing.T) {
	type key struct {
		alg     jose.Algorithm
		from    time.Duration // after the start
		retired time.Duration // after the start; 0 if it is not
	}
	for _, tt := range []struct {
		name string
		keys []key
		want []State
	}{
		{"the middle one", []key{{"ES256", -700 * day, 0}, {"ES256", -365 * day, -time.Second}, {"ES256", -time.Minute, 0}}, []State{Gone, Gone, Active}},
		{"the middle one, of another algorithm", []key{{"ES256", -700 * day, 0}, {"EdDSA", -365 * day, -time.Second}, {"ES256", -time.Minute, 0}}, []State{Gone, Gone, Active}},
		{"the last one", []key{{"ES256", -700 * day, 0}, {"ES256", -365 * day, -time.Second}}, []State{Gone, Gone}},
		{"the last one, of another algorithm", []key{{"ES256", -700 * day, 0}, {"EdDSA", -365 * day, -time.Second}}, []State{Gone, Gone}},
		{"the last one, just after it began", []key{{"ES256", -700 * day, 0}, {"ES256", -time.Minute, -time.Second}}, []State{Retiring, Gone}},
		{"all after the first", []key{{"ES256", -700 * day, 0}, {"RS256", -300 * day, -2 * time.Second}, {"EdDSA", -200 * day, -time.Second}}, []State{Gone, Gone, Gone}},
		{"the last of its algorithm", []key{{"ES256", -700 * day, 0}, {"ES256", -365 * day, -time.Second}, {"EdDSA", -30 * day, 0}}, []State{Gone, Gone, Active}},
		// One that never signed replaced nothing.
		{"one that was only published", []key{{"ES256", -700 * day, 0}, {"ES256", time.Hour, -time.Second}}, []State{Active, Gone}},
		{"one whose time has come since", []key{{"ES256", -700 * day, 0}, {"EdDSA", -time.Hour, -2 * time.Hour}}, []State{Active, Gone}},
		{"one that was overtaken", []key{{"ES256", -700 * day, 0}, {"EdDSA", time.Hour, -time.Second}, {"ES256", -day, 0}}, []State{Gone, Gone, Active}},
		// And without any that was withdrawn.
		{"algorithms there and back", []key{{"ES256", -20 * day, 0}, {"EdDSA", -10 * day, 0}, {"ES256", -time.Minute, 0}}, []State{Gone, Retiring, Active}},
		{"another algorithm, published ahead", []key{{"ES256", -20 * day, 0}, {"EdDSA", time.Hour, 0}}, []State{Active, Next}},
	} {
		var all []Key
		for i, k := range tt.keys {
			key := Key{Alg: k.alg, Ordinal: int64(i + 1), ActiveFrom: start.Add(k.from)}
			if k.retired != 0 {
				key.RetiredAt = start.Add(k.retired)
			}
			all = append(all, key)
		}
		for i, want := range tt.want {
			if got := StateOf(all[i], all, start, keep); got != want {
				t.Errorf("%s: key %d is %s, want %s", tt.name, i+1, got, want)
			}
			if later := StateOf(all[i], all, start.Add(1000*day), keep); want == Gone && later != Gone {
				t.Errorf("%s: key %d has come back as %s", tt.name, i+1, later)
			}
		}
	}
}

// servers are started on one keyring, at a time that a test moves.
type servers struct {
	*shelf
	now    time.Time
	sealer func() (*secret.Sealer, error)
}

func newServers() *servers {
	master := secret.NewMaster()
	return &servers{shelf: &shelf{}, now: start, sealer: func() (*secret.Sealer, error) { return secret.ParseSealer(master) }}
}

func (v *servers) start(t *testing.T, alg jose.Algorithm) *Service {
	t.Helper()
	s := NewService(v, clock.Func(func() time.Time { return v.now }), Options{Algorithm: alg, PublishAhead: day, Keep: keep}, v.sealer)
	if err := s.Start(t.Context()); err != nil {
		t.Fatalf("a start with %s: %v", alg, err)
	}
	return s
}

// signing returns the key that signs, and those that are published.
func signing(t *testing.T, s *Service) (k Key, published []string) {
	t.Helper()
	if _, err := s.View(); err != nil {
		t.Fatal(err)
	}
	keys, states := s.Keys()
	for i := range keys {
		if states[i] == Active {
			k = keys[i]
		}
		if states[i] != Gone {
			published = append(published, keys[i].ID)
		}
	}
	return k, published
}

// An algorithm that is chosen, left and chosen again gets a key of its own each
// time, which is published for a day before it signs.
func TestAlgorithmThereAndBack(t *testing.T) {
	v := newServers()
	var before Key
	for i, alg := range []jose.Algorithm{jose.ES256, jose.EdDSA, jose.ES256, jose.EdDSA, jose.EdDSA} {
		s := v.start(t, alg)
		at, published := signing(t, s)
		if i > 0 && at.ID != before.ID {
			t.Errorf("start %d: another key signs at once", i)
		}
		v.now = v.now.Add(day)
		k, after := signing(t, s)
		if !slices.Contains(published, k.ID) || !slices.Contains(after, at.ID) {
			t.Errorf("start %d: who signs was not published before, or who signed is not after", i)
		}
		if k.Alg != alg || (k.ID == before.ID) != (i == 4) {
			t.Errorf("start %d: a day later %s signs, of %s, after %s", i, k.ID, k.Alg, before.ID)
		}
		before = k
	}
}

// A server that starts where no key signs makes one that does, at once; where one
// does, none that does before it was published.
func TestStartWhereNoneSigns(t *testing.T) {
	retire := func(v *servers, i int) { v.keys[i].RetiredAt = v.now }
	for _, tt := range []struct {
		name   string
		spoil  func(t *testing.T, v *servers) // begins with one key for ES256, which signs
		starts jose.Algorithm
		made   int
		atOnce bool
	}{
		{"a good one", func(*testing.T, *servers) {}, jose.ES256, 0, false},
		{"the only key is withdrawn", func(_ *testing.T, v *servers) { retire(v, 0) }, jose.ES256, 1, true},
		{"the only key is withdrawn, another algorithm", func(_ *testing.T, v *servers) { retire(v, 0) }, jose.EdDSA, 1, true},
		{"the clock was set back", func(_ *testing.T, v *servers) { v.now = v.now.Add(-2 * time.Hour) }, jose.ES256, 1, true},
		{"the newer one is withdrawn", func(t *testing.T, v *servers) {
			v.start(t, jose.EdDSA)
			v.now = v.now.Add(2 * day)
			retire(v, 1)
		}, jose.EdDSA, 1, true},
		{"the newer one is withdrawn, and the older algorithm is meant", func(t *testing.T, v *servers) {
			v.start(t, jose.EdDSA)
			v.now = v.now.Add(2 * day)
			retire(v, 1)
		}, jose.ES256, 1, true},
		{"the key to come is withdrawn", func(t *testing.T, v *servers) {
			v.start(t, jose.EdDSA)
			retire(v, 1)
		}, jose.EdDSA, 1, false},
		{"the key to come was overtaken by one of the old algorithm", func(t *testing.T, v *servers) {
			old := v.start(t, jose.ES256)
			v.start(t, jose.EdDSA)
			if err := old.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := old.Rotate(t.Context(), principal.Principal{}, 0); err != nil {
				t.Fatal(err)
			}
			v.now = v.now.Add(time.Hour)
		}, jose.EdDSA, 1, false},
	} {
		v := newServers()
		v.start(t, jose.ES256)
		v.now = v.now.Add(time.Hour)
		tt.spoil(t, v)
		n := len(v.keys)
		s := v.start(t, tt.starts)
		if got := len(v.keys) - n; got != tt.made {
			t.Errorf("%s: %d keys were made, want %d", tt.name, got, tt.made)
			continue
		}
		if k, _ := signing(t, s); tt.made > 0 && (k.ID == v.keys[len(v.keys)-1].ID) != tt.atOnce {
			t.Errorf("%s: it signs at once: %v", tt.name, !tt.atOnce)
		}
		if v.start(t, tt.starts); len(v.keys)-n != tt.made {
			t.Errorf("%s: the next start made another one", tt.name)
		}
		v.now = v.now.Add(2 * day)
		if k, _ := signing(t, s); k.Alg != tt.starts {
			t.Errorf("%s: two days later %s signs", tt.name, k.Alg)
		}
	}
}
