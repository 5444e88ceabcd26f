package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

const (
	adminName      = "admin"
	adminEmail     = "admin@localhost" // what he is told is in the inbox
	adminPassword  = "DOORWARD_ADMIN_PASSWORD"
	passwordLength = 15 // random bytes
)

// administrator is who dev tells how to sign in as.
type administrator struct {
	name     string
	user     account.User
	password secret.Text // zero if it is not known here
	fixed    bool        // by the environment
	sure     bool        // the password is the account's: it was just set
}

// shown is the password as dev prints it; empty if it is not known.
func (a administrator) shown() string { return a.password.Reveal() }

// administrator finds or makes the account, with the password that the
// environment fixes, or that an earlier run wrote down, or a random one.
func (t *trial) administrator(ctx context.Context, k *server.Core) (administrator, error) {
	kept, err := t.data.keptPassword()
	if err != nil {
		return administrator{}, err
	}
	fixed := secret.From(t.getenv(adminPassword))
	a := administrator{name: adminName, password: kept, fixed: !fixed.IsZero()}
	if a.fixed {
		a.password = fixed
	}
	has, err := k.Store.HasAdmin(ctx, k.Roles.Snapshot())
	if err != nil {
		return a, err
	}
	a.user, err = k.Accounts.ByLogin(ctx, adminName)
	switch {
	case fault.KindOf(err) == fault.NotFound && has && !a.fixed: // others administer here
		a.password = secret.Text{}
		return a, nil
	case fault.KindOf(err) == fault.NotFound:
		return t.makeAdministrator(ctx, k, a)
	case err != nil:
		return a, err
	}
	if !has {
		// A disabled account may have it already.
		if err := t.give(ctx, k, a.user, rbac.AdminRole); err != nil && fault.KindOf(err) != fault.Conflict {
			return a, err
		}
	}
	if a.fixed && !fixed.Equal(kept) {
		err, a.sure = t.fix(ctx, k, a), true
	}
	return a, err
}

// makeAdministrator writes the password down before it counts, so that an
// interrupted first run leaves no account that nobody can sign in to.
func (t *trial) makeAdministrator(ctx context.Context, k *server.Core, a administrator) (administrator, error) {
	if a.password.IsZero() {
		a.password = secret.From(secret.Base62(secret.Random(passwordLength)))
	}
	if err := t.data.keepPassword(a.password); err != nil {
		return a, err
	}
	a.sure = true
	var err error
	a.user, err = t.createUser(ctx, k, newUser{Draft: account.Draft{Username: adminName, Email: adminEmail, EmailVerified: true}, roles: []string{rbac.AdminRole}}, a.password)
	return a, inEnvironment(a, err)
}

// inEnvironment says where a password that is refused came from.
func inEnvironment(a administrator, err error) error {
	if e, ok := errors.AsType[*fault.Error](err); ok && a.fixed && e.Field == "password" {
		return fault.At(adminPassword, "%s", e.Message)
	}
	return err
}

// fix gives the account the password of the environment, unless it has it.
func (t *trial) fix(ctx context.Context, k *server.Core, a administrator) error {
	same, err := t.matches(ctx, k, a)
	if err != nil {
		return err
	}
	if !same {
		if err := k.Issuer.ResetPassword(ctx, t.operator(), a.user, a.password); err != nil {
			return inEnvironment(a, err)
		}
	}
	return t.data.keepPassword(a.password)
}

// matches reports whether the account still has the password.
func (t *trial) matches(ctx context.Context, k *server.Core, a administrator) (bool, error) {
	login, _ := account.ParseLogin(a.name)
	c, err := k.Store.CredentialOf(ctx, login)
	if err != nil {
		return false, err
	}
	r, err := k.Hasher.Verify(ctx, "", a.password, c.Password)
	return r.OK, err
}

// verify looks, once the server runs, whether the password that was printed is
// still the account's. To know it before would have cost the fifth of a second.
func (t *trial) verify(ctx context.Context, k *server.Core, a administrator) {
	switch {
	case a.sure:
		return
	case a.user.ID == "":
		t.say("there is no user %s any more; make one: doorward user create %[1]s --role admin", a.name)
		return
	case a.password.IsZero():
		t.say("the password of %s is not known here; set one: doorward user password %[1]s", a.name)
		return
	case a.user.Status != account.Active:
		t.say("the account %s is disabled; enable it: doorward user enable %[1]s", a.name)
		return
	}
	same, err := t.matches(ctx, k, a)
	if err == nil && !same && a.fixed {
		err = t.fix(ctx, k, a)
		same = err == nil
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		t.say("%v", fmt.Errorf("looking at the password of %s: %w", a.name, err))
	case !same:
		t.say("the password of %s was changed since: the one above is not his any more; set another: doorward user password %[1]s", a.name)
	}
}
