// Package config reads what an operator may decide.
//
// One table, settings, names every decision with its default and its meaning.
// The YAML file, the environment, the flags, the file that init writes and the
// manual page are all made from it. Read tells every mistake at once, at the
// place where the operator made it, and never shows a secret. Clients, roles
// and users are data and not here.
package config

import (
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// Config is every decision, parsed. The name of a field's setting is the field's
// path in snake case: Tokens.AccessTTL is tokens.access_ttl.
type Config struct {
	Issuer         *url.URL // nil in mode Command if not given; its String is what was written
	Listen         Address
	Database       Database
	Counters       Counters
	TLS            TLS
	Hosts          []string // as in a Host header, without port: lower case, IPv6 in brackets
	TrustedProxies []netip.Prefix
	MasterKey      MasterKey
	Docs           bool // whether there is the reference of the API
	Metrics        Metrics
	Fetch          Fetch
	Audit          Audit
	Log            Log
	CORS           CORS
	Tokens         Tokens
	Signing        Signing
	Keys           Keys
	Passwords      Passwords
	Lockout        Lockout
	RateLimit      RateLimit
	Registration   Registration
	Sessions       Sessions
	SharedSignals  SharedSignals
	Mail           Mail
	Theme          Theme

	file    string
	places  map[string]place // of the settings that were given
	secrets []string         // the files that hold secrets, but for the master key's
}

// TLS says how the server speaks TLS: with the two files, with what an ACME
// authority gives it, or not at all.
type TLS struct {
	Cert, Key     string // paths of PEM files; both or neither
	ACME          bool
	ACMEDirectory string // an https URL
	ACMEEmail     string
}

// Speaks reports whether the server itself speaks TLS.
func (t TLS) Speaks() bool { return t.Cert != "" || t.ACME }

// Metrics is the listener of /metrics; the zero Address is none.
type Metrics struct{ Listen Address }

// Fetch loosens the guarded outbound client.
type Fetch struct {
	Allow []Exception
	CA    string // the path of a PEM file
}

// Audit says where the log goes besides the database, and how long it is kept.
type Audit struct {
	Sinks []Sink
	// WebhookSecret signs what webhooks are sent; zero if there is none.
	WebhookSecret secret.Text
	Retention     time.Duration // 0: for ever
}

// Log says what is logged, and how.
type Log struct {
	Level  slog.Level
	Format string // "auto" (text on a terminal, else json), "json" or "text"
}

// CORS lists the origins whose scripts may call the server.
type CORS struct{ Origins []string }

// Tokens says what tokens are like and how long they live.
type Tokens struct {
	AccessTTL     time.Duration
	RefreshTTL    time.Duration
	RefreshIdle   time.Duration
	Audience      string // the issuer, if not given
	SigningAlg    string // "ES256", "EdDSA", "RS256" or "PS256"
	RotationGrace time.Duration
}

// Signing says how signing keys follow one another.
type Signing struct{ PublishAhead time.Duration }

// Keys says how long API keys live, and who may report that one is public.
type Keys struct {
	MaxLifetime    time.Duration
	AllowUnlimited bool
	LeakReporters  string // the path of a PEM file; empty: nobody
}

// Passwords says which passwords are accepted and how they are hashed.
type Passwords struct {
	Hash      string // "bcrypt" or "argon2id"
	MinLength int    // characters
	Workers   int    // 0 is one for each core
}

// Lockout says how many failures lock an account's bucket, and for how long the
// first time, the second and so on.
type Lockout struct {
	Failures  int
	Durations []time.Duration
}

// RateLimit is how often each kind of request may fail.
type RateLimit struct{ Login, Global, Token, Reset, Device, Registration Rate }

// Registration says which clients register themselves.
type Registration struct {
	Open   bool     // without a token, too
	Scopes []string // that those may ask for
	Unused time.Duration

	AssertionAudience string // "issuer" or "token_endpoint": whom clients make their assertions for
}

// SharedSignals says whether clients hear of what happens to people who signed in to them.
type SharedSignals struct {
	Enabled  bool
	Subjects string // "none" or "all": of whom a new stream tells
}

// Sessions says how long a browser stays signed in.
type Sessions struct{ Idle, Absolute time.Duration }

// Mail is the SMTP server that letters go through; without a Host none is sent.
type Mail struct {
	Host     string
	Port     int
	Username string
	Password secret.Text
	From     string
	TLS      string // "starttls", "implicit" or "none"
}

// Mode is what a configuration is read for.
type Mode int

// The modes.
const (
	Command Mode = iota // a command on the database: nothing is served
	Serve               // the production server: what is not safe is refused
	Dev                 // the server of the first minute, for this machine alone
)

// Sources is what an operator wrote, and where. Flags win over Environ, Environ
// over the file, the file over Defaults, and Defaults over the table.
type Sources struct {
	Mode Mode
	// File is the path of the YAML file as the operator wrote it; empty for
	// none. FileData is what it holds; if nil, Read reads the file.
	File     string
	FileData []byte
	// Environ is the environment as os.Environ returns it.
	Environ []string
	// Flags holds values by the flag as the operator wrote it: "--listen" for a
	// flag of that setting's own, "--set tokens.access_ttl" for the general one.
	Flags map[string]string
	// Defaults holds values by setting's name, for a command that has defaults of
	// its own. They are written as flags are: lists with commas, paths from the
	// working directory.
	Defaults map[string]string
}

// Read makes a Config of its sources. The error joins every mistake, each a
// fault of kind Invalid whose Field is the place as the operator wrote it; the
// Config is then the zero one.
func Read(s Sources) (Config, error) {
	m := &mistakes{}
	c := Config{file: s.File, places: map[string]place{}}
	take := func(g given) { apply(&c, g, m) } // the later wins
	readDefaults(s, m, take)
	readFile(s.File, s.FileData, m, take)
	readEnviron(s.Environ, m, take)
	readFlags(s.Flags, m, take)
	c.derive(s.Mode, m)
	c.check(s.Mode, m)
	if len(m.list) > 0 {
		return Config{}, errors.Join(m.all()...)
	}
	return c, nil
}

// Default returns what holds where nothing is given: for dev, a whole
// configuration; else one without an issuer and without a master key.
func Default(dev bool) Config {
	s := Sources{Mode: Command}
	if dev {
		s.Mode = Dev
	}
	c, err := Read(s)
	if err != nil {
		panic("config: a default is not allowed: " + err.Error())
	}
	return c
}

// apply parses g into c, and remembers where it was given. What is overridden
// later is parsed all the same: a mistake there waits for its day.
func apply(c *Config, g given, m *mistakes) {
	for _, it := range g.items {
		if err := g.setting.printable(it.text); err != nil {
			m.add(g.setting.Name, it.where, "%v", err)
			return
		}
	}
	if g.setting.Reserved && !g.isDefault() {
		m.add(g.setting.Name, g.at.where, "is not served by this version; remove it")
		return
	}
	if errs := g.setting.form.set(c, g); errs != nil {
		for _, err := range errs {
			m.note(g.setting.Name, err)
		}
		return
	}
	if g.at.from != byDefault {
		c.places[g.setting.Name] = g.at
		c.holds(g)
	}
}

// derive fills in what follows from other settings where nothing was given.
func (c *Config) derive(mode Mode, m *mistakes) {
	if mode == Dev && c.Issuer == nil && !m.about("issuer", "listen") {
		scheme := "http"
		if c.TLS.Speaks() {
			scheme = "https"
		}
		c.Issuer = &url.URL{Scheme: scheme, Host: Address{Host: "localhost", Port: c.Listen.Port}.String()}
	}
	if c.Issuer != nil && len(c.Hosts) == 0 {
		c.Hosts = []string{hostOf(c.Issuer)}
		if mode == Dev {
			c.Hosts = union(c.Hosts, "localhost", "127.0.0.1", "[::1]")
		}
	}
	if c.Issuer != nil && c.Tokens.Audience == "" {
		c.Tokens.Audience = c.Issuer.String()
	}
}
