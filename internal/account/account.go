// Package account keeps people: their names, their addresses, their state.
//
// Passwords are not here (package factor), nor what a person may do (package
// rbac). The invariant: two accounts never answer to the same name or address,
// however either is written.
package account

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/memo"
	"github.com/doorward/doorward/internal/principal"
)

// Status is whether an account may be used.
type Status string

// The states of an account.
const (
	Active   Status = "active"
	Disabled Status = "disabled"
)

// User is a person's account.
type User struct {
	ID            string
	Username      string // canonical: [a-z0-9._-]{1,64}
	Email         Email  // may be zero
	EmailVerified bool
	Status        Status
	Name          string
	Profile       Profile
	Attributes    json.RawMessage // a JSON object, {} if there are none
	HasPassword   bool
	PasswordAt    time.Time // when it was changed; zero if never
	CreatedAt     time.Time
	UpdatedAt     time.Time
	SignedInAt    time.Time // zero if never
	Version       int64     // 1 at first, one more with every change
}

// Target returns the account as the audit log names it.
func (u User) Target() string { return "user:" + u.ID }

// Credential is what a sign-in needs to know of an account.
type Credential struct {
	User     User
	Password string // the stored hash; empty if there is no password
}

// Filter chooses accounts in a list. Zero fields choose all.
type Filter struct {
	Status Status
	Prefix string // of the canonical username or email
	After  string // the id of the last account of the page before
	Limit  int
}

// Store is what this package needs to have kept for it. The verbs that change
// an account hold the grant rule (by may touch the account) and keep the last
// administrator, in the same transaction.
type Store interface {
	// CreateUser returns a Conflict with the field that is taken.
	CreateUser(ctx context.Context, by principal.Principal, u User, hash string, e audit.Event) error
	// User returns a NotFound for an unknown id.
	User(ctx context.Context, id string) (User, error)
	// CredentialOf returns the account that a login name belongs to, or a
	// NotFound.
	CredentialOf(ctx context.Context, l Login) (Credential, error)
	Users(ctx context.Context, f Filter) ([]User, error)
	// UpdateUser writes u if its version is still u.Version, or returns a Stale
	// fault. Disabling it ends its token families.
	UpdateUser(ctx context.Context, by principal.Principal, u User, e audit.Event) (User, error)
	// UnlockUser writes the event, if there is the account.
	UnlockUser(ctx context.Context, by principal.Principal, id string, e audit.Event) error
	// DeleteUser deletes the account with its grants and ends its families.
	DeleteUser(ctx context.Context, by principal.Principal, d Deletion, events ...audit.Event) error
}

// Service keeps accounts.
type Service struct {
	store Store
	clock clock.Clock
	kept  *memo.Map[User]
}

// NewService returns a service over a store.
func NewService(store Store, c clock.Clock) *Service {
	return &Service{store: store, clock: c, kept: memo.New[User](20_000)}
}

// Apply drops what this process keeps of an account that changed.
func (s *Service) Apply(c feed.Change) {
	switch c.Topic {
	case feed.Account:
		s.kept.Drop(c.Key)
	case feed.Gap:
		s.kept.Clear()
	}
}

// Draft is what makes a new account.
type Draft struct {
	Username, Email string
	EmailVerified   bool // only an operator at the machine may say so
	Name            string
	Profile         Profile
	Attributes      json.RawMessage
	Hash            string // of the password, by package factor; empty for none
}

// Create makes an account. Faults: Invalid with the field, Conflict with the
// field whose value belongs to another account.
func (s *Service) Create(ctx context.Context, by principal.Principal, d Draft) (User, error) {
	now := s.clock.Now()
	u := User{
		ID: id.New(now), Status: Active, Name: d.Name, Profile: d.Profile, Attributes: d.Attributes,
		HasPassword: d.Hash != "", CreatedAt: now, UpdatedAt: now, Version: 1,
		EmailVerified: d.EmailVerified && by.Trusted(),
	}
	var err error
	if u.Username, err = ParseUsername(d.Username); err != nil {
		return User{}, err
	}
	if d.Email != "" {
		if u.Email, err = ParseEmail(d.Email); err != nil {
			return User{}, err
		}
	}
	if err := u.check(); err != nil {
		return User{}, err
	}
	if len(u.Attributes) == 0 {
		u.Attributes = json.RawMessage("{}")
	}
	e := audit.Now(by, now, audit.UserCreated, u.Target()).About(u.ID, u.facts())
	return u, s.store.CreateUser(ctx, by, u, d.Hash, e)
}

// facts are what the audit log keeps of a person, apart from the event.
func (u User) facts() map[string]string {
	f := map[string]string{"username": u.Username}
	if !u.Email.IsZero() {
		f["email"] = u.Email.String()
	}
	return f
}

// User returns an account as this process knows it: at most a second old.
func (s *Service) User(ctx context.Context, id string) (User, error) {
	return s.kept.Get(ctx, id, s.store.User)
}

// Fresh returns an account as it is in the database.
func (s *Service) Fresh(ctx context.Context, id string) (User, error) { return s.store.User(ctx, id) }

// ByLogin returns the account that a username or an email belongs to. For an
// operator an unverified email counts too.
func (s *Service) ByLogin(ctx context.Context, name string) (User, error) {
	l, ok := ParseLogin(name)
	if !ok {
		return User{}, unknown(name)
	}
	l.Unverified = true
	c, err := s.store.CredentialOf(ctx, l)
	if fault.KindOf(err) == fault.NotFound {
		return User{}, unknown(name)
	}
	return c.User, err
}

func unknown(name string) error {
	return fault.New(fault.NotFound, "there is no user %q; see: doorward user list", name)
}

// List returns a page of accounts in the order of their making. Limit is
// between 1 and 200.
func (s *Service) List(ctx context.Context, f Filter) ([]User, error) {
	if f.Prefix != "" {
		prefix, ok := searchable(f.Prefix)
		if !ok {
			return nil, nil // no name and no address begins like this
		}
		f.Prefix = prefix
	}
	return s.store.Users(ctx, f)
}

// Change is what may be changed of an account. Nil fields stay as they are.
type Change struct {
	Username      *string
	Email         *string // empty removes it
	EmailVerified *bool   // never the person's own to say
	Status        *Status
	Name          *string
	Profile       *Profile
	Attributes    json.RawMessage
	Version       int64 // of the account as the caller read it; 0 for any
}

// Update changes an account. A changed email is unverified unless the change says that
// it was proved.
func (s *Service) Update(ctx context.Context, by principal.Principal, id string, c Change) (User, error) {
	u, err := s.store.User(ctx, id)
	if err != nil {
		return User{}, err
	}
	if c.Version != 0 && c.Version != u.Version {
		return User{}, Changed()
	}
	if by.Kind == principal.User && by.ID == id && u.Status != Active {
		return User{}, fault.New(fault.Denied, "your account is not active any more") // he must not make it so again
	}
	if c.EmailVerified != nil && by.Holder() == (principal.Owner{Kind: principal.User, ID: id}) { // nor does a key of his say it
		return User{}, fault.New(fault.Denied, "whether your email is verified is for another administrator to say")
	}
	before := u
	if err := c.apply(&u); err != nil {
		return User{}, err
	}
	u.UpdatedAt = s.clock.Now()
	action := audit.UserUpdated
	if u.Status != before.Status {
		action = audit.UserEnabled
		if u.Status == Disabled {
			action = audit.UserDisabled
		}
	}
	e := audit.Now(by, u.UpdatedAt, action, u.Target())
	if u.Username != before.Username || u.Email != before.Email {
		e = e.About(u.ID, u.facts())
	}
	if c.EmailVerified != nil || u.EmailVerified != before.EmailVerified {
		e = e.With("email_verified", strconv.FormatBool(u.EmailVerified))
	}
	return s.store.UpdateUser(ctx, by, u, e)
}

func (c Change) apply(u *User) (err error) {
	if c.Username != nil {
		if u.Username, err = ParseUsername(*c.Username); err != nil {
			return err
		}
	}
	if c.Email != nil {
		var e Email
		if *c.Email != "" {
			if e, err = ParseEmail(*c.Email); err != nil {
				return err
			}
		}
		if e.Key() != u.Email.Key() {
			u.EmailVerified = false
		}
		u.Email = e
	}
	if c.EmailVerified != nil {
		if *c.EmailVerified && u.Email.IsZero() {
			return fault.At("email_verified", "there is no email")
		}
		u.EmailVerified = *c.EmailVerified
	}
	if c.Status != nil {
		u.Status = *c.Status
	}
	if c.Name != nil {
		u.Name = *c.Name
	}
	if c.Profile != nil {
		u.Profile = *c.Profile
	}
	if c.Attributes != nil {
		u.Attributes = c.Attributes
	}
	return u.check()
}

// Changed is the fault of a write that was based on an old version.
func Changed() error {
	return fault.New(fault.Stale, "it was changed since you read it; read it again and repeat your change")
}

// Unlock records that what was counted against an account is forgotten. The
// counters are not here: whoever calls this empties them.
func (s *Service) Unlock(ctx context.Context, by principal.Principal, id string) error {
	return s.store.UnlockUser(ctx, by, id, audit.Now(by, s.clock.Now(), audit.UserUnlocked, "user:"+id))
}

// Deletion is an account to be deleted.
type Deletion struct {
	ID      string
	Version int64 // of the account as the caller read it; 0 for any
	Erase   bool  // what the audit log tells of the person goes too
}

// Delete deletes an account for good; its id is never used again. With erase,
// the private parts of all events about the person go with it, or neither.
func (s *Service) Delete(ctx context.Context, by principal.Principal, id string, version int64, erase bool) error {
	now := s.clock.Now()
	events := []audit.Event{audit.Now(by, now, audit.UserDeleted, "user:"+id)}
	if erase {
		events = append(events, audit.Now(by, now, audit.UserErased, "user:"+id))
	}
	return s.store.DeleteUser(ctx, by, Deletion{ID: id, Version: version, Erase: erase}, events...)
}
