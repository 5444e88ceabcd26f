package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/ssf"
	"github.com/doorward/doorward/internal/store/storetest"
)

// The deeds, each with what is true after it was done again.

func signingIn(t *testing.T, v *storetest.Services, name string) scene {
	v.User(t, name, "viewer")
	do := func() error { return signIn(t, v, name, storetest.Password) }
	return scene{do, func(t *testing.T, _ bool) { expect(t, "signing in again", do(), 0) }}
}

// browse signs in with a browser that brings a session along, or none.
func browse(t *testing.T, v *storetest.Services, name string, brings secret.Text) (issue.Tokens, error) {
	return v.Issuer.SignIn(t.Context(), storetest.Browser, issue.Password{
		Name: name, Password: secret.From(storetest.Password), Client: client.Builtin, Browser: true, Replaces: brings,
	})
}

func signingInABrowser(t *testing.T, v *storetest.Services, name string) scene {
	v.User(t, name, "viewer")
	first, err := browse(t, v, name, secret.Text{})
	expect(t, "the session before", err, 0)
	do := func() error { _, err := browse(t, v, name, first.Session); return err }
	return scene{do, func(t *testing.T, happened bool) {
		_, err := v.Sessions.Of(t.Context(), principal.Principal{}, first.Session)
		expect(t, "the session before", err, map[bool]fault.Kind{true: fault.NotFound, false: 0}[happened])
		expect(t, "signing in again", do(), 0)
		_, err = v.Sessions.Of(t.Context(), principal.Principal{}, first.Session)
		expect(t, "the session before, in the end", err, fault.NotFound)
		ended(t, v, first.Refresh, "replaced")
	}}
}

func refreshingABrowser(t *testing.T, v *storetest.Services, name string) scene {
	v.User(t, name, "viewer")
	first, err := browse(t, v, name, secret.Text{})
	expect(t, "signing in", err, 0)
	do := func() error { _, err := refresh(t, v, first.Refresh); return err }
	return scene{do, func(t *testing.T, _ bool) { // tabs have a grace
		next, err := refresh(t, v, first.Refresh)
		expect(t, "the retry", err, 0)
		_, err = refresh(t, v, next)
		expect(t, "the successor", err, 0)
		_, err = v.Sessions.Of(t.Context(), principal.Principal{}, first.Session)
		expect(t, "the session", err, 0)
	}}
}

func signingOutABrowser(t *testing.T, v *storetest.Services, name string) scene {
	v.User(t, name, "viewer")
	first, err := browse(t, v, name, secret.Text{})
	expect(t, "signing in", err, 0)
	do := func() error { return v.Sessions.SignOut(t.Context(), storetest.Browser, first.Session) }
	return scene{do, func(t *testing.T, _ bool) {
		expect(t, "signing out again", do(), 0)
		ended(t, v, first.Refresh, "signed-out")
		_, err := v.Sessions.Of(t.Context(), principal.Principal{}, first.Session)
		expect(t, "the session", err, fault.NotFound)
	}}
}

func beingRefused(t *testing.T, v *storetest.Services, name string) scene {
	v.User(t, name)
	do := func() error { return unless(signIn(t, v, name, "wrong"), fault.Unauthenticated) }
	return scene{do, func(t *testing.T, _ bool) {
		expect(t, "being refused again", do(), 0)
		expect(t, "the right password", signIn(t, v, name, storetest.Password), 0)
	}}
}

func refreshing(t *testing.T, v *storetest.Services, name string) scene {
	first := v.Family(t, v.User(t, name, "viewer"), "read")
	do := func() error { _, err := refresh(t, v, first); return err }
	return scene{do, func(t *testing.T, happened bool) {
		next, err := refresh(t, v, first)
		if happened { // the answer was lost, and this cannot be told from a theft
			dead(t, "the spent token", err)
			ended(t, v, first, "reused")
			return
		}
		expect(t, "the token that was not spent", err, 0)
		_, err = refresh(t, v, next)
		expect(t, "its successor", err, 0)
	}}
}

func refreshingWithGrace(t *testing.T, v *storetest.Services, name string) scene {
	first := v.Family(t, v.User(t, name, "viewer"), "read")
	do := func() error { _, err := refresh(t, v, first); return err }
	return scene{do, func(t *testing.T, _ bool) {
		next, err := refresh(t, v, first)
		expect(t, "the retry", err, 0)
		if f := family(t, v, first); f.Generation != 2 {
			t.Errorf("after the retry the family is in generation %d, want 2", f.Generation)
		}
		_, err = refresh(t, v, next)
		expect(t, "the successor", err, 0)
	}}
}

func reusing(t *testing.T, v *storetest.Services, name string) scene {
	first := v.Family(t, v.User(t, name, "viewer"), "read")
	second, err := refresh(t, v, first)
	expect(t, "the first refresh", err, 0)
	do := func() error {
		_, err := refresh(t, v, first)
		if e, ok := errors.AsType[*oauth.Error](err); ok && e.Code == oauth.InvalidGrant {
			return nil
		}
		return err
	}
	return scene{do, func(t *testing.T, _ bool) {
		expect(t, "the spent token again", do(), 0)
		_, err := refresh(t, v, second)
		dead(t, "the token after the spent one", err)
		ended(t, v, first, "reused")
	}}
}

func signingOut(t *testing.T, v *storetest.Services, name string) scene {
	token := v.Family(t, v.User(t, name, "viewer"), "read")
	do := func() error { return v.Issuer.SignOut(t.Context(), storetest.Browser, token) }
	return scene{do, func(t *testing.T, _ bool) {
		expect(t, "signing out again", do(), 0)
		ended(t, v, token, "signed-out")
	}}
}

func changingPassword(t *testing.T, v *storetest.Services, name string) scene {
	u := v.User(t, name, "viewer")
	token := v.Family(t, u, "read")
	by := principal.Principal{Kind: principal.User, ID: u.ID, Origin: storetest.Browser.Origin}
	const next = "staple battery horse"
	do := func() error {
		_, err := v.Issuer.ChangePassword(t.Context(), by, secret.From(storetest.Password), secret.From(next))
		return err
	}
	return scene{do, func(t *testing.T, happened bool) {
		want := fault.Kind(0)
		if happened {
			want = fault.Denied // the password that is called the current one is not
		}
		expect(t, "changing it again", do(), want)
		expect(t, "the new password", signIn(t, v, name, next), 0)
		expect(t, "the old password", signIn(t, v, name, storetest.Password), fault.Unauthenticated)
		ended(t, v, token, "password-changed")
	}}
}

// changingPasswordHeard is changingPassword of somebody of whom an application hears.
func changingPasswordHeard(t *testing.T, v *storetest.Services, name string) scene {
	s := changingPassword(t, v, name)
	u, err := v.Accounts.ByLogin(t.Context(), name)
	expect(t, "the account", err, 0)
	now := u.CreatedAt
	d := client.Draft{ID: "hears-" + name, Scopes: []string{"read"}}
	d.RedirectURIs = []string{"https://app.example/cb"}
	_, _, err = v.Clients.Create(t.Context(), storetest.Operator, d)
	expect(t, "the application", err, 0)
	st := ssf.Stream{ID: id.New(now), Client: d.ID, Status: ssf.Enabled, Method: ssf.Poll, Requested: ssf.Supported(), Version: 1}
	expect(t, "its stream", v.Store.CreateStream(t.Context(), storetest.Operator, st, audit.Now(storetest.Operator, now, audit.StreamCreated, st.Target())), 0)
	f, _ := grant.New(now, u.ID, d.ID, grant.Lifetimes{Absolute: time.Hour, Idle: time.Hour})
	expect(t, "signing in to it", v.Store.SignIn(t.Context(), issue.SignIn{Family: f, Was: storetest.Stored}, audit.Now(storetest.Operator, now, audit.LoginSucceeded, u.Target())), 0)
	return s
}

func creatingUser(t *testing.T, v *storetest.Services, name string) scene {
	by := storetest.Operator
	by.Origin.Once = principal.Once{Key: "key of " + name, Request: "body"}
	do := func() error {
		_, err := v.Accounts.Create(t.Context(), by, account.Draft{Username: name, Email: name + "@example.com", Hash: storetest.Stored})
		return err
	}
	return scene{do, func(t *testing.T, happened bool) {
		want := fault.Kind(0)
		if happened {
			want = fault.Replayed
		}
		expect(t, "creating the user again", do(), want)
		expect(t, "signing in", signIn(t, v, name, storetest.Password), 0)
	}}
}

func disabling(t *testing.T, v *storetest.Services, name string) scene {
	u := v.User(t, name, "viewer")
	token := v.Family(t, u, "read")
	to := account.Disabled
	do := func() error {
		_, err := v.Accounts.Update(t.Context(), storetest.Operator, u.ID, account.Change{Status: &to})
		return err
	}
	return scene{do, func(t *testing.T, _ bool) {
		expect(t, "disabling again", do(), 0)
		ended(t, v, token, "disabled")
		expect(t, "signing in", signIn(t, v, name, storetest.Password), fault.Unauthenticated)
	}}
}

func unlocking(t *testing.T, v *storetest.Services, name string) scene {
	u := v.User(t, name)
	do := func() error { return v.Accounts.Unlock(t.Context(), storetest.Operator, u.ID) }
	return scene{do, func(t *testing.T, _ bool) { expect(t, "unlocking again", do(), 0) }}
}

func givingRole(t *testing.T, v *storetest.Services, name string) scene {
	u := v.User(t, name)
	do := func() error {
		_, err := v.Roles.Give(t.Context(), storetest.Operator, u.ID, "editor", time.Time{}, "")
		return err
	}
	return scene{do, func(t *testing.T, happened bool) {
		want := fault.Kind(0)
		if happened {
			want = fault.Conflict
		}
		expect(t, "giving it again", do(), want)
		if held, _, err := v.Roles.Of(t.Context(), u.ID); err == nil && !happened && !held.Has("write") {
			t.Error("the role was given and is not held")
		}
	}}
}

func replacingRole(t *testing.T, v *storetest.Services, name string) scene {
	role, u := "role-of-"+name, v.User(t, name)
	kept, err := v.Roles.CreateRole(t.Context(), storetest.Operator, rbac.Role{Name: role, Permissions: []string{"a", "b"}})
	expect(t, "creating the role", err, 0)
	_, err = v.Roles.Give(t.Context(), storetest.Operator, u.ID, role, time.Time{}, "")
	expect(t, "giving the role", err, 0)
	do := func() error {
		next := kept
		next.Permissions = []string{"b"}
		_, err := v.Roles.ReplaceRole(t.Context(), storetest.Operator, next)
		return err
	}
	return scene{do, func(t *testing.T, happened bool) {
		want := fault.Kind(0)
		if happened {
			want = fault.Stale
		}
		expect(t, "replacing it again", do(), want)
		expect(t, "deleting it", v.Roles.DeleteRole(t.Context(), storetest.Operator, role, 0), 0)
	}}
}

func deletingRole(t *testing.T, v *storetest.Services, name string) scene {
	role, u := "doomed-of-"+name, v.User(t, name)
	_, err := v.Roles.CreateRole(t.Context(), storetest.Operator, rbac.Role{Name: role, Permissions: []string{"a"}})
	expect(t, "creating the role", err, 0)
	_, err = v.Roles.Give(t.Context(), storetest.Operator, u.ID, role, time.Time{}, "")
	expect(t, "giving the role", err, 0)
	do := func() error { return v.Roles.DeleteRole(t.Context(), storetest.Operator, role, 0) }
	return scene{do, func(t *testing.T, happened bool) {
		want := fault.Kind(0)
		if happened {
			want = fault.NotFound
		}
		expect(t, "deleting it again", do(), want)
	}}
}

// applyingPolicy changes a role and makes another, makes a client, and takes a grant
// away for another one of the same role.
func applyingPolicy(t *testing.T, v *storetest.Services, name string) scene {
	v.User(t, name, "viewer")
	role := "policy-of-" + name
	_, err := v.Roles.CreateRole(t.Context(), storetest.Operator, rbac.Role{Name: role, Permissions: []string{"a"}})
	expect(t, "creating the role", err, 0)
	text := "version: 1\nroles: {" + role + ": {permissions: [b]}, next-" + role + ": {permissions: [a]}}\n" +
		"clients: {client-of-" + name + ": {scope: [a]}}\ngrants: {users: {" + name + ": [{role: viewer, reason: another}]}}\n"
	plan, err := planned(t, v, text, false)
	expect(t, "the plan", err, 0)
	do := func() error { return v.Policy.Apply(t.Context(), storetest.Operator, plan) }
	return scene{do, func(t *testing.T, happened bool) {
		want := fault.Kind(0)
		if happened {
			want = fault.Stale
		}
		expect(t, "applying it again", do(), want)
		again, err := planned(t, v, text, false)
		if err != nil || !again.Empty() {
			t.Errorf("what was applied would change %+v, %v", again, err)
		}
	}}
}

func signIn(t *testing.T, v *storetest.Services, name, password string) error {
	_, err := v.Issuer.SignIn(t.Context(), storetest.Browser, issue.Password{Name: name, Password: secret.From(password), Client: client.Builtin})
	return err
}

func refresh(t *testing.T, v *storetest.Services, token secret.Text) (secret.Text, error) {
	tokens, err := v.Issuer.Refresh(t.Context(), storetest.Browser, issue.Renewal{Token: token, Client: client.Builtin})
	return tokens.Refresh, err
}

// unless takes a fault of the kind that is to be for no error, and none for one.
func unless(err error, want fault.Kind) error {
	switch {
	case err == nil:
		return errors.New("it was not refused")
	case fault.KindOf(err) == want:
		return nil
	}
	return err
}

func expect(t *testing.T, what string, err error, want fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != want || want == 0 && err != nil {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

func dead(t *testing.T, what string, err error) {
	t.Helper()
	if e, ok := errors.AsType[*oauth.Error](err); !ok || e.Code != oauth.InvalidGrant {
		t.Errorf("%s: %v, want invalid_grant", what, err)
	}
}

func family(t *testing.T, v *storetest.Services, token secret.Text) grant.Family {
	t.Helper()
	parsed, err := grant.ParseRefreshToken(token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	f, err := v.Store.FamilyByHandle(t.Context(), parsed.Handle())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func ended(t *testing.T, v *storetest.Services, token secret.Text, why string) {
	t.Helper()
	if f := family(t, v, token); f.EndedAt.IsZero() || f.EndedWhy != why {
		t.Errorf("the family ended at %v: %q, want %q", f.EndedAt, f.EndedWhy, why)
	}
}
