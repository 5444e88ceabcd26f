package storetest

import (
	"context"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
)

// Clients is the contract of client.Store, and of what issue.Store and rbac.Store do
// with clients.
func Clients(t *testing.T, s *store.Store, w *Witness) {
	t.Run("as written", func(t *testing.T) { clientsAsWritten(t, s) })
	t.Run("pages", func(t *testing.T) { clientPages(t, s) })
	t.Run("refused", func(t *testing.T) { clientsRefused(t, s, w) })
	t.Run("versions", func(t *testing.T) { clientVersions(t, s) })
	t.Run("once", func(t *testing.T) { clientOnce(t, s, w) })
	t.Run("secrets", func(t *testing.T) { clientSecrets(t, s, w) })
	t.Run("told", func(t *testing.T) { clientsTold(t, s, w) })
	t.Run("at once", func(t *testing.T) { clientsAtOnce(t, s, w) })
	t.Run("tokens", func(t *testing.T) { clientTokens(t, s, w) })
	t.Run("the rule", func(t *testing.T) { clientRule(t, s, w) })
	t.Run("deputies", func(t *testing.T) { clientActs(t, s, w) })
}

// application returns a client with every field set.
func application(name string, scopes ...string) client.Client {
	return client.Client{
		ID: name, Name: "Ann’s “" + name + "”", Status: client.Active, Method: oauth.Post, Grants: []oauth.GrantType{oauth.ClientCredentials},
		Scopes: scopes, Default: scopes[:min(1, len(scopes))], Audiences: []string{"https://api.example/a", "urn:b"},
		SecretAt: instant, CreatedAt: instant, UpdatedAt: instant, Version: 1,
	}
}

var clientPepper = secret.Pepper{Version: 7, Key: []byte("0123456789abcdef0123456789abcdef")}

func keptOf(c client.Client, s client.Secret) secret.Kept { return s.Keep(c.ID, clientPepper) }

func createClient(ctx context.Context, s *store.Store, by principal.Principal, c client.Client) error {
	return s.CreateClient(context.WithoutCancel(ctx), by, c, keptOf(c, client.NewSecret()), audit.Now(by, instant, audit.ClientCreated, c.Target()))
}

func registerClient(t testing.TB, s *store.Store, c client.Client, roles ...string) client.Client {
	t.Helper()
	Want(t, "registering "+c.ID, createClient(t.Context(), s, Operator, c), 0)
	for _, role := range roles {
		Want(t, "giving it "+role, giveClient(t, s, Operator, c.ID, role, time.Time{}), 0)
	}
	return c
}

func updateClient(t testing.TB, s *store.Store, by principal.Principal, c client.Client) error {
	_, err := s.UpdateClient(context.WithoutCancel(t.Context()), by, c, audit.Now(by, instant, audit.ClientUpdated, c.Target()))
	return err
}

func rotateClient(t testing.TB, s *store.Store, by principal.Principal, c client.Client) error {
	_, err := s.RotateClientSecret(context.WithoutCancel(t.Context()), by, c, keptOf(c, client.NewSecret()), audit.Now(by, instant, audit.ClientSecretRotated, c.Target()))
	return err
}

func deleteClient(t testing.TB, s *store.Store, by principal.Principal, name string, version int64) error {
	return s.DeleteClient(context.WithoutCancel(t.Context()), by, name, version, audit.Now(by, instant, audit.ClientDeleted, "client:"+name))
}

func giveClient(t testing.TB, s *store.Store, by principal.Principal, name, role string, until time.Time) error {
	g := rbac.Grant{ID: id.New(instant), Kind: principal.Service, Principal: name, Role: role, Until: until, By: by.String(), At: instant}
	return s.CreateGrant(context.WithoutCancel(t.Context()), by, g, audit.Now(by, instant, audit.GrantCreated, "client:"+name))
}

func takeClient(t testing.TB, s *store.Store, by principal.Principal, name, role string) error {
	return s.DeleteGrant(context.WithoutCancel(t.Context()), by, rbac.Grant{Kind: principal.Service, Principal: name, Role: role}, audit.Now(by, instant, audit.GrantRevoked, "client:"+name))
}

func clientsAsWritten(t *testing.T, s *store.Store) {
	c, first := application("written", "a", "b"), client.NewSecret()
	Want(t, "registering", s.CreateClient(t.Context(), Operator, c, keptOf(c, first), event(audit.ClientCreated, c.Target())), 0)
	want := client.Credential{Client: c, Present: keptOf(c, first)}
	if got, err := s.Client(t.Context(), c.ID); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("kept is %+v, %v; want %+v", got, err, want)
	}
	c.Name, c.Status, c.Method, c.UpdatedAt = "", client.Disabled, oauth.Basic, instant.Add(time.Hour)
	c.Grants, c.Scopes, c.Default, c.Audiences = []oauth.GrantType{}, []string{}, []string{}, []string{}
	got, err := s.UpdateClient(t.Context(), Operator, c, event(audit.ClientDisabled, c.Target()))
	c.Version = 2
	want.Client = c
	if kept, _ := s.Client(t.Context(), c.ID); err != nil || !reflect.DeepEqual(got, c) || !reflect.DeepEqual(kept, want) {
		t.Errorf("UpdateClient = %+v, %v, and kept is %+v; want %+v", got, err, kept, want)
	}
	second, third := client.NewSecret(), client.NewSecret()
	c.Previous, c.SecretAt = instant.Add(time.Hour), instant.Add(time.Minute)
	_, err = s.RotateClientSecret(t.Context(), Operator, c, keptOf(c, second), event(audit.ClientSecretRotated, c.Target()))
	c.Version = 3
	want = client.Credential{Client: c, Present: keptOf(c, second), Previous: keptOf(c, first)}
	if kept, _ := s.Client(t.Context(), c.ID); err != nil || !reflect.DeepEqual(kept, want) {
		t.Errorf("after a rotation kept is %+v, %v; want %+v", kept, err, want)
	}
	c.Previous = time.Time{}
	_, err = s.RotateClientSecret(t.Context(), Operator, c, keptOf(c, third), event(audit.ClientSecretRotated, c.Target()))
	c.Version = 4
	want = client.Credential{Client: c, Present: keptOf(c, third)}
	if kept, _ := s.Client(t.Context(), c.ID); err != nil || !reflect.DeepEqual(kept, want) {
		t.Errorf("after one without overlap kept is %+v, %v; want %+v", kept, err, want)
	}
	Want(t, "giving a role", giveClient(t, s, Operator, c.ID, "viewer", time.Time{}), 0)
	Want(t, "deleting", deleteClient(t, s, Operator, c.ID, 4), 0)
	_, err = s.Client(t.Context(), c.ID)
	Want(t, "reading what was deleted", err, fault.NotFound)
	if got := held(t, s, c.ID); len(got) > 0 {
		t.Errorf("a client that is not there holds %q", got)
	}
	Want(t, "deleting it again", deleteClient(t, s, Operator, c.ID, 0), fault.NotFound)
	Want(t, "registering it again", createClient(t.Context(), s, Operator, application("written")), 0)
	if got := held(t, s, c.ID); len(got) > 0 {
		t.Errorf("it was born with %q", got)
	}
}

func clientPages(t *testing.T, s *store.Store) {
	names := []string{"page-a", "page-a.b", "page-a_c", "page-a0", "page-ab", "page-b"}
	for _, i := range []int{3, 0, 5, 1, 4, 2} {
		registerClient(t, s, application(names[i]))
	}
	for size := 1; size <= len(names)+1; size++ {
		var read []string
		for after := "page-"; ; {
			page, err := s.Clients(t.Context(), after, size)
			if err != nil || len(page) > size {
				t.Fatalf("a page of %d after %q: %d, %v", size, after, len(page), err)
			}
			for _, c := range page {
				if strings.HasPrefix(c.ID, "page-") {
					read = append(read, c.ID)
				}
			}
			if len(page) < size {
				break
			}
			after = page[len(page)-1].ID
		}
		if !slices.Equal(slices.Sorted(slices.Values(read)), slices.Sorted(slices.Values(names))) {
			t.Errorf("in pages of %d there are %q", size, read)
		}
	}
}

// What is refused leaves nothing behind.
func clientsRefused(t *testing.T, s *store.Store, w *Witness) {
	c := registerClient(t, s, application("taken", "a"), "viewer")
	_, policy := versions(t, s)
	before := w.Dump(t)
	Want(t, "an id that is taken", createClient(t.Context(), s, Operator, c), fault.Conflict)
	for _, bad := range []string{"nobody", "", "\x00", "no\x00body", "\xff", "' OR 1=1 --"} {
		_, err := s.Client(t.Context(), bad)
		Want(t, fmt.Sprintf("reading %q", bad), err, fault.NotFound)
		Want(t, fmt.Sprintf("changing %q", bad), updateClient(t, s, Operator, client.Client{ID: bad, Version: 1}), fault.NotFound)
		Want(t, fmt.Sprintf("rotating %q", bad), rotateClient(t, s, Operator, client.Client{ID: bad, Version: 1}), fault.NotFound)
		Want(t, fmt.Sprintf("deleting %q", bad), deleteClient(t, s, Operator, bad, 0), fault.NotFound)
		Want(t, fmt.Sprintf("giving to %q", bad), giveClient(t, s, Operator, bad, "viewer", time.Time{}), fault.NotFound)
		Want(t, fmt.Sprintf("taking from %q", bad), takeClient(t, s, Operator, bad, "viewer"), fault.NotFound)
		Want(t, fmt.Sprintf("giving %q", bad), giveClient(t, s, Operator, c.ID, bad, time.Time{}), fault.Invalid)
		Want(t, fmt.Sprintf("taking %q", bad), takeClient(t, s, Operator, c.ID, bad), fault.NotFound)
		issued := s.IssueToClient(t.Context(), client.Client{ID: bad, CreatedAt: instant}, issue.Issuance{Grant: oauth.ClientCredentials}, event(audit.TokenIssued, "family:x"))
		Want(t, fmt.Sprintf("a token for %q", bad), issued, fault.Unauthenticated)
	}
	Want(t, "the role again", giveClient(t, s, Operator, c.ID, "viewer", time.Time{}), fault.Conflict)
	// An account and a client are not taken for one another.
	Want(t, "a client's role by the way of accounts", give(t, s, Operator, c.ID, "editor", time.Time{}), fault.NotFound)
	Want(t, "taking one by the way of accounts", take(t, s, Operator, c.ID, "viewer"), fault.NotFound)
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	if _, after := versions(t, s); after != policy {
		t.Errorf("what was refused took the policy from version %d to %d", policy, after)
	}
	u := create(t, s, person(t, "no-client"))
	Want(t, "an account's role by the way of clients", giveClient(t, s, Operator, u.ID, "viewer", time.Time{}), fault.NotFound)
	Want(t, "deleting an account by the way of clients", deleteClient(t, s, Operator, u.ID, 0), fault.NotFound)
}

func clientVersions(t *testing.T, s *store.Store) {
	c := registerClient(t, s, application("versioned", "a"))
	Want(t, "a change", updateClient(t, s, Operator, c), 0)
	for _, version := range []int64{1, 3} {
		c.Version = version
		Want(t, fmt.Sprintf("a change of version %d", version), updateClient(t, s, Operator, c), fault.Stale)
		Want(t, fmt.Sprintf("a secret of version %d", version), rotateClient(t, s, Operator, c), fault.Stale)
		Want(t, fmt.Sprintf("the deletion of version %d", version), deleteClient(t, s, Operator, c.ID, version), fault.Stale)
	}
	c.Version = 2
	Want(t, "a secret", rotateClient(t, s, Operator, c), 0)
	Want(t, "a second one of this version", rotateClient(t, s, Operator, c), fault.Stale)
	Want(t, "the deletion of any version", deleteClient(t, s, Operator, c.ID, 0), 0)
}

func clientOnce(t *testing.T, s *store.Store, w *Witness) {
	by := Operator
	by.Origin.Once = principal.Once{Key: "client-once", Request: "body"}
	c := application("once")
	Want(t, "the first time", createClient(t.Context(), s, by, c), 0)
	before := w.Dump(t)
	other := application("once-more")
	err := createClient(t.Context(), s, by, other)
	if f, ok := asFault(err); !ok || f.Kind != fault.Replayed || f.ID != c.Target() {
		t.Errorf("the second time: %v", err)
	}
	by.Origin.Once.Request = "another body"
	Want(t, "the key for another request", createClient(t.Context(), s, by, other), fault.Invalid)
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("it had the effect %q", done)
	}
	// What was refused did not use the name up.
	by.Origin.Once = principal.Once{Key: "client-refused", Request: "body"}
	Want(t, "a conflict", createClient(t.Context(), s, by, c), fault.Conflict)
	Want(t, "the same name then", createClient(t.Context(), s, by, other), 0)
}

// Who reads the whole database reads no secret, nor what would prove one without
// the pepper.
func clientSecrets(t *testing.T, s *store.Store, w *Witness) {
	c, first, second := application("secretive"), client.NewSecret(), client.NewSecret()
	Want(t, "registering", s.CreateClient(t.Context(), Operator, c, keptOf(c, first), event(audit.ClientCreated, c.Target())), 0)
	c.Previous = instant.Add(time.Hour)
	_, err := s.RotateClientSecret(t.Context(), Operator, c, keptOf(c, second), event(audit.ClientSecretRotated, c.Target()))
	Want(t, "rotating", err, 0)
	dump := fmt.Sprint(w.Dump(t))
	for _, text := range []client.Secret{first, second} {
		kept := keptOf(c, text)
		if !strings.Contains(dump, hex.EncodeToString(kept.MAC[:])) {
			t.Error("the dump does not hold the MAC: this proves nothing")
		}
		plain := text.Text().Reveal()
		digest := secret.HashOf([]byte(plain))
		for what, find := range map[string]string{
			"it": plain, "it in hex": hex.EncodeToString([]byte(plain)), "what is random of it": plain[len(client.SecretPrefix) : len(plain)-6], "its digest": hex.EncodeToString(digest[:]),
		} {
			if strings.Contains(dump, find) {
				t.Errorf("the dump holds %s", what)
			}
		}
	}
}

// clientsTold holds which changes tell of which verbs, each with one event; and that
// what was lost is told under the version of the policy that took it.
func clientsTold(t *testing.T, s *store.Store, w *Witness) {
	c := application("told-client", "a", "b")
	change := func(f func()) func() error {
		return func() error { f(); err := updateClient(t, s, Operator, c); c.Version++; return err }
	}
	changed, lost := "client told-client", "grant-lost told-client"
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"registering", func() error { return createClient(t.Context(), s, Operator, c) }, []string{changed}},
		{"giving a role", func() error { return giveClient(t, s, Operator, c.ID, "viewer", time.Time{}) }, []string{"grants told-client"}},
		{"taking a role", func() error { return takeClient(t, s, Operator, c.ID, "viewer") }, []string{lost}},
		{"another name", change(func() { c.Name, c.Default, c.Audiences, c.Method = "x", nil, nil, oauth.Basic }), []string{changed}},
		{"more scopes", change(func() { c.Scopes = []string{"a", "b", "c"} }), []string{changed}},
		{"fewer scopes", change(func() { c.Scopes = []string{"a", "c"} }), []string{changed, lost}},
		{"another scope", change(func() { c.Scopes = []string{"a", "b"} }), []string{changed, lost}},
		{"no grants", change(func() { c.Grants = nil }), []string{changed, lost}},
		{"a grant", change(func() { c.Grants = []oauth.GrantType{oauth.ClientCredentials} }), []string{changed}},
		{"disabling", change(func() { c.Status = client.Disabled }), []string{changed, lost}},
		{"enabling", change(func() { c.Status = client.Active }), []string{changed}},
		{"rotating", func() error { err := rotateClient(t, s, Operator, c); c.Version++; return err }, []string{changed}},
		{"deleting", func() error { return deleteClient(t, s, Operator, c.ID, c.Version) }, []string{changed, lost}},
	} {
		seq, events := head(t, s), w.events(t)
		Want(t, step.name, step.do(), 0)
		_, policy := versions(t, s)
		if got := topics(t, s, seq); !slices.Equal(got, step.want) {
			t.Errorf("%s told %q, want %q", step.name, got, step.want)
		}
		if n := w.events(t) - events; n != 1 {
			t.Errorf("%s wrote %d events", step.name, n)
		}
		for i, told := range changesAfter(t, s, seq) {
			if told.Topic == "grant-lost" && (told.Version != policy || step.want[0] == changed && i == 0) {
				t.Errorf("%s: what was lost is number %d, under version %d, want it after the client, under %d", step.name, i, told.Version, policy)
			}
		}
	}
}

// Of many who change a version one does, and of many who register an id; each that
// does leaves one event.
func clientsAtOnce(t *testing.T, s *store.Store, w *Witness) {
	c := registerClient(t, s, application("contended", "a"))
	for what, do := range map[string]func(i int) error{
		"registering": func(int) error { return createClient(t.Context(), s, Operator, application("wanted")) },
		"changing or rotating": func(i int) error {
			if i%2 == 0 {
				return rotateClient(t, s, Operator, c)
			}
			return updateClient(t, s, Operator, c)
		},
		"deleting": func(int) error { return deleteClient(t, s, Operator, "doomed", 0) },
	} {
		if what == "deleting" {
			registerClient(t, s, application("doomed"))
		}
		var done atomic.Int64
		events := w.events(t)
		parallel(10, func(i int) {
			switch err := do(i); fault.KindOf(err) {
			case fault.Stale, fault.Conflict, fault.NotFound:
			default:
				Want(t, what, err, 0)
				done.Add(1)
			}
		})
		if n := w.events(t) - events; done.Load() != 1 || n != 1 {
			t.Errorf("%s: of ten at once %d were done, with %d events", what, done.Load(), n)
		}
	}
}

// A token is issued to the client that proved itself, as it is now, or nothing is
// recorded of it.
func clientTokens(t *testing.T, s *store.Store, w *Witness) {
	proved := registerClient(t, s, application("earning", "a", "b"))
	for _, step := range []struct {
		name string
		to   func(c *client.Client) // how it changes after it proved itself
		give []string
		want fault.Kind
	}{
		{"as it was", nil, []string{"a", "b"}, 0},
		{"more than it was registered for", nil, []string{"a", "c"}, fault.Denied},
		{"another name", func(c *client.Client) { c.Name = "other" }, []string{"a", "b"}, 0},
		{"narrowed, what was lost", func(c *client.Client) { c.Scopes = []string{"a"} }, []string{"a", "b"}, fault.Denied},
		{"narrowed, what is left", nil, []string{"a"}, 0},
		{"narrowed, nothing", nil, nil, 0},
		{"without the grant", func(c *client.Client) { c.Grants = nil }, []string{"a"}, fault.Denied},
		{"with it again", func(c *client.Client) { c.Grants = proved.Grants }, []string{"a"}, 0},
		{"disabled", func(c *client.Client) { c.Status = client.Disabled }, []string{"a"}, fault.Unauthenticated},
		{"enabled again", func(c *client.Client) { c.Status = client.Active }, []string{"a"}, 0},
	} {
		if step.to != nil {
			now, err := s.Client(t.Context(), proved.ID)
			Want(t, "reading", err, 0)
			step.to(&now.Client)
			Want(t, step.name, updateClient(t, s, Operator, now.Client), 0)
		}
		tokenFor(t, s, w, step.name, proved, step.give, step.want)
	}
	Want(t, "deleting", deleteClient(t, s, Operator, proved.ID, 0), 0)
	tokenFor(t, s, w, "deleted", proved, nil, fault.Unauthenticated)
	next := application(proved.ID, "a", "b")
	next.CreatedAt = instant.Add(time.Microsecond)
	registerClient(t, s, next)
	tokenFor(t, s, w, "another of its name", proved, nil, fault.Unauthenticated)
	tokenFor(t, s, w, "the other itself", next, []string{"b"}, 0)
}

func tokenFor(t *testing.T, s *store.Store, w *Witness, what string, c client.Client, scopes []string, want fault.Kind) {
	t.Helper()
	events := w.events(t)
	Want(t, what, s.IssueToClient(t.Context(), c, issue.Issuance{Grant: oauth.ClientCredentials, Scopes: scopes}, event(audit.TokenIssued, "family:x")), want)
	if n := w.events(t) - events; n != 0 && want != 0 || n != 1 && want == 0 {
		t.Errorf("%s: %d events", what, n)
	}
}
