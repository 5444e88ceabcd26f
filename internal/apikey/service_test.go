package apikey

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// memory keeps keys for one test. What it is not asked for, it cannot do.
type memory struct {
	Store
	keys   map[string]Credential
	broken error
	reads  int
	ended  []string
	events []audit.Event
	uses   []Use
}

func (m *memory) APIKey(_ context.Context, id string) (Credential, error) {
	m.reads++
	c, ok := m.keys[id]
	if !ok && m.broken == nil {
		return Credential{}, noSuchKey()
	}
	return c, m.broken
}

func (m *memory) CreateAPIKey(_ context.Context, _ principal.Principal, k Key, kept secret.Kept, e audit.Event) error {
	m.keys[k.ID] = Credential{Key: k, Present: kept}
	m.events = append(m.events, e)
	return m.broken
}

func (m *memory) RotateAPIKey(_ context.Context, _ principal.Principal, k Key, kept secret.Kept, e audit.Event) (Key, error) {
	k.Version++
	m.keys[k.ID] = Credential{Key: k, Present: kept, Previous: m.keys[k.ID].Present}
	m.events = append(m.events, e)
	return k, m.broken
}

func (m *memory) EndAPIKey(_ context.Context, id string) error {
	c := m.keys[id]
	c.Key.Over = true
	m.keys[id] = c
	m.ended = append(m.ended, id)
	return m.broken
}

func (m *memory) AddAPIKeyUses(_ context.Context, list []Use) error {
	if m.broken == nil {
		m.uses = append(m.uses, list...)
	}
	return m.broken
}

func (m *memory) APIKeyUsage(_ context.Context, id string, since time.Time) (list []Use, err error) {
	for _, u := range m.uses {
		if u.Key == id && !u.Day.Before(since) {
			list = append(list, u)
		}
	}
	return list, m.broken
}

// house is a service over it.
type house struct {
	*Service
	store  *memory
	now    time.Time
	broken error
}

func (h *house) Newest() (secret.Pepper, error) { return pepper, h.broken }

func (h *house) Version(version int64) (secret.Pepper, bool) {
	return secret.Versions{pepper}.Version(version)
}

func newHouse(o Options) *house {
	h := &house{store: &memory{keys: map[string]Credential{}}, now: noon}
	if o.MaxLifetime == 0 {
		o.MaxLifetime = 24 * time.Hour
	}
	h.Service = NewService(h.store, clock.Func(func() time.Time { return h.now }), h, func(s string) error {
		if strings.Contains(s, "*") {
			return errors.New("no")
		}
		return nil
	}, o)
	return h
}

var ann = principal.Principal{Kind: principal.User, ID: "ann"}

func (h *house) key(t *testing.T, d Draft) (Key, string) {
	t.Helper()
	d.Name = "test"
	if d.Lasts == 0 {
		d.Lasts = time.Hour
	}
	k, text, err := h.Create(t.Context(), ann, d)
	if err != nil {
		t.Fatal(err)
	}
	return k, text.Reveal()
}

func TestCreate(t *testing.T) {
	h := newHouse(Options{})
	k, text := h.key(t, Draft{Scopes: []string{"b", "a", "b"}})
	if s, ok := Parse(text); !ok || s.ID() != k.ID || k.Owner != ann.Holder() || k.CreatedBy != "user:ann" || !slices.Equal(k.Scopes, []string{"a", "b"}) || !k.ExpiresAt.Equal(noon.Add(time.Hour)) {
		t.Errorf("made is %+v, %q", k, text)
	}
	e := h.store.events[0]
	if e.Action != audit.APIKeyCreated || e.Target != "key:"+k.ID || e.Detail.Get("owner") != "user:ann" || !slices.Equal(e.Lists["scopes_added"], []string{"a", "b"}) || strings.Contains(fmt.Sprint(e), text) {
		t.Errorf("the event is %+v", e)
	}
	for field, d := range map[string]Draft{
		"name": {Name: ""}, "scopes": {Scopes: []string{"*"}}, "resources": {Resources: []string{"x"}}, "rate_limit": {Rate: -1}, "owner": {Owner: principal.Owner{Kind: principal.CLI, ID: "x"}},
		"expires_in": {Lasts: 25 * time.Hour},
	} {
		if field != "name" {
			d.Name = "x"
		}
		if d.Lasts == 0 {
			d.Lasts = time.Hour
		}
		_, _, err := h.Create(t.Context(), ann, d)
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, _, err := h.Create(t.Context(), ann, Draft{Name: "x"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("without an end: %v", err)
	}
	if k, _, err := newHouse(Options{AllowUnlimited: true}).Create(t.Context(), ann, Draft{Name: "x"}); err != nil || !k.ExpiresAt.IsZero() {
		t.Errorf("without an end, where that is allowed: %v", err)
	}
}

// What is no key by its form leads to no question; an id that nobody has, to one.
func TestProve(t *testing.T) {
	h := newHouse(Options{})
	networks, err := ParseNetworks([]string{"10.0.0.0/8", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	k, text := h.key(t, Draft{Networks: networks})
	prove := func(what, text, address string, want fault.Kind) Key {
		t.Helper()
		got, err := h.Prove(t.Context(), text, address)
		if fault.KindOf(err) != want || err != nil && want == 0 {
			t.Errorf("%s: %v", what, err)
		}
		return got
	}
	for range 3 {
		prove("the key", text, "10.1.2.3", 0)
		prove("mapped", text, "::ffff:10.1.2.3", 0)
		prove("by IPv6", text, "2001:db8::1", 0)
	}
	if h.store.reads != 1 {
		t.Errorf("the store was asked %d times", h.store.reads)
	}
	for _, address := range []string{"11.0.0.1", "", "10.0.0.1/8", "2001:db9::1", "x"} {
		if got := prove("from "+address, text, address, fault.Unauthenticated); got.ID != k.ID {
			t.Errorf("from %s it is %+v", address, got)
		}
	}
	reads := h.store.reads
	for _, bad := range []string{"", "x", Prefix, text + "x", text[:69] + "!", strings.ToUpper(text)} {
		if _, err := h.Prove(t.Context(), bad, ""); !errors.Is(err, ErrForm) || fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if h.store.reads != reads {
		t.Error("the store was asked about what is no key by its form")
	}
	other := newSecret(newID()).Text().Reveal()
	for range 3 {
		if got := prove("of nobody", other, "10.1.2.3", fault.Unauthenticated); got.Version != 0 {
			t.Errorf("of nobody it is %+v", got)
		}
	}
	if h.store.reads != reads+1 {
		t.Errorf("the store was asked %d times about nobody", h.store.reads-reads)
	}
	prove("with another secret", newSecret(k.ID).Text().Reveal(), "10.1.2.3", fault.Unauthenticated)
	h.Apply(feed.Change{Topic: feed.APIKey, Key: k.ID})
	delete(h.store.keys, k.ID)
	prove("once it is gone", text, "10.1.2.3", fault.Unauthenticated)
	h.Apply(feed.Change{Topic: feed.Gap})
	h.store.broken = errors.New("away")
	if _, err := h.Prove(t.Context(), text, "10.1.2.3"); err == nil || fault.KindOf(err) != 0 {
		t.Errorf("while the store is away: %v", err)
	}
}

// A key ends when it is said to, and what was found ended stays so.
func TestExpires(t *testing.T) {
	h := newHouse(Options{})
	k, text := h.key(t, Draft{})
	for _, tt := range []struct {
		at   time.Duration
		good bool
	}{{time.Hour - time.Microsecond, true}, {time.Hour, false}, {0, false}, {2 * time.Hour, false}} {
		h.now = noon.Add(tt.at)
		_, err := h.Prove(t.Context(), text, "")
		if (err == nil) != tt.good {
			t.Errorf("%v after it was made: %v", tt.at, err)
		}
		h.Apply(feed.Change{Topic: feed.APIKey, Key: k.ID}) // as the store tells
	}
	if !slices.Equal(h.store.ended, []string{k.ID}) {
		t.Errorf("it was ended %v", h.store.ended)
	}
	if _, _, err := h.Rotate(t.Context(), ann, k.ID, Rotation{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("rotating it as it is: %v", err)
	}
	lasts := time.Hour
	next, fresh, err := h.Rotate(t.Context(), ann, k.ID, Rotation{Lasts: &lasts, Overlap: time.Hour})
	if err != nil || next.Over || !next.Previous.IsZero() {
		t.Fatalf("rotating it: %+v, %v", next, err)
	}
	h.Apply(feed.Change{Topic: feed.APIKey, Key: k.ID})
	if _, err := h.Prove(t.Context(), fresh.Reveal(), ""); err != nil {
		t.Errorf("the new one: %v", err)
	}
	if _, err := h.Prove(t.Context(), text, ""); err == nil {
		t.Error("the old one is good again")
	}
}

// No secret outlives what was said of it when it was made.
func TestRotate(t *testing.T) {
	h := newHouse(Options{})
	k, text := h.key(t, Draft{})
	lasts := 24 * time.Hour
	next, fresh, err := h.Rotate(t.Context(), ann, k.ID, Rotation{Lasts: &lasts, Overlap: 3 * time.Hour})
	if err != nil || !next.ExpiresAt.Equal(noon.Add(lasts)) || !next.Previous.Equal(noon.Add(time.Hour)) {
		t.Fatalf("rotated, it is %+v, %v", next, err)
	}
	h.Apply(feed.Change{Topic: feed.APIKey, Key: k.ID})
	for _, tt := range []struct {
		text string
		at   time.Duration
		good bool
	}{{text, time.Hour - 1, true}, {fresh.Reveal(), time.Hour - 1, true}, {text, time.Hour, false}, {fresh.Reveal(), 2 * time.Hour, true}} {
		h.now = noon.Add(tt.at)
		if _, err := h.Prove(t.Context(), tt.text, ""); (err == nil) != tt.good {
			t.Errorf("%v after: %v", tt.at, err)
		}
	}
	for _, r := range []Rotation{{Overlap: -1}, {Overlap: MostOverlap + 1}, {Lasts: new(time.Duration)}} {
		if _, _, err := h.Rotate(t.Context(), ann, k.ID, r); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// Uses are gathered, written together, and none is lost where the store was away.
func TestUses(t *testing.T) {
	h := newHouse(Options{})
	h.Used("a", "10.0.0.1")
	h.now = noon.Add(time.Minute)
	h.Used("a", "10.0.0.2")
	h.Used("b", "")
	h.store.broken = errors.New("away")
	if h.Flush(t.Context()) == nil || len(h.store.uses) > 0 {
		t.Error("it was written while the store is away")
	}
	h.store.broken = nil
	h.Used("a", "10.0.0.3")
	h.now = noon.Add(24 * time.Hour)
	h.Used("a", "10.0.0.4")
	day := noon.Truncate(24 * time.Hour)
	want := []Use{
		{"a", day, 3, noon.Add(time.Minute), "10.0.0.3"}, {"a", day.AddDate(0, 0, 1), 1, noon.Add(24 * time.Hour), "10.0.0.4"}, {"b", day, 1, noon.Add(time.Minute), ""},
	}
	for range 2 { // as they wait, and as they are kept
		if list, err := h.Usage(t.Context(), "a", 2); err != nil || len(list) != 2 || list[0].Times != 1 || list[1].Times != 3 {
			t.Errorf("of a it is told %v, %v", list, err)
		}
		if err := h.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(h.store.uses, want) {
		t.Errorf("written is %v, want %v", h.store.uses, want)
	}
	if list, err := h.Usage(t.Context(), "a", 1); err != nil || len(list) != 1 {
		t.Errorf("of the last day it is told %v, %v", list, err)
	}
}

func TestParseNetworks(t *testing.T) {
	list, err := ParseNetworks([]string{"10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1", "0.0.0.0/0"})
	if err != nil || !slices.Equal(FormatNetworks(list), []string{"10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "::1/128", "0.0.0.0/0"}) {
		t.Errorf("%v, %v", list, err)
	}
	for _, bad := range []string{"", "x", "10.0.0/8", "10.1.2.3/8", "10.0.0.0/33", "::ffff:10.0.0.0/104", "fe80::1%eth0", "10.0.0.0/8 ", "10.0.0.0/08"} {
		if list, err := ParseNetworks([]string{bad}); err == nil {
			t.Errorf("%q is read as %v", bad, list)
		}
	}
}

func TestReporters(t *testing.T) {
	good, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := func(key *ecdsa.PrivateKey) []byte {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	for what, bad := range map[string][]byte{
		"nothing": nil, "no PEM": []byte("x"), "another curve": text(large), "a private key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"}), "no key": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}),
		"a good one and a bad one": append(text(good), text(large)...),
	} {
		if list, err := ParseReporters(bad); err == nil {
			t.Errorf("%s: %v", what, list)
		}
	}
	list, err := ParseReporters(append(text(good), text(good)...))
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	body := []byte(`[{"token":"x"}]`)
	digest := sha256.Sum256(body)
	sig, err := ecdsa.SignASN1(rand.Reader, good, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString(sig)
	if !list.Signed(body, encoded) {
		t.Error("what was signed is not")
	}
	for what, signed := range map[string]bool{
		"another body": list.Signed(append(body, ' '), encoded), "no signature": list.Signed(body, ""), "no base64": list.Signed(body, "!"), "cut": list.Signed(body, encoded[:20]), "nobody": Reporters{}.Signed(body, encoded),
	} {
		if signed {
			t.Errorf("%s: it is signed", what)
		}
	}
}

// BenchmarkProve is the whole of what is done for a key that is known, but for its
// owner's roles.
func BenchmarkProve(b *testing.B) {
	h := newHouse(Options{})
	_, text, err := h.Create(b.Context(), ann, Draft{Name: "x", Lasts: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	plain := text.Reveal()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Prove(b.Context(), plain, "10.0.0.1"); err != nil {
			b.Fatal(err)
		}
	}
}
