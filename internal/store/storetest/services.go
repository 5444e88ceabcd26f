package storetest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/condition"
	"github.com/doorward/doorward/internal/factor"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/org"
	"github.com/doorward/doorward/internal/policy"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/store"
)

// Services are the domain over one store, joined by the change feed as in the
// server, without a surface.
type Services struct {
	Store      *store.Store
	Accounts   *account.Service
	Roles      *rbac.Service
	Clients    *client.Service
	APIKeys    *apikey.Service
	Resources  *resource.Service
	Policy     *policy.Service
	Orgs       *org.Service
	Conditions *condition.Service
	Keys       *keyring.Service
	Issuer     *issue.Service
	Sessions   *session.Service
	Feed       *feed.Feed
	Revoked    *grant.Revoked

	clock  clock.Clock
	family grant.Lifetimes
}

// Parts are what Services may be told.
type Parts struct {
	Clock  clock.Clock     // the wall clock if not given
	Family grant.Lifetimes // a day, an hour idle, and strict if not given
	Master secret.Text     // that of all tests if not given
	Counts limit.Store     // of attempts; apart if not given, where no test makes anything fail
}

// Password is that of every User, and Stored is its hash: bcrypt of cost 4.
const (
	Password = "correct horse battery"
	Stored   = "$2a$04$eC52dGU82nZJQjHyzgPuGecZ1fCSFHVWRyA37pDStEEzlHZybFGSy"
)

// Operator is who acts where a test does.
var Operator = principal.Principal{
	Kind: principal.CLI, ID: "test",
	Origin: principal.Origin{RequestID: "request", Address: "192.0.2.1", UserAgent: "test"},
}

// master is the master key of tests that do not bring their own.
var master = secret.NewMaster()

// hasher is shared by all tests: its workers are threads.
var hasher = sync.OnceValue(func() *factor.Hasher { return factor.NewHasher(factor.Options{InsecureCost: 4, Workers: 2}) })

// NewServices builds the domain over a store and starts it.
func NewServices(t testing.TB, s *store.Store, p Parts) *Services {
	t.Helper()
	if p.Clock == nil {
		p.Clock = clock.Wall()
	}
	if p.Family.Absolute == 0 {
		p.Family.Absolute, p.Family.Idle = 24*time.Hour, time.Hour
	}
	if p.Master.IsZero() {
		p.Master = master
	}
	aside := Open(t, SQLite(t), store.Options{Clock: p.Clock})
	if p.Counts == nil {
		p.Counts = aside
	}
	v := &Services{
		Store: s, Accounts: account.NewService(s, p.Clock), Roles: rbac.NewService(s, p.Clock), Sessions: session.NewService(s, p.Clock),
		Conditions: condition.NewService(s, p.Clock),
		Feed:       feed.New(s, slog.New(slog.DiscardHandler)), Revoked: grant.NewRevoked(),
		clock: p.Clock, family: p.Family,
	}
	v.Keys = keyring.NewService(s, p.Clock, keyring.Options{Algorithm: jose.EdDSA, PublishAhead: time.Hour, Keep: 10 * time.Minute},
		func() (*secret.Sealer, error) { return secret.ParseSealer(p.Master) })
	v.Clients = client.NewService(s, p.Clock, v.Keys.Peppers(keyring.ClientSecret), scope, client.Assertions{})
	v.Resources = resource.NewService(resource.Parts{
		Store: s, Clock: p.Clock, Own: []string{"https://auth.example", "https://api.example"}, Key: v.Keys.Ensure, Permission: permission,
	})
	v.Policy = policy.NewService(policy.Parts{Store: s, Clock: p.Clock, Roles: v.Roles, Resources: v.Resources, Clients: v.Clients})
	v.APIKeys = apikey.NewService(s, p.Clock, v.Keys.Peppers(keyring.APIKey), permission, apikey.Options{MaxLifetime: 365 * 24 * time.Hour})
	v.Orgs = org.NewService(s, p.Clock)
	v.Issuer = issue.NewService(issue.Parts{
		Store: s, Slots: aside, Clock: p.Clock, Policy: v.Roles.Policy, Accounts: v.Accounts, Keys: v.Keys, Hasher: hasher(), Resources: v.Resources, Orgs: v.Orgs, Clients: v.Clients,
		Limits: limit.NewService(p.Counts, p.Clock, slog.New(slog.DiscardHandler), limit.Options{Failures: 100}),
	}, issue.Options{
		Issuer: "https://auth.example", Audience: "https://api.example", AccessTTL: 5 * time.Minute, Family: p.Family,
		Session: session.Lifetimes{Absolute: 24 * time.Hour, Idle: time.Hour},
	})
	v.listen()
	for _, err := range []error{v.Roles.Load(t.Context()), v.Conditions.Load(t.Context()), v.Keys.Start(t.Context()), v.Feed.Start(t.Context())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func (v *Services) listen() {
	v.Feed.Listen(func(ctx context.Context, c feed.Change) error {
		v.Revoked.Apply(c)
		v.Accounts.Apply(c)
		v.Clients.Apply(c)
		v.Resources.Apply(c)
		v.APIKeys.Apply(c)
		v.Orgs.Apply(c)
		return errors.Join(v.Roles.Apply(ctx, c), v.Keys.Apply(ctx, c), v.Conditions.Apply(ctx, c))
	})
	v.Store.Listen(v.Feed.Committed)
}

// scope is what a client may ask for.
func scope(s string) error { _, err := rbac.ParseScope(s); return err }

// permission is what an API knows, and what a key carries.
func permission(s string) error { _, err := rbac.ParsePermission(s); return err }

// Client registers a client that may ask for scopes, and gives it roles.
func (v *Services) Client(t testing.TB, name string, scopes []string, roles ...string) (client.Client, secret.Text) {
	t.Helper()
	c, text, err := v.Clients.Create(t.Context(), Operator, client.Draft{ID: name, Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range roles {
		if _, err := v.Roles.GiveGrant(t.Context(), Operator, rbac.Grant{Kind: principal.Service, Principal: name, Role: role}); err != nil {
			t.Fatal(err)
		}
	}
	return c, text
}

// Group makes a group that has roles.
func (v *Services) Group(t testing.TB, name string, roles ...string) {
	t.Helper()
	if _, err := v.Roles.CreateGroup(t.Context(), Operator, rbac.Group{Name: name}); err != nil {
		t.Fatal(err)
	}
	for _, role := range roles {
		if _, err := v.Roles.GiveGrant(t.Context(), Operator, rbac.Grant{Group: name, Role: role}); err != nil {
			t.Fatal(err)
		}
	}
}

// Join brings an account into a group.
func (v *Services) Join(t testing.TB, group, user string) {
	t.Helper()
	if _, err := v.Roles.AddMember(t.Context(), Operator, rbac.Member{Group: group, Principal: user}); err != nil {
		t.Fatal(err)
	}
}

// User makes an account with Password and roles.
func (v *Services) User(t testing.TB, name string, roles ...string) account.User {
	t.Helper()
	u, err := v.Accounts.Create(t.Context(), Operator, account.Draft{Username: name, Email: name + "@example.com", EmailVerified: true, Hash: Stored})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range roles {
		if _, err := v.Roles.Give(t.Context(), Operator, u.ID, role, time.Time{}, ""); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

// Browser is where sign-ins come from.
var Browser = principal.Principal{Origin: principal.Origin{RequestID: "request", Address: "198.51.100.7", UserAgent: "browser"}}

// Family begins a token family as a sign-in does, without a password.
func (v *Services) Family(t testing.TB, u account.User, scope ...string) secret.Text {
	t.Helper()
	now := v.clock.Now()
	f, token := grant.New(now, u.ID, client.Builtin.ID, v.family)
	f.Scope, f.Audience, f.AMR = scope, "https://api.example", []string{"pwd"}
	by := Browser
	by.Kind, by.ID, by.Client = principal.User, u.ID, client.Builtin.ID
	if err := v.Store.SignIn(t.Context(), issue.SignIn{Family: f, Was: Stored}, audit.Now(by, now, audit.TokenIssued, f.Target())); err != nil {
		t.Fatal(err)
	}
	return token.Text()
}

// SignIn signs in with Password.
func (v *Services) SignIn(t testing.TB, name string) issue.Tokens {
	t.Helper()
	tokens, err := v.Issuer.SignIn(t.Context(), Browser, issue.Password{Name: name, Password: secret.From(Password), Client: client.Builtin})
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}
