package keyring

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// shelf is a Store in memory.
type shelf struct {
	mu      sync.Mutex
	keys    []Sealed // for access tokens
	audit   []Sealed
	peppers []SealedPepper
	longest time.Duration
}

func (s *shelf) LongestToken(context.Context) (time.Duration, error) { return s.longest, nil }

func (s *shelf) SigningKeys(context.Context) ([]Sealed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.keys, s.audit), nil
}

func (s *shelf) CreateSigningKey(_ context.Context, k Sealed, _ audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := &s.keys
	if k.Purpose == Audit {
		of = &s.audit
	}
	if slices.ContainsFunc(*of, func(o Sealed) bool { return o.Purpose == k.Purpose && o.Ordinal == k.Ordinal }) {
		return fault.New(fault.Conflict, "taken")
	}
	*of = append(*of, k)
	return nil
}

func (s *shelf) RetireSigningKey(_ context.Context, id string, at time.Time, _ audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.keys, func(k Sealed) bool { return k.ID == id && k.RetiredAt.IsZero() })
	if i < 0 {
		return fault.New(fault.NotFound, "no such key")
	}
	s.keys[i].RetiredAt = at
	return nil
}

func (s *shelf) Peppers(context.Context) ([]SealedPepper, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.peppers), nil
}

func (s *shelf) CreatePepper(_ context.Context, p SealedPepper, _ audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peppers = append(s.peppers, p)
	return nil
}

func (s *shelf) Reseal(context.Context, func(string, []byte) ([]byte, error), audit.Event) (int, error) {
	panic("not here")
}

// token is one that was signed, as the verifiers of this test see it.
type token struct {
	kid    string
	signed time.Time
}

// published is a JWK Set at a time.
type published struct {
	at   time.Time
	kids []string
}

const (
	lifetime = 15 * time.Minute // of tokens
	maxAge   = 5 * time.Minute  // of a verifier's copy
	aheadOf  = time.Hour
)

// world is a server's keyring, its operators and its verifiers over time.
type world struct {
	*shelf
	now     time.Time
	server  *Service
	options Options
	sealer  func() (*secret.Sealer, error)
	tokens  []token
	sets    []published
	atOnce  map[string]bool // keys that were not published ahead
	retired map[string]bool
}

// At every moment one key signs; what was signed verifies as long as it lives,
// with the keys of the moment and with a copy that is as old as verifiers may
// keep one, whatever operators do. Only what an operator withdraws stops at once,
// and only a key that was not to be published ahead is news to a verifier.
func TestRotationOverTime(t *testing.T) {
	master := secret.NewMaster()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{shelf: &shelf{}, now: start, atOnce: map[string]bool{}, retired: map[string]bool{}}
		w.sealer = func() (*secret.Sealer, error) { return secret.ParseSealer(master) }
		w.options = Options{Algorithm: jose.EdDSA, PublishAhead: aheadOf, Keep: lifetime + time.Minute}
		w.restart(t)
		t.Repeat(map[string]func(*rapid.T){
			"":               w.check,
			"wait a little":  func(t *rapid.T) { w.wait(time.Duration(rapid.IntRange(1, 600).Draw(t, "seconds")) * time.Second) },
			"wait a while":   func(t *rapid.T) { w.wait(time.Duration(rapid.IntRange(1, 200).Draw(t, "minutes")) * time.Minute) },
			"rotate":         func(t *rapid.T) { w.rotate(t, aheadOf) },
			"rotate at once": func(t *rapid.T) { w.rotate(t, 0) },
			"retire":         w.retire,
			"restart":        w.restart,
			"another algorithm": func(t *rapid.T) {
				w.options.Algorithm = rapid.SampledFrom([]jose.Algorithm{jose.EdDSA, jose.ES256}).Draw(t, "algorithm")
				w.restart(t)
			},
		})
	})
}

func (w *world) wait(d time.Duration) { w.now = w.now.Add(d) }

func (w *world) restart(t *rapid.T) {
	before := len(w.keys)
	w.server = NewService(w.shelf, clock.Func(func() time.Time { return w.now }), w.options, w.sealer)
	if err := w.server.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, k := range w.keys[before:] {
		w.atOnce[k.ID] = k.ActiveFrom.Equal(k.CreatedAt)
	}
}

func (w *world) rotate(t *rapid.T, ahead time.Duration) {
	k, err := w.server.Rotate(context.Background(), principal.Principal{}, ahead)
	if err != nil {
		t.Fatal(err)
	}
	w.atOnce[k.ID] = ahead == 0
}

func (w *world) retire(t *rapid.T) {
	k := rapid.SampledFrom(w.keys).Draw(t, "key")
	before, err := w.server.View()
	if err != nil {
		t.Fatal(err)
	}
	signing := w.sign(t, before).kid
	switch err := w.server.Retire(context.Background(), principal.Principal{}, k.ID); {
	case k.ID == signing && fault.KindOf(err) != fault.Conflict:
		t.Fatalf("the key that signs was withdrawn: %v", err)
	case k.ID != signing && !w.retired[k.ID] && err != nil:
		t.Fatalf("a key that does not sign was not withdrawn: %v", err)
	case k.ID != signing && w.retired[k.ID] && fault.KindOf(err) != fault.NotFound:
		t.Fatalf("a key was withdrawn twice: %v", err)
	case err == nil:
		w.retired[k.ID] = true
	}
}

func (w *world) sign(t *rapid.T, v *View) token {
	text, err := v.Signer.Sign([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ Alg, Kid string }
	part, _, _ := strings.Cut(text, ".")
	if raw, err := base64.RawURLEncoding.DecodeString(part); err != nil || json.Unmarshal(raw, &header) != nil || header.Alg != string(v.Algorithm) {
		t.Fatalf("the token %s, %v", text, err)
	}
	return token{header.Kid, w.now}
}

func (w *world) check(t *rapid.T) {
	view, err := w.server.View()
	if err != nil {
		t.Fatal(err)
	}
	keys, states := w.server.Keys()
	active := ""
	for i, k := range keys {
		if states[i] == Active {
			active += k.ID
		}
		if k.Private != nil {
			t.Fatal("a list of keys holds private ones")
		}
	}
	signed := w.sign(t, view)
	if signed.kid != active {
		t.Fatalf("%s signs, and active is %q", signed.kid, active)
	}
	w.tokens = append(w.tokens, signed)
	fresh, err := newView(w.server.loaded.Load().keys, w.options.Keep, w.now)
	if err != nil || !bytes.Equal(fresh.JWKS, view.JWKS) || fresh.ETag != view.ETag {
		t.Fatalf("what is published is kept for too long: %s, and it should be %s, %v", view.JWKS, fresh.JWKS, err)
	}
	w.sets = append(w.sets, published{w.now, kids(t, view.JWKS)})
	w.tokens = slices.DeleteFunc(w.tokens, func(t token) bool { return w.retired[t.kid] || !w.now.Before(t.signed.Add(lifetime)) })
	w.sets = slices.DeleteFunc(w.sets, func(old published) bool { return w.now.Sub(old.at) > maxAge })
	for _, token := range w.tokens {
		if !slices.Contains(w.sets[len(w.sets)-1].kids, token.kid) {
			t.Fatalf("a token of %v is refused after %v", token, w.now.Sub(token.signed))
		}
		for _, old := range w.sets {
			if !w.atOnce[token.kid] && !slices.Contains(old.kids, token.kid) {
				t.Fatalf("a token of %v is refused by a verifier whose keys are %v old", token, w.now.Sub(old.at))
			}
		}
	}
	for id := range w.retired {
		if slices.Contains(w.sets[len(w.sets)-1].kids, id) {
			t.Fatalf("%s was withdrawn, and is published", id)
		}
	}
}

func kids(t *rapid.T, jwks []byte) []string {
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(jwks, &set); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, k := range set.Keys {
		if k["d"] != "" || k["kid"] == "" || k["use"] != "sig" {
			t.Fatalf("a key is published as %v", k)
		}
		list = append(list, k["kid"])
	}
	return list
}

// A server that chose an algorithm gets a key of it, even if one was made before
// and withdrawn.
func TestStartMakesWhatIsMissing(t *testing.T) {
	master := secret.NewMaster()
	now := start
	sealer := func() (*secret.Sealer, error) { return secret.ParseSealer(master) }
	s := &shelf{}
	run := func(alg jose.Algorithm) *Service {
		v := NewService(s, clock.Func(func() time.Time { return now }), Options{Algorithm: alg, PublishAhead: aheadOf, Keep: keep}, sealer)
		if err := v.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return v
	}
	algorithm := func(v *Service) jose.Algorithm {
		t.Helper()
		view, err := v.View()
		if err != nil {
			t.Fatal(err)
		}
		return view.Algorithm
	}
	first := run(jose.EdDSA)
	if algorithm(first) != jose.EdDSA || len(s.keys) != 1 || len(s.peppers) != len(purposes) {
		t.Fatalf("at first %s signs, of %d keys, with %d peppers", algorithm(first), len(s.keys), len(s.peppers))
	}
	second := run(jose.ES256)
	if algorithm(second) != jose.EdDSA || len(s.keys) != 2 {
		t.Fatalf("at the change %s signs, of %d keys", algorithm(second), len(s.keys))
	}
	if again := run(jose.ES256); algorithm(again) != jose.EdDSA || len(s.keys) != 2 {
		t.Errorf("started again, %s signs, of %d keys", algorithm(again), len(s.keys))
	}
	if err := second.Retire(t.Context(), principal.Principal{}, s.keys[1].ID); err != nil {
		t.Fatal(err)
	}
	third := run(jose.ES256)
	if len(s.keys) != 3 {
		t.Fatalf("after its first key was withdrawn there are %d keys", len(s.keys))
	}
	now = now.Add(aheadOf)
	if algorithm(third) != jose.ES256 || algorithm(first) != jose.EdDSA { // who was told of nothing goes on
		t.Errorf("after that %s signs, and %s where nobody was told", algorithm(third), algorithm(first))
	}
	if err := first.Apply(t.Context(), feed.Change{Topic: feed.Keys}); err != nil || algorithm(first) != jose.ES256 {
		t.Errorf("once told, %s signs, %v", algorithm(first), err)
	}
	if len(s.peppers) != len(purposes) {
		t.Errorf("there are %d peppers", len(s.peppers))
	}
	for _, purpose := range purposes {
		p, err := third.Peppers(purpose).Newest()
		q, okV := first.Peppers(purpose).Version(1)
		if err != nil || !okV || len(p.Key) != 32 || !bytes.Equal(p.Key, q.Key) {
			t.Errorf("the pepper %s: %v, %t", purpose, err, okV)
		}
		if _, ok := third.Peppers(purpose).Version(2); ok {
			t.Errorf("there is a second pepper for %s", purpose)
		}
	}
	if _, err := third.Peppers("another").Newest(); err == nil {
		t.Error("there is a pepper for nothing")
	}
	seen := map[string]bool{}
	for _, p := range third.loaded.Load().peppers {
		seen[string(p[0].Key)] = true
	}
	if len(seen) != len(purposes) {
		t.Error("two purposes have one pepper")
	}
}
