package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/store"
)

// trader is an application that may exchange tokens.
func trader(name string, scopes ...string) client.Client {
	c := application(name, scopes...)
	c.Grants = []oauth.GrantType{oauth.ClientCredentials, oauth.TokenExchange}
	return c
}

func allowing(id, of, from, resource string, impersonation bool) client.Exchange {
	return client.Exchange{ID: id, Client: of, From: from, Resource: resource, Impersonation: impersonation, CreatedBy: "cli:test", CreatedAt: instant}
}

func makeRule(t testing.TB, s *store.Store, x client.Exchange) error {
	t.Helper()
	return s.CreateExchange(t.Context(), Operator, x, event(audit.ExchangeAllowed, x.Target()))
}

// Exchanges is the contract of client.ExchangeStore and issue.ExchangeStore.
func Exchanges(t *testing.T, s *store.Store, w *Witness) {
	shop, gateway := registerClient(t, s, application("shop", "a")), registerClient(t, s, trader("gateway", "a", "b"))
	rules := []client.Exchange{
		allowing("1", gateway.ID, client.OfClient(shop.ID), "urn:a", false), allowing("2", gateway.ID, client.OfClient(shop.ID), "urn:b", true),
		allowing("3", gateway.ID, client.APIKeys, "urn:a", true), allowing("4", gateway.ID, client.OfClient(client.Builtin.ID), "urn:a", false),
		allowing("5", shop.ID, client.OfClient(gateway.ID), "urn:a", false),
	}
	for _, x := range slices.Backward(rules) {
		Want(t, "rule "+x.ID, makeRule(t, s, x), 0)
	}
	if got, err := s.Exchanges(t.Context(), gateway.ID); err != nil || !slices.Equal(got, rules[:4]) {
		t.Errorf("the rules are %+v, %v", got, err)
	}
	before := w.Dump(t)
	for what, x := range map[string]struct {
		rule client.Exchange
		want fault.Kind
	}{
		"the same again":   {allowing("6", gateway.ID, client.OfClient(shop.ID), "urn:a", true), fault.Conflict},
		"of no client":     {allowing("6", "nobody", client.APIKeys, "urn:a", true), fault.NotFound},
		"from no client":   {allowing("6", gateway.ID, client.OfClient("nobody"), "urn:a", true), fault.Invalid},
		"of what is no id": {allowing("6", "\x00", client.APIKeys, "urn:a", true), fault.NotFound},
	} {
		Want(t, what, makeRule(t, s, x.rule), x.want)
	}
	for _, x := range []client.Exchange{allowing("nosuch", gateway.ID, "", "", false), allowing("1", shop.ID, "", "", false), allowing("1", "nobody", "", "", false)} {
		Want(t, "ending "+x.ID+" of "+x.Client, s.DeleteExchange(t.Context(), Operator, x, event(audit.ExchangeForbidden, x.Target())), fault.NotFound)
	}
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	exchangesAreHeld(t, s, w, gateway, shop)
	exchangesEnd(t, s, w, gateway, shop)
}

// exchangesAreHeld looks for what each request is told, and whether it left a trace.
func exchangesAreHeld(t *testing.T, s *store.Store, w *Witness, gateway, shop client.Client) {
	other := gateway
	other.CreatedAt = instant.Add(time.Microsecond)
	for what, tt := range map[string]struct {
		by     client.Client
		want   client.Exchange
		scopes []string
		kind   fault.Kind
		field  string
	}{
		"by a rule":                  {gateway, allowing("", "gateway", "client:shop", "urn:a", false), []string{"a", "b"}, 0, ""},
		"in his place":               {gateway, allowing("", "gateway", "client:shop", "urn:b", true), []string{"a"}, 0, ""},
		"for him, where both may be": {gateway, allowing("", "gateway", "client:shop", "urn:b", false), []string{"a"}, 0, ""},
		"an API key":                 {gateway, allowing("", "gateway", "api-keys", "urn:a", true), []string{"a"}, 0, ""},
		"of the built-in client":     {gateway, allowing("", "gateway", "client:doorward", "urn:a", false), []string{"a"}, 0, ""},
		"in his place, by no rule":   {gateway, allowing("", "gateway", "client:shop", "urn:a", true), []string{"a"}, fault.Denied, "actor_token"},
		"for another API":            {gateway, allowing("", "gateway", "api-keys", "urn:b", true), []string{"a"}, fault.Denied, "resource"},
		"from elsewhere":             {gateway, allowing("", "gateway", "client:gateway", "urn:a", false), []string{"a"}, fault.Denied, "subject_token"},
		"by the rule of another":     {gateway, allowing("", "gateway", "client:orders", "urn:a", false), []string{"a"}, fault.Denied, "subject_token"},
		"more than it may":           {gateway, allowing("", "gateway", "client:shop", "urn:a", false), []string{"a", "c"}, fault.Denied, "scope"},
		"without the grant":          {shop, allowing("", "shop", "client:gateway", "urn:a", false), []string{"a"}, fault.Denied, "scope"},
		"another of its name":        {other, allowing("", "gateway", "client:shop", "urn:a", false), []string{"a"}, fault.Unauthenticated, ""},
	} {
		events := w.events(t)
		err := s.IssueExchanged(t.Context(), tt.by, tt.want, issue.Issuance{Grant: oauth.TokenExchange, Scopes: tt.scopes}, event(audit.TokenExchanged, "user:x"))
		Want(t, what, err, tt.kind)
		if f, ok := err.(*fault.Error); ok && f.Field != tt.field { //nolint:errorlint // it is returned as it is
			t.Errorf("%s: it is told of %q", what, f.Field)
		}
		if n := w.events(t) - events; n != 0 && tt.kind != 0 || n != 1 && tt.kind == 0 {
			t.Errorf("%s: %d events", what, n)
		}
	}
}

// exchangesEnd looks at what ends rules, and what is told of it.
func exchangesEnd(t *testing.T, s *store.Store, w *Witness, gateway, shop client.Client) {
	left := func(id string) (ids []string) {
		list, err := s.Exchanges(t.Context(), id)
		Want(t, "reading", err, 0)
		for _, x := range list {
			ids = append(ids, x.ID)
		}
		return ids
	}
	lost := func() int64 {
		return w.Number(t, fmt.Sprintf(`SELECT COUNT(*) FROM changes WHERE topic = '%s' AND subject = '%s'`, feed.GrantLost, gateway.ID))
	}
	had := lost()
	x := allowing("3", gateway.ID, "", "", false)
	Want(t, "ending one", s.DeleteExchange(t.Context(), Operator, x, event(audit.ExchangeForbidden, x.Target())), 0)
	Want(t, "ending it again", s.DeleteExchange(t.Context(), Operator, x, event(audit.ExchangeForbidden, x.Target())), fault.NotFound)
	if now := lost(); now != had+1 {
		t.Errorf("its client's tokens were made void %d times", now-had)
	}
	Want(t, "deleting whom it is from", deleteClient(t, s, Operator, shop.ID, 0), 0)
	if ids := left(gateway.ID); !slices.Equal(ids, []string{"4"}) {
		t.Errorf("left are %v", ids)
	}
	for i := range client.MostExchanges {
		want := fault.Kind(0)
		if i == client.MostExchanges-1 {
			want = fault.Conflict
		}
		Want(t, "one more", makeRule(t, s, allowing(fmt.Sprint("many", i), gateway.ID, client.APIKeys, fmt.Sprint("urn:", i), true)), want)
	}
	Want(t, "deleting it", deleteClient(t, s, Operator, gateway.ID, 0), 0)
	if ids := left(gateway.ID); len(ids) != 0 {
		t.Errorf("left are %v", ids)
	}
}
