// Package server builds the parts of Doorward and serves them. What there is to
// serve, and who may call it, stands in one table: routes.go.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/condition"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/counter"
	"github.com/doorward/doorward/internal/factor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/fetch"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/org"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/policy"
	"github.com/doorward/doorward/internal/provider"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/reference"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/signin"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/web"
)

// Core is everything but the surfaces: what the commands work with too.
type Core struct {
	Config      config.Config
	Clock       clock.Clock
	Log         *slog.Logger
	Store       *store.Store
	Keys        *keyring.Service
	Accounts    *account.Service
	Clients     *client.Service
	Conditions  *condition.Service
	APIKeys     *apikey.Service
	Access      *access.Service
	Roles       *rbac.Service
	Resources   *resource.Service
	Policy      *policy.Service
	Orgs        *org.Service
	Issuer      *issue.Service
	Sessions    *session.Service
	Limits      *limit.Service
	counters    *counter.Counter // nil if the database counts
	Hasher      *factor.Hasher
	Fetch       *fetch.Client
	Feed        *feed.Feed
	Revoked     *grant.Revoked
	Voids       *grant.Stream
	Marker      *issue.Marker
	Audit       *audit.Reader
	Outbox      *outbox.Service
	Logouts     outbox.Logouts
	Signals     outbox.Signals
	Transmitter *issue.Transmitter

	inbox bool // letters are read here
}

// Leeway is how far clocks may differ (RFC 7519, Section 4.1.4).
const Leeway = clock.Leeway

// Options are what the parts of a core are opened with. A configuration gives
// them; tests change them.
type Options struct {
	Store  store.Options
	Hasher factor.Options
	// Inbox keeps letters here, to be read at /inbox by whoever comes: for dev
	// alone.
	Inbox bool
	// Carrier, if set, carries letters instead of the configured mail server.
	Carrier outbox.Carrier
}

// NewCore opens the database, brings its schema up to date, makes the keys that
// are missing, and builds the services over it. A master key that cannot be read
// is an error before anything is touched.
func NewCore(ctx context.Context, c config.Config, log *slog.Logger, tweaks ...func(*Options)) (*Core, error) {
	if _, err := sealer(c); err != nil {
		return nil, err
	}
	k, err := open(ctx, c, log, tweaks)
	if err != nil {
		return nil, err
	}
	if err := k.start(ctx); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// Attach opens a database that is in use, for a command beside the servers: it
// changes neither the schema nor the keys, and follows no changes. The keyring is
// empty until its Load. A schema that is not up to date is a fault.
func Attach(ctx context.Context, c config.Config, log *slog.Logger, tweaks ...func(*Options)) (*Core, error) {
	k, err := open(ctx, c, log, tweaks)
	if err != nil {
		return nil, err
	}
	lacks, err := k.Store.Pending(ctx)
	if err == nil && len(lacks) > 0 {
		err = fault.New(fault.Unavailable, "the database %s lacks the migration %s; run: doorward migrate", c.Database, strings.Join(lacks, ", "))
	}
	if err == nil {
		err = errors.Join(k.Roles.Load(ctx), k.Conditions.Load(ctx))
	}
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// OpenStore opens the database of a configuration, and nothing above it.
func OpenStore(ctx context.Context, c config.Config, log *slog.Logger) (*store.Store, error) {
	return openStore(ctx, c, settle(c, log, nil))
}

func settle(c config.Config, log *slog.Logger, tweaks []func(*Options)) Options {
	o := Options{
		Store:  store.Options{Clock: clock.Wall(), Log: log},
		Hasher: factor.Options{Algorithm: c.Passwords.Hash, Workers: c.Passwords.Workers, MinLength: c.Passwords.MinLength},
	}
	for _, tweak := range tweaks {
		tweak(&o)
	}
	return o
}

func openStore(ctx context.Context, c config.Config, o Options) (*store.Store, error) {
	return store.Open(ctx, c.Database.DSN.Reveal(), o.Store)
}

// open opens the database and builds the services over it. Nothing is read yet.
func open(ctx context.Context, c config.Config, log *slog.Logger, tweaks []func(*Options)) (*Core, error) {
	o := settle(c, log, tweaks)
	s, err := openStore(ctx, c, o)
	if err != nil {
		return nil, err
	}
	now := o.Store.Clock
	k := &Core{Config: c, Clock: now, Log: log, Store: s, Feed: feed.New(s, log), Revoked: grant.NewRevoked(), Voids: grant.NewStream(s), Marker: issue.NewMarker(s, now, log)}
	k.Keys = keyring.NewService(s, now, keyring.Options{
		Algorithm: jose.Algorithm(c.Tokens.SigningAlg), PublishAhead: c.Signing.PublishAhead, Keep: c.Tokens.AccessTTL + 2*Leeway,
	}, func() (*secret.Sealer, error) { return sealer(c) })
	if err := k.openLimits(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	k.Accounts = account.NewService(s, now)
	if k.Fetch, err = fetcher(c, log); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	k.Clients = client.NewService(s, now, k.Keys.Peppers(keyring.ClientSecret), scope, client.Assertions{
		Issuer: issuer(c), Endpoints: []string{issuer(c) + "/oauth2/token", issuer(c) + "/oauth2/par"}, Fetch: k.Fetch, First: k.Limits.First, Log: log,
	}).Signing(k.Keys.Ensure).Enrolling(k.opening())
	k.APIKeys = apikey.NewService(s, now, k.Keys.Peppers(keyring.APIKey), permission, apikey.Options{MaxLifetime: c.Keys.MaxLifetime, AllowUnlimited: c.Keys.AllowUnlimited})
	k.Roles = rbac.NewService(s, now)
	k.Resources = resource.NewService(resource.Parts{
		Store: s, Clock: now, Own: []string{issuer(c), audience(c)}, Key: k.Keys.Ensure, Permission: permission,
	})
	k.Orgs = org.NewService(s, now)
	k.Conditions = condition.NewService(s, now)
	k.Access = access.NewService(access.Parts{
		Accounts: k.Accounts, Clients: k.Clients, Policy: k.Roles.Policy, Resources: k.Resources, Conditions: k.Conditions, Orgs: k.Orgs, Store: s, Clock: now,
	})
	k.Policy = policy.NewService(policy.Parts{Store: s, Clock: now, Roles: k.Roles, Resources: k.Resources, Clients: k.Clients})
	k.Audit = audit.NewReader(s, now)
	letters, err := carrier(c, o, s)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", c.Place("mail.from"), err), s.Close())
	}
	k.Outbox, k.inbox = outbox.NewService(outbox.Parts{Store: s, Clock: now, Log: log, Carrier: letters, Issuer: issuer(c)}), o.Inbox
	k.Hasher = factor.NewHasher(o.Hasher)
	k.Sessions = session.NewService(s, now)
	k.Issuer = issue.NewService(issue.Parts{
		Store: s, Slots: s, Clock: now, Log: log, Limits: k.Limits, Fresh: k.Fresh, Policy: k.Roles.Policy, Accounts: k.Accounts, Keys: k.Keys, Hasher: k.Hasher,
		Resources: k.Resources, Orgs: k.Orgs, Clients: k.Clients, Poster: k.Fetch,
	}, issue.Options{
		Issuer: issuer(c), Audience: audience(c), AccessTTL: c.Tokens.AccessTTL,
		Family:    grant.Lifetimes{Absolute: c.Tokens.RefreshTTL, Idle: c.Tokens.RefreshIdle, Grace: c.Tokens.RotationGrace},
		Session:   session.Lifetimes{Absolute: c.Sessions.Absolute, Idle: c.Sessions.Idle},
		UserCodes: rateOf(c.RateLimit.Device),
	})
	k.Logouts = outbox.Logouts{Store: s, Clock: now, Log: log, Tell: k.Issuer.TellSignedOut}
	k.Transmitter = issue.NewTransmitter(issue.TransmitterParts{
		Issuer: k.Issuer, Streams: s, Signals: s, Pusher: k.Fetch, Sealer: func() (*secret.Sealer, error) { return sealer(c) }, All: c.SharedSignals.Subjects == "all",
	})
	k.Signals = outbox.Signals{Store: s, Clock: now, Log: log, Serve: k.Transmitter.Serve}
	return k, nil
}

// start brings the database up to date and begins to follow its changes.
func (k *Core) start(ctx context.Context) error {
	steps, err := k.Store.Migrate(ctx)
	if err != nil {
		return err
	}
	for _, name := range steps {
		k.Log.Info("the database was migrated", "migration", name)
	}
	if err := k.Store.EnsureBuiltin(ctx); err != nil {
		return err
	}
	k.listen()
	if err := errors.Join(k.Roles.Load(ctx), k.Conditions.Load(ctx)); err != nil {
		return err
	}
	for _, m := range k.Conditions.Set().Broken() {
		k.Log.Error("a condition forbids everything that conditions decide on", "condition", m.Condition, "error", m.Error)
	}
	if err := k.Keys.Start(ctx); err != nil {
		return err
	}
	if _, err := k.Store.BeginLog(ctx, audit.Origin(k.Config.Issuer)); err != nil {
		return err
	}
	return k.Feed.Start(ctx)
}

// listen connects what is kept in memory with what changes.
func (k *Core) listen() {
	sure := func(follow func(feed.Change)) feed.Listener {
		return func(_ context.Context, c feed.Change) error { follow(c); return nil }
	}
	k.Feed.Listen(sure(k.Revoked.Apply))
	k.Feed.Listen(sure(k.Voids.Apply))
	k.Feed.Listen(sure(k.Marker.Apply))
	k.Feed.Listen(sure(k.Accounts.Apply))
	k.Feed.Listen(sure(k.Clients.Apply))
	k.Feed.Listen(sure(k.Orgs.Apply))
	k.Feed.Listen(sure(k.Resources.Apply)) // before the roles, which say up to where all is known
	k.Feed.Listen(sure(k.APIKeys.Apply))
	k.Feed.Listen(k.Roles.Apply)
	k.Feed.Listen(k.Conditions.Apply)
	k.Feed.Listen(func(ctx context.Context, c feed.Change) error {
		err := k.Keys.Apply(ctx, c)
		if errors.Is(err, keyring.ErrSealed) { // it needs an operator; nothing else is to wait for him
			k.Log.Error("the keyring changed and cannot be read; what was read before stays in use", "error", err)
			return nil
		}
		return err
	})
	k.Store.Listen(k.Feed.Committed)
}

// Close ends what the core began.
func (k *Core) Close() error {
	k.Hasher.Close()
	var err error
	if k.counters != nil {
		err = k.counters.Close()
	}
	return errors.Join(err, k.Store.Close())
}

func sealer(c config.Config) (*secret.Sealer, error) {
	text, err := c.MasterKey.Load()
	if err != nil {
		return nil, err
	}
	s, err := secret.ParseSealer(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Place("master_key"), err)
	}
	return s, nil
}

// permission returns an error for what is no permission.
func permission(s string) error { _, err := rbac.ParsePermission(s); return err }

// scope is what a client may ask for.
func scope(s string) error { _, err := rbac.ParseScope(s); return err }

func issuer(c config.Config) string {
	if c.Issuer == nil {
		return ""
	}
	return c.Issuer.String()
}

func audience(c config.Config) string {
	if c.Tokens.Audience != "" {
		return c.Tokens.Audience
	}
	return issuer(c)
}

// Server is Doorward, ready to serve.
type Server struct {
	*Core
	handler     http.Handler
	counter     *audit.Counter
	draining    atomic.Bool
	guard       *guard.Guard
	judging     *guard.Guard // takes tokens for every API
	cookies     web.Cookies
	origins     *web.CrossOrigin
	keySet      keySet
	openapi     func() ([]byte, error)
	connections connections
	look        look
	first       func() // asks for the certificate before anybody else does; may be nil
}

// New builds the server over a core.
func New(k *Core, version string) (*Server, error) {
	s := &Server{Core: k, counter: audit.NewCounter()}
	var err error
	if s.guard, err = s.newGuard(guard.APIKeys(s.apiKey), guard.Errors(s.refused), guard.Resource(issuer(k.Config)), guard.Realm("doorward")); err != nil {
		return nil, err
	}
	// Which APIs there are, judge asks afterwards.
	if s.judging, err = s.newGuard(guard.AudienceFunc(func(string) bool { return true })); err != nil {
		return nil, err
	}
	if s.look, err = newLook(k.Config); err != nil {
		return nil, err
	}
	https := k.Config.Issuer != nil && k.Config.Issuer.Scheme == "https"
	s.cookies = web.Cookies{Secure: https}
	if err := reporters(k.Config); err != nil {
		return nil, err
	}
	surfaces, err := s.surfaces(https, version)
	if err != nil {
		return nil, err
	}
	table := s.routes(surfaces)
	if surfaces.docs != nil {
		k.Clients.BuildIn(client.Reference(issuer(k.Config)+reference.Redirect, permissions(table), jose.Algorithm(k.Config.Tokens.SigningAlg)))
	}
	s.openapi = surfaces.admin.Document(callers(table))
	site := web.Site{
		Cookies: s.cookies,
		Hosts:   k.Config.Hosts, Proxies: k.Config.TrustedProxies, Log: k.Log,
		NeedsHTTPS: https, HSTS: https && !config.Address{Host: k.Config.Issuer.Hostname()}.Loopback(), Fail: s.failNowhere,
		Theme: s.look.Theme, Pages: isPage, URL: issuer(k.Config),
	}
	cors := web.CORS{Origins: k.Config.CORS.Origins, Shares: shares, Fail: s.failNowhere}
	s.handler = site.Around(cors.Around(echo(s.mux(table, surfaces))))
	return s, nil
}

// surfaces builds what answers.
func (s *Server) surfaces(https bool, version string) (surfaces, error) {
	k := s.Core
	scheme := "http"
	if https {
		scheme = "https"
	}
	var err error
	if s.origins, err = web.NewCrossOrigin(scheme, k.Config.CORS.Origins); err != nil {
		return surfaces{}, err
	}
	forms, err := web.NewCrossOrigin(scheme, nil)
	if err != nil {
		return surfaces{}, err
	}
	people := signin.New(signin.Parts{
		Issuer: k.Issuer, Sessions: k.Sessions, Bearer: s.bearer, Cookies: s.cookies, Origins: s.origins, Flow: k.Issuer, URL: issuer(k.Config), Hint: k.Issuer.Hint, Meant: k.Issuer.Meant, Frames: k.Issuer.Frames, Clients: k.Clients,
		Forms: forms, Accounts: k.Accounts, Keys: k.Keys, Clock: k.Clock, Idle: k.Config.Sessions.Idle, Twice: s.duplicate,
	})
	count := func(credential, action string, o audit.Outcome) { s.counter.Add(k.Clock.Now(), credential, action, o) }
	p, err := provider.New(issuer(k.Config), provider.Parts{
		Keys: k.Keys, Clients: k.Clients, Registrar: k.Clients, Issuer: k.Issuer, Accounts: k.Accounts, Judge: s.judge, Bearer: s.bearerOf,
		Lists: k.Store, Transmitter: k.Transmitter, Voids: k.Voids, Fresh: k.Fresh,
		Count: count, Clock: k.Clock, Cookies: s.cookies, SignedIn: people.SignedIn, Languages: signin.Languages(),
	})
	if err != nil {
		return surfaces{}, err
	}
	api := admin.New(admin.Parts{
		Accounts: k.Accounts, Clients: k.Clients, APIKeys: k.APIKeys, Access: k.Access, Resources: k.Resources, Orgs: k.Orgs, Bearer: s.bearerOf, Reporters: k.Config.Keys.LeakReporters,
		Count: count, Roles: k.Roles, Issuer: k.Issuer, Transmitter: k.Transmitter, Sessions: k.Sessions, Limits: k.Limits, Keys: k.Keys, Audit: k.Audit, Tree: k.Store, Clock: k.Clock, Cookies: s.cookies, URL: issuer(k.Config), Version: version,
	})
	all := surfaces{admin: api, provider: p, signin: people}
	if k.Config.Docs {
		all.docs = reference.New(reference.Options{Issuer: issuer(k.Config), Client: client.ReferenceID, Password: k.inbox, Theme: s.look.Theme})
	}
	return all, nil
}

// newGuard returns a guard over this server's own keys.
func (s *Server) newGuard(more ...guard.Option) (*guard.Guard, error) {
	k := s.Core
	return guard.New(issuer(k.Config), append(more, guard.Audience(audiences(k.Config)...), guard.Keys(func() *guard.KeySet { return s.keySet.current(k) }),
		guard.Revocation(s.revoked), guard.Now(k.Clock.Now), guard.Leeway(Leeway), guard.Logger(k.Log))...)
}

// audiences are whom tokens may be for that this server's own API takes: the
// issuer, and what is written into tokens by default.
func audiences(c config.Config) []string {
	if a := audience(c); a != issuer(c) {
		return []string{issuer(c), a}
	}
	return []string{issuer(c)}
}

// ServeHTTP serves a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// KeySet returns the keyring's published keys as the guard verifies with them.
func (k *Core) KeySet() (*guard.KeySet, error) {
	view, err := k.Keys.View()
	if err != nil {
		return nil, err
	}
	return guardKeys(view)
}

func guardKeys(view *keyring.View) (*guard.KeySet, error) {
	var keys []guard.Key
	for _, key := range view.Published {
		keys = append(keys, guard.Key{ID: key.ID, Algorithm: string(key.Alg), Public: key.Private.Public()})
	}
	return guard.NewKeySet(keys...)
}

// keySet keeps the guard's keys, made once for each state of the keyring.
type keySet struct {
	mu   sync.Mutex
	kept atomic.Pointer[keptSet]
}

type keptSet struct {
	of   *keyring.View
	keys *guard.KeySet
}

func (s *keySet) current(k *Core) *guard.KeySet {
	view, err := k.Keys.View()
	if err != nil {
		return nil
	}
	if kept := s.kept.Load(); kept != nil && kept.of == view {
		return kept.keys
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	set, err := guardKeys(view)
	if err != nil {
		k.Log.Error("a published key cannot verify", "error", err)
		return nil
	}
	s.kept.Store(&keptSet{view, set})
	return set
}
