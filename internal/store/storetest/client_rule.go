package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
)

// clientDeed is a thing that is done to a client.
type clientDeed struct {
	name string
	do   func(by principal.Principal, c client.Client) error
}

// clientDeeds are all that can be done to a client without giving it anything new.
func clientDeeds(t *testing.T, s *store.Store) []clientDeed {
	change := func(to func(*client.Client)) func(principal.Principal, client.Client) error {
		return func(by principal.Principal, c client.Client) error { to(&c); return updateClient(t, s, by, c) }
	}
	return []clientDeed{
		{"rename", change(func(c *client.Client) { c.Name = "mine" })},
		{"narrow", change(func(c *client.Client) { c.Scopes, c.Default = nil, nil })},
		{"disable", change(func(c *client.Client) { c.Status = client.Disabled })},
		{"let it judge tokens", change(func(c *client.Client) { c.Audiences = append(c.Audiences, "urn:mine") })},
		{"another method", change(func(c *client.Client) { c.Method = oauth.Basic })},
		{"rotate", func(by principal.Principal, c client.Client) error { return rotateClient(t, s, by, c) }},
		{"rotate with an overlap", func(by principal.Principal, c client.Client) error {
			c.Previous = instant.Add(time.Hour)
			return rotateClient(t, s, by, c)
		}},
		{"give it a role", func(by principal.Principal, c client.Client) error {
			return giveClient(t, s, by, c.ID, "client-nothing", time.Time{})
		}},
		{"delete", func(by principal.Principal, c client.Client) error { return deleteClient(t, s, by, c.ID, 0) }},
	}
}

// Nobody acts on a client that holds what he does not, by its scopes or by its
// roles; and nobody lets a client ask for what he does not hold.
func clientRule(t *testing.T, s *store.Store, w *Witness) {
	createRole(t, s, newRole("client-a", "a"))
	createRole(t, s, newRole("client-ab", "a", "b"))
	createRole(t, s, newRole("client-nothing"))
	keeper := actor(t, s, "keeper", "client-a") // of a, and nothing else
	off := func(c client.Client) client.Client { c.Status = client.Disabled; return c }
	idle := func(c client.Client) client.Client { c.Grants = nil; return c }
	above := map[string]client.Client{
		"by its scopes":               registerClient(t, s, application("above-scopes", "a", "b")),
		"by scopes that nobody holds": registerClient(t, s, application("above-all", "brand:new")),
		"by its roles":                registerClient(t, s, application("above-roles", "a"), "client-ab"),
		"by a role of an hour":        registerClient(t, s, application("above-hour", "a")),
		"though it is disabled":       registerClient(t, s, off(application("above-off", "b"))),
		"though it may earn nothing":  registerClient(t, s, idle(application("above-idle", "b"))),
	}
	Want(t, "giving for an hour", giveClient(t, s, Operator, "above-hour", "client-ab", instant.Add(time.Hour)), 0)
	before := w.Dump(t)
	for how, c := range above {
		for _, deed := range clientDeeds(t, s) {
			Want(t, deed.name+" who is above "+how, deed.do(keeper, c), fault.Denied)
		}
		Want(t, "taking from who is above "+how, takeClient(t, s, keeper, c.ID, "client-ab"), fault.Denied)
		c.Status, c.Grants = client.Active, []oauth.GrantType{oauth.ClientCredentials}
		Want(t, "enabling who is above "+how, updateClient(t, s, keeper, c), fault.Denied)
	}
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	own := registerClient(t, s, off(application("own", "a")))
	before = w.Dump(t)
	for _, scopes := range []string{"b", "a b", "brand:new", "admin", "clients:write"} {
		wide := own
		wide.Scopes = strings.Fields(scopes)
		Want(t, "letting it ask for "+scopes, updateClient(t, s, keeper, wide), fault.Denied)
		Want(t, "registering one for "+scopes, createClient(t.Context(), s, keeper, application("born-wide", wide.Scopes...)), fault.Denied)
	}
	Want(t, "giving it what he does not hold", giveClient(t, s, keeper, own.ID, "client-ab", time.Time{}), fault.Denied)
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	own.Status = client.Active
	Want(t, "enabling his own", updateClient(t, s, keeper, own), 0)
	Want(t, "giving it what he holds", giveClient(t, s, keeper, own.ID, "client-a", time.Time{}), 0)
	for i, deed := range clientDeeds(t, s) {
		Want(t, deed.name+" one of his own", deed.do(keeper, registerClient(t, s, application(fmt.Sprint("own", i), "a"))), 0)
	}
	brief(t, s)
}

// brief holds that who holds something for an hour does not get it for longer by a
// client's: neither by what he lets it ask for, nor by a secret that he has then.
func brief(t *testing.T, s *store.Store) {
	hour := actor(t, s, "for-an-hour-here")
	Want(t, "giving for an hour", give(t, s, Operator, hour.ID, "client-a", instant.Add(time.Hour)), 0)
	c := registerClient(t, s, application("lasting", "a"), "client-a")
	Want(t, "rotating", rotateClient(t, s, hour, c), fault.Denied)
	Want(t, "registering", createClient(t.Context(), s, hour, application("born-late", "a")), fault.Denied)
	Want(t, "disabling", func() error { c.Status = client.Disabled; return updateClient(t, s, hour, c) }(), 0)
	c.Version, c.Status = 2, client.Active
	Want(t, "enabling", updateClient(t, s, hour, c), fault.Denied)
	Want(t, "enabling by who may", updateClient(t, s, Operator, c), 0)
	c.Version, c.Grants = 3, nil
	Want(t, "taking its grant", updateClient(t, s, hour, c), 0)
	c.Version, c.Grants = 4, []oauth.GrantType{oauth.ClientCredentials}
	Want(t, "giving its grant back", updateClient(t, s, hour, c), fault.Denied)
	Want(t, "a role for longer", giveClient(t, s, hour, c.ID, "client-a", instant.Add(2*time.Hour)), fault.Denied)
}

// A client that acts for itself brings about no more than its roles, its token and
// its registration hold, all three, and nothing once it is disabled or gone.
func clientActs(t *testing.T, s *store.Store, w *Witness) {
	createRole(t, s, newRole("deputy-role", "a", "b", "users:write", "clients:write", "roles:grant"))
	createRole(t, s, newRole("deputy-a", "a"))
	createRole(t, s, newRole("deputy-b", "b"))
	all := []string{"a", "clients:write", "roles:grant", "users:write"}
	deputy := registerClient(t, s, application("deputy", all...), "deputy-role")
	boss := registerClient(t, s, application("boss", append(all, "b")...), rbac.AdminRole)
	friend := registerClient(t, s, application("friend"))
	u := create(t, s, person(t, "served"))
	by := principal.Principal{Kind: principal.Service, ID: deputy.ID, Client: deputy.ID, Scopes: append(all, "b", "admin")}
	for _, deed := range clientDeeds(t, s) {
		Want(t, "a deputy: "+deed.name+" who is above", deed.do(by, boss), fault.Denied)
	}
	Want(t, "giving what its registration lacks", give(t, s, by, u.ID, "deputy-b", time.Time{}), fault.Denied)
	Want(t, "giving a client what its registration lacks", giveClient(t, s, by, friend.ID, "deputy-b", time.Time{}), fault.Denied)
	Want(t, "giving itself what it lacks", giveClient(t, s, by, deputy.ID, rbac.AdminRole, time.Time{}), fault.Denied)
	Want(t, "a client above itself", createClient(t.Context(), s, by, application("above-deputy", "b")), fault.Denied)
	narrow := by
	narrow.Scopes = []string{"clients:write"}
	Want(t, "with a narrow token", giveClient(t, s, narrow, friend.ID, "deputy-a", time.Time{}), fault.Denied)
	as := by
	as.Kind = principal.User
	Want(t, "as a person", giveClient(t, s, as, friend.ID, "deputy-a", time.Time{}), fault.Denied)
	as.Kind, as.ID = principal.Service, u.ID
	Want(t, "a person as a client", giveClient(t, s, as, friend.ID, "client-nothing", time.Time{}), fault.Denied)
	Want(t, "giving what it holds", giveClient(t, s, by, friend.ID, "deputy-a", time.Time{}), 0)
	by.Needs = "clients:write"
	clientStops(t, s, w, by, friend, u.ID)
}

// clientStops takes from a client, which may act, what it acts by.
func clientStops(t *testing.T, s *store.Store, w *Witness, by principal.Principal, friend client.Client, user string) {
	set := func(to func(*client.Client)) {
		now, err := s.Client(t.Context(), by.ID)
		Want(t, "reading", err, 0)
		to(&now.Client)
		Want(t, "changing the deputy", updateClient(t, s, Operator, now.Client), 0)
	}
	refused := func(what string) {
		t.Helper()
		before := w.Dump(t)
		for i, err := range []error{
			createClient(t.Context(), s, by, application("made-by-deputy")), rotateClient(t, s, by, friend), deleteClient(t, s, by, friend.ID, 0),
			giveClient(t, s, by, friend.ID, "client-nothing", time.Time{}), takeClient(t, s, by, friend.ID, "deputy-a"), give(t, s, by, user, "deputy-a", time.Time{}),
		} {
			Want(t, fmt.Sprintf("%s: deed %d", what, i), err, fault.Denied)
		}
		if done := w.Dump(t).Since(before); len(done) > 0 {
			t.Errorf("%s, it did %q", what, done)
		}
	}
	set(func(c *client.Client) { c.Status = client.Disabled })
	refused("disabled")
	set(func(c *client.Client) { c.Status, c.Scopes = client.Active, []string{"a"} })
	refused("without the scope that it needs")
	set(func(c *client.Client) { c.Scopes = by.Scopes })
	Want(t, "with it again", rotateClient(t, s, by, friend), 0)
	Want(t, "taking its role", takeClient(t, s, Operator, by.ID, "deputy-role"), 0)
	refused("without its role")
	Want(t, "deleting it", deleteClient(t, s, Operator, by.ID, 0), 0)
	refused("deleted")
}
