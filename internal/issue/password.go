package issue

import (
	"context"
	"errors"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// SetPassword returns the hash of a new password, once it is found good enough
// for a person of these names. Errors: Invalid with the field; Limited.
func (s *Service) SetPassword(ctx context.Context, source string, p secret.Text, names ...string) (string, error) {
	if err := s.hasher.Check(p, names...); err != nil {
		return "", err
	}
	return s.hasher.Hash(ctx, source, p)
}

// ChangePassword gives the person who asks another password, once the present
// one is proved, and ends all that was signed in with it. It returns the device
// cookie of a browser that was known and does this: it stays so, or whoever keeps
// the account locked would keep out its owner from then on. Elsewhere it is empty.
func (s *Service) ChangePassword(ctx context.Context, by principal.Principal, current, next secret.Text) (device secret.Text, err error) {
	user, err := s.accounts.Fresh(ctx, by.ID)
	if err != nil {
		return device, err
	}
	login, _ := account.ParseLogin(user.Username)
	c, err := s.store.CredentialOf(ctx, login)
	if err != nil {
		return device, err
	}
	g, err := s.prove(ctx, by, user, current, c.Password)
	if err != nil {
		return device, err
	}
	hash, err := s.SetPassword(ctx, by.Origin.Network, next, user.Username, user.Email.String(), user.Name)
	if err != nil {
		return device, at("new_password", err)
	}
	user.PasswordAt, err = s.replace(ctx, by, user, c.Password, hash)
	if err == nil && g.known {
		device = g.device.With(owner(user), g.pepper).Cookie(g.pepper)
	}
	return device, err
}

// prove holds the present password of somebody who is signed in against its hash.
// It is a guess like that of a sign-in: who holds a stolen token may be guessing.
func (s *Service) prove(ctx context.Context, by principal.Principal, user account.User, current secret.Text, hash string) (*guess, error) {
	g, err := s.begin(ctx, by, user, "")
	if err != nil {
		return nil, err
	}
	defer g.Abandon(ctx)
	e := audit.Now(by, s.clock.Now(), audit.PasswordChangeFailed, user.Target())
	result, err := s.verify(ctx, by, g, current, hash, e)
	if err != nil {
		return nil, at("current_password", err)
	}
	if !result.OK {
		if err := s.failed(ctx, by, g, e.Because(audit.Failure, "wrong-password")); err != nil {
			return nil, err
		}
		return nil, fault.New(fault.Denied, "the current password is wrong")
	}
	return g, g.Succeeded(ctx)
}

// at says which of two passwords a fault is about.
func at(field string, err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Invalid {
		return err
	}
	return fault.At(field, "%s", f.Message).Because(err)
}

// ResetPassword gives an account another password without the present one, and
// lets it be signed in to with that. It is for an operator at the machine alone.
func (s *Service) ResetPassword(ctx context.Context, by principal.Principal, user account.User, next secret.Text) error {
	if !by.Trusted() {
		return fault.New(fault.Denied, "only an operator at the machine may set another's password")
	}
	login, _ := account.ParseLogin(user.Username)
	c, err := s.store.CredentialOf(ctx, login)
	if err != nil {
		return err
	}
	hash, err := s.SetPassword(ctx, by.Origin.Network, next, user.Username, user.Email.String(), user.Name)
	if err != nil {
		return err
	}
	if _, err = s.replace(ctx, by, user, c.Password, hash); err != nil {
		return err
	}
	// What was guessed at was the other password, and nobody is known by this one.
	return s.Unlock(ctx, by, user.ID)
}

// Unlock lets an account be signed in to again, whatever was counted against it.
// The event is written first: what was done is never without one.
func (s *Service) Unlock(ctx context.Context, by principal.Principal, id string) error {
	if err := s.accounts.Unlock(ctx, by, id); err != nil {
		return err
	}
	return s.limits.Unlock(ctx, "user:"+id)
}

// replace returns when the password was changed.
func (s *Service) replace(ctx context.Context, by principal.Principal, user account.User, was, hash string) (time.Time, error) {
	e := audit.Now(by, s.clock.Now(), audit.PasswordChanged, user.Target())
	return e.At, s.store.ChangePassword(ctx, by, user.ID, was, hash, e, outbox.New(user.ID, outbox.PasswordChanged, e.At, place(by)))
}
