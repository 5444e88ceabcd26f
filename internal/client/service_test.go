package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// memory keeps clients for one test. What it is not asked for, it cannot do.
type memory struct {
	Store
	clients map[string]Credential
	broken  error
	reads   int
	events  []audit.Event
}

func (m *memory) Client(_ context.Context, id string) (Credential, error) {
	m.reads++
	c, ok := m.clients[id]
	if !ok && m.broken == nil {
		return Credential{}, fault.New(fault.NotFound, "there is no such client")
	}
	return c, m.broken
}

func (m *memory) CreateClient(_ context.Context, _ principal.Principal, c Client, k secret.Kept, e audit.Event) error {
	m.clients[c.ID] = Credential{Client: c, Present: k}
	m.events = append(m.events, e)
	return m.broken
}

func (m *memory) UpdateClient(_ context.Context, _ principal.Principal, c Client, e audit.Event) (Client, error) {
	m.events = append(m.events, e)
	return c, m.broken
}

// house is a service over it, whose peppers count how often they are asked for.
type house struct {
	*Service
	store  *memory
	now    time.Time
	asked  []int64
	broken error
}

func (h *house) Newest() (secret.Pepper, error) { return pepper, h.broken }

func (h *house) Version(version int64) (secret.Pepper, bool) {
	h.asked = append(h.asked, version)
	return secret.Versions{pepper}.Version(version)
}

func newHouse() *house {
	h := &house{store: &memory{clients: map[string]Credential{}}, now: noon}
	h.Service = NewService(h.store, clock.Func(func() time.Time { return h.now }), h, permission, Assertions{})
	return h
}

func (h *house) create(t *testing.T, d Draft) (Client, secret.Text) {
	t.Helper()
	c, text, err := h.Create(t.Context(), principal.Principal{}, d)
	if err != nil {
		t.Fatal(err)
	}
	return c, text
}

func TestCreate(t *testing.T) {
	h := newHouse()
	c, text := h.create(t, Draft{Scopes: []string{"b", "a"}})
	if kept := h.store.clients[c.ID]; c.Name != c.ID || c.Method != oauth.Basic || !c.May(oauth.ClientCredentials) || c.Status != Active || c.Version != 1 || kept.Present.Pepper != pepper.Version {
		t.Errorf("%+v is kept as %+v", c, kept)
	}
	if _, ok := ParseSecret(text.Reveal()); !ok || !known(c.ID) || parseID(c.ID) == nil {
		t.Errorf("%q, of %q", text.Reveal(), c.ID)
	}
	if e := h.store.events[0]; e.Action != audit.ClientCreated || e.Target != "client:"+c.ID || len(e.Lists["scopes_added"]) != 2 || len(e.Lists["grants_added"]) != 1 {
		t.Errorf("the event is %+v", e)
	}
	for _, d := range []Draft{{ID: "A"}, {ID: Builtin.ID}, {ID: "a", Scopes: []string{"*"}}, {ID: "a", Method: oauth.NoAuth}} {
		if _, text, err := h.Create(t.Context(), principal.Principal{}, d); err == nil || !text.IsZero() {
			t.Errorf("%+v: %v", d, err)
		}
	}
	h.broken = errors.New("no key")
	if _, _, err := h.Create(t.Context(), principal.Principal{}, Draft{ID: "a"}); !errors.Is(err, h.broken) || len(h.store.clients) != 1 {
		t.Errorf("without a key: %v", err)
	}
}

func TestUpdateNamesItsAction(t *testing.T) {
	h := newHouse()
	c, _ := h.create(t, Draft{ID: "a"})
	for status, want := range map[Status]audit.Action{Active: audit.ClientUpdated, Disabled: audit.ClientDisabled} {
		next := c
		next.Status = status
		if _, err := h.Update(t.Context(), principal.Principal{}, next); err != nil || h.store.events[len(h.store.events)-1].Action != want {
			t.Errorf("%s: %+v, %v", status, h.store.events, err)
		}
	}
	c.Version = 0
	if _, err := h.Update(t.Context(), principal.Principal{}, c); fault.KindOf(err) != fault.Stale {
		t.Errorf("of no version: %v", err)
	}
	c.ID = "b"
	if _, err := h.Update(t.Context(), principal.Principal{}, c); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of none: %v", err)
	}
}

func TestOverlapIsBounded(t *testing.T) {
	h := newHouse()
	h.create(t, Draft{ID: "a"})
	for _, overlap := range []time.Duration{-1, MostOverlap + 1, 1 << 62} {
		if _, text, err := h.RotateSecret(t.Context(), principal.Principal{}, "a", overlap, 0); fault.KindOf(err) != fault.Invalid || !text.IsZero() {
			t.Errorf("%v: %v", overlap, err)
		}
	}
}

// Whatever is wrong, the fault is the same but for what the log alone is told, and
// as much is worked out.
func TestProve(t *testing.T) {
	h := newHouse()
	c, text := h.create(t, Draft{ID: "a"})
	post, posted := h.create(t, Draft{ID: "post", Method: oauth.Post})
	off, unused := h.create(t, Draft{ID: "off"})
	off.Status = Disabled
	h.store.clients["off"] = Credential{Client: off, Present: h.store.clients["off"].Present}
	wrong := NewSecret().Text()
	for _, tt := range []struct {
		name  string
		given oauth.Credentials
		why   string // empty: it is proved
		who   string // whom it names, proved or not
	}{
		{"the right secret", oauth.Credentials{ID: "a", Method: oauth.Basic, Secret: text}, "", c.ID},
		{"in the body", oauth.Credentials{ID: "post", Method: oauth.Post, Secret: posted}, "", post.ID},
		{"a wrong secret", oauth.Credentials{ID: "a", Method: oauth.Basic, Secret: wrong}, "the secret is wrong", c.ID},
		{"another client's", oauth.Credentials{ID: "a", Method: oauth.Basic, Secret: posted}, "the secret is wrong", c.ID},
		{"no secret's form", oauth.Credentials{ID: "a", Method: oauth.Basic, Secret: secret.From("x")}, "the secret is wrong", c.ID},
		{"a long one", oauth.Credentials{ID: "a", Method: oauth.Basic, Secret: secret.From(strings.Repeat("x", 60_000))}, "the secret is wrong", c.ID},
		{"an unknown client", oauth.Credentials{ID: "b", Method: oauth.Basic, Secret: wrong}, "there is no such client", ""},
		{"what no client is called", oauth.Credentials{ID: "\x00", Method: oauth.Basic, Secret: wrong}, "there is no such client", ""},
		{"the built-in one with a secret", oauth.Credentials{ID: Builtin.ID, Method: oauth.Basic, Secret: wrong}, "there is no such client", ""},
		{"another method", oauth.Credentials{ID: "a", Method: oauth.Post, Secret: text}, "the client is registered for another method", c.ID},
		{"the header for the body", oauth.Credentials{ID: "post", Method: oauth.Basic, Secret: posted}, "the client is registered for another method", post.ID},
		{"disabled", oauth.Credentials{ID: "off", Method: oauth.Basic, Secret: unused}, "the client is disabled", off.ID},
		{"disabled, and wrong", oauth.Credentials{ID: "off", Method: oauth.Basic, Secret: wrong}, "the secret is wrong", off.ID},
		{"wrong, by another method", oauth.Credentials{ID: "a", Method: oauth.Post, Secret: wrong}, "the secret is wrong", c.ID},
	} {
		h.asked = nil
		got, err := h.Prove(t.Context(), tt.given)
		if tt.why == "" && err != nil || tt.why != "" && (fault.KindOf(err) != fault.Unauthenticated || err.Error() != "client authentication failed: "+tt.why) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.why)
		}
		if got.ID != tt.who {
			t.Errorf("%s: it is told of %q", tt.name, got.ID)
		}
		if len(h.asked) != 2 || h.asked[0] != 1 || h.asked[1] != 0 {
			t.Errorf("%s: the keys %v were asked for", tt.name, h.asked)
		}
		if err != nil && strings.Contains(err.Error(), tt.given.Secret.Reveal()) {
			t.Errorf("%s: the fault holds the secret", tt.name)
		}
	}
	if _, err := h.Prove(t.Context(), oauth.Credentials{ID: "a", Method: oauth.NoAuth}); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("without a secret: %v", err)
	}
	if got, err := h.Prove(t.Context(), oauth.Credentials{ID: Builtin.ID, Method: oauth.NoAuth}); err != nil || got.ID != Builtin.ID {
		t.Errorf("the built-in one: %+v, %v", got, err)
	}
}

// What is kept is dropped when the feed tells of a change; what cannot be read is
// nobody's mistake, and is not kept.
func TestProveKeepsAndDrops(t *testing.T) {
	h := newHouse()
	given := oauth.Credentials{ID: "late", Method: oauth.Basic, Secret: NewSecret().Text()}
	down := errors.New("down")
	h.store.broken = down
	if _, err := h.Prove(t.Context(), given); !errors.Is(err, down) {
		t.Errorf("while the database is down: %v", err)
	}
	h.store.broken = nil
	prove := func(want fault.Kind, reads int) {
		t.Helper()
		before := h.store.reads
		if _, err := h.Prove(t.Context(), given); fault.KindOf(err) != want || want == 0 && err != nil || h.store.reads-before != reads {
			t.Errorf("%v after %d reads, want %v after %d", err, h.store.reads-before, want, reads)
		}
	}
	prove(fault.Unauthenticated, 1)
	prove(fault.Unauthenticated, 0)
	_, text := h.create(t, Draft{ID: "late"})
	given.Secret = text
	h.Apply(feed.Change{Topic: feed.Client, Key: "other"})
	prove(fault.Unauthenticated, 0)
	h.Apply(feed.Change{Topic: feed.Client, Key: "late"})
	prove(0, 1)
	prove(0, 0)
	delete(h.store.clients, "late")
	h.Apply(feed.Change{Topic: feed.Gap})
	prove(fault.Unauthenticated, 1)
	h.broken = down
	if _, err := h.Prove(t.Context(), given); !errors.Is(err, down) {
		t.Errorf("without a key: %v", err)
	}
}
