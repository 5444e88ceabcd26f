package store_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestResources(t *testing.T) { storetest.Portable(t, storetest.Resources) }

const ordersAPI = "https://orders.example"

// signInFor signs in for an API.
func signInFor(t *testing.T, v *storetest.Services, name, api string) (issue.Tokens, error) {
	return v.Issuer.SignIn(t.Context(), storetest.Browser, issue.Password{
		Name: name, Password: secret.From(storetest.Password), Client: client.Builtin, Resource: []string{api},
	})
}

// An API loses a permission on one server while another gives tokens for it. No token
// that is good, now or later, carries what was lost.
func TestAttackResourceNarrowsWhileTokensAreGiven(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		both := pair(t, dsn)
		here, there := both[0], both[1]
		here.User(t, "ann", "editor")
		r, err := here.Resources.Create(t.Context(), storetest.Operator, resource.Resource{
			ID: "orders", Identifier: ordersAPI, Permissions: []resource.Permission{{Name: "read"}, {Name: "write"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		given := []issue.Tokens{}
		give := func(v *storetest.Services) {
			t.Helper()
			tokens, err := signInFor(t, v, "ann", ordersAPI)
			if err != nil {
				t.Fatal(err)
			}
			given = append(given, tokens)
		}
		if err := there.Feed.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		give(here)
		give(there)
		r.Permissions = r.Permissions[:1]
		if _, err := here.Resources.Update(t.Context(), storetest.Operator, r); err != nil {
			t.Fatal(err)
		}
		give(here)
		give(there) // which has not heard of it
		if err := there.Feed.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		give(there)
		for i, tokens := range given {
			c := claimsOf(t, tokens.Access)
			late := i == 2 || i == 4
			if late != (c.Scope == "read") {
				t.Errorf("token %d carries %q", i, c.Scope)
			}
			for _, v := range both {
				of := grant.Access{Family: c.Family, Account: c.Subject, Client: c.Client, Roles: c.Roles, Audience: []string{ordersAPI}, Policy: c.Policy}
				if v.Revoked.Has(of) == late {
					t.Errorf("token %d is revoked: %t", i, !late)
				}
				of.Audience = []string{"https://api.example"}
				if v.Revoked.Has(of) {
					t.Errorf("token %d would be revoked for another API", i)
				}
			}
		}
		if err := here.Resources.Delete(t.Context(), storetest.Operator, "orders", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := signInFor(t, here, "ann", ordersAPI); err == nil {
			t.Error("a token was given for an API that is gone")
		}
	})
}

// A process that has not followed all that came before a registration gives no token
// that lives longer than what it may have missed is kept.
func TestAttackLongTokenOfAProcessThatLagsBehind(t *testing.T) {
	both := pair(t, storetest.SQLite(t))
	here, there := both[0], both[1]
	here.User(t, "ann", "editor")
	if err := there.Feed.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Resources.Create(t.Context(), storetest.Operator, resource.Resource{
		ID: "orders", Identifier: ordersAPI, AccessTTL: resource.LongestTTL, Permissions: []resource.Permission{{Name: "read"}},
	}); err != nil {
		t.Fatal(err)
	}
	for _, lags := range []bool{true, false} {
		tokens, err := signInFor(t, there, "ann", ordersAPI)
		if err != nil || lags != (tokens.Expires <= 5*time.Minute) || !lags && tokens.Expires != resource.LongestTTL {
			t.Errorf("lagging: %t; the token lives for %s, %v", lags, tokens.Expires, err)
		}
		if err := there.Feed.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Who may not write, writes nothing.
func TestResourceNeedsPermission(t *testing.T) {
	v := storetest.NewServices(t, storetest.Open(t, storetest.SQLite(t), store.Options{}), storetest.Parts{})
	u := v.User(t, "ann", "editor")
	by := storetest.Browser
	by.Kind, by.ID, by.Scopes, by.Needs = "user", u.ID, []string{"resources:write"}, "resources:write"
	if _, err := v.Resources.Create(t.Context(), by, resource.Resource{ID: "x", Identifier: "urn:x"}); fault.KindOf(err) != fault.Denied {
		t.Errorf("registered: %v", err)
	}
}
