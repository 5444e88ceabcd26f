package config

import (
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

const day = 24 * time.Hour

// settings is the table: every decision that an operator may make. The settings
// of a section stand together.
var settings = []Setting{
	{
		Name: "issuer", Unset: "none: `serve` needs one, and `dev` takes http://localhost and the port of `listen`", Example: "https://auth.example.com",
		Help: "The URL by which clients know this server. It is in every token and in every client's settings: do not change it later.",
		form: issuer(func(c *Config) **url.URL { return &c.Issuer }),
	},
	{
		Name: "listen", Default: "127.0.0.1:8080",
		Help: "Where the server listens. Beyond loopback it wants a certificate (tls.cert and tls.key, or tls.acme) or a proxy that speaks TLS (trusted_proxies).",
		form: address(func(c *Config) *Address { return &c.Listen }),
	},
	{
		Name: "database", Default: "sqlite:doorward.db", Secret: true,
		Help: "Where everything is kept: an SQLite file, whose path starts from the working directory, or a PostgreSQL server. A password stands here, in the environment, in a file that DOORWARD_DATABASE_FILE names, or in the file that PGPASSFILE names; in an argument it is refused, except by dev.",
		form: database(func(c *Config) *Database { return &c.Database }),
	},
	{
		Name: "counters", Default: "database", Secret: true,
		Help: "Where attempts and limits are counted: in the database, or in a Redis or Valkey that all servers share. While it does not answer, every sign-in is refused (503).",
		form: counters(func(c *Config) *Counters { return &c.Counters }),
	},

	{
		Name: "tls.cert", Unset: "none", Example: "/etc/doorward/cert.pem",
		Help: "The server's certificate and those between it and its authority, in PEM.",
		form: file(func(c *Config) *string { return &c.TLS.Cert }),
	},
	{
		Name: "tls.key", Unset: "none", Example: "/etc/doorward/key.pem",
		Help: "The private key of the certificate, in PEM.",
		form: file(func(c *Config) *string { return &c.TLS.Key }),
	},
	{
		Name: "tls.acme", Default: "false",
		Help: "Whether the server gets its certificates itself and renews them (RFC 8555). The authority must reach it at port 443 of the issuer's host; by this setting you accept its terms.",
		form: boolean(func(c *Config) *bool { return &c.TLS.ACME }),
	},
	{
		Name: "tls.acme_directory", Default: "https://acme-v02.api.letsencrypt.org/directory",
		Help: "The directory of the ACME authority; the default is Let's Encrypt.",
		form: httpsURL(func(c *Config) *string { return &c.TLS.ACMEDirectory }),
	},
	{
		Name: "tls.acme_email", Unset: "none", Example: "operator@example.com",
		Help: "Where the authority may write to about these certificates.",
		form: plainMailbox(func(c *Config) *string { return &c.TLS.ACMEEmail }),
	},

	{
		Name: "hosts", Unset: "the issuer's host; in `dev` also localhost, 127.0.0.1 and [::1]", Example: "auth.example.com",
		Help: "The hosts that the server answers to. A request with another Host header is refused (421).",
		form: hosts(func(c *Config) *[]string { return &c.Hosts }),
	},
	{
		Name: "trusted_proxies", Unset: "none: forwarded headers are ignored", Example: "10.0.0.0/8",
		Help: "The proxies that are believed when they say where a request came from and whether it came over https.",
		form: prefixes(func(c *Config) *[]netip.Prefix { return &c.TrustedProxies }),
	},
	{
		Name: "master_key", Unset: "none: `serve` needs one, and `dev` makes its own", Example: "master.key", Secret: true,
		Help: "The file of the key that seals signing keys and other secrets in the database: 32 bytes in base64, one key a line, of which the first seals and all open. Without it the database is of no use: keep a copy elsewhere. A file that everybody may read or its group may write is refused; one that its group may read, unless root owns it.",
		form: masterKey(func(c *Config) *MasterKey { return &c.MasterKey }),
	},

	{
		Name: "docs", Default: "true",
		Help: "Whether there is the reference of the API at /docs, where people may sign in and make calls, and its client doorward-docs. The document /openapi.json is there all the same.",
		form: boolean(func(c *Config) *bool { return &c.Docs }),
	},

	{
		Name: "metrics.listen", Unset: "none", Example: "127.0.0.1:9090", Reserved: true,
		Help: "Where /metrics is served, apart from all else.",
		form: address(func(c *Config) *Address { return &c.Metrics.Listen }),
	},

	{
		Name: "fetch.allow", Unset: "none", Example: "10.1.2.3",
		Help: "Places that the server may fetch from, when a client's metadata names them, although they are not on the public Internet: a host whatever its address is, an address, or a network that names may mean. A host or an address that stands here may also be asked by http, and at other ports than 443 and 8443.",
		form: exceptions(func(c *Config) *[]Exception { return &c.Fetch.Allow }),
	},
	{
		Name: "fetch.ca", Unset: "none", Example: "/etc/doorward/ca.pem",
		Help: "Authorities to believe besides the system's when fetching, in PEM.",
		form: file(func(c *Config) *string { return &c.Fetch.CA }),
	},

	{
		Name: "audit.sinks", Unset: "none", Example: "file:/var/log/doorward/audit.jsonl",
		Help: "Where the events and checkpoints of the audit log are sent besides the database. Tampering is found since any checkpoint that is held elsewhere: let one of them be on another machine.",
		form: sinks(func(c *Config) *[]Sink { return &c.Audit.Sinks }),
	},
	{
		Name: "audit.webhook_secret", Unset: "none", Example: "some-long-random-text-of-yours", Secret: true,
		Help: "What requests to webhooks among the sinks are signed with (standardwebhooks.com).",
		form: signingSecret(func(c *Config) *secret.Text { return &c.Audit.WebhookSecret }),
	},
	{
		Name: "audit.retention", Default: "0s",
		Help: "How long events are kept; 0s is for ever. The log is proved as before when they are gone.",
		form: duration(func(c *Config) *time.Duration { return &c.Audit.Retention }, 0, 20*365*day),
	},

	{
		Name: "log.level", Default: "info",
		Help: "The least that is logged.",
		form: level(func(c *Config) *slog.Level { return &c.Log.Level }),
	},
	{
		Name: "log.format", Default: "auto",
		Help: "How lines are written; auto is text on a terminal and json elsewhere. The default of dev is text.",
		form: enum(func(c *Config) *string { return &c.Log.Format }, "auto", "json", "text"),
	},

	{
		Name: "cors.origins", Unset: "none", Example: "https://app.example.com",
		Help: "The origins whose scripts may call the server from a browser, with credentials too. Each is listed; there are no patterns.",
		form: origins(func(c *Config) *[]string { return &c.CORS.Origins }),
	},

	{
		Name: "tokens.access_ttl", Default: "15m",
		Help: "How long an access token lives. What is revoked is refused at once all the same.",
		form: duration(func(c *Config) *time.Duration { return &c.Tokens.AccessTTL }, time.Minute, day),
	},
	{
		Name: "tokens.refresh_ttl", Default: "720h",
		Help: "How long after the sign-in the last refresh token of a family ends.",
		form: duration(func(c *Config) *time.Duration { return &c.Tokens.RefreshTTL }, 5*time.Minute, 365*day),
	},
	{
		Name: "tokens.refresh_idle", Default: "168h",
		Help: "How long a refresh token may lie unused.",
		form: duration(func(c *Config) *time.Duration { return &c.Tokens.RefreshIdle }, 5*time.Minute, 365*day),
	},
	{
		Name: "tokens.audience", Unset: "the issuer", Example: "https://api.example.com",
		Help: "Whom tokens are meant for (aud) where a client names no resource (RFC 8707).",
		form: audience(func(c *Config) *string { return &c.Tokens.Audience }),
	},
	{
		Name: "tokens.signing_alg", Default: "ES256",
		Help: "How access tokens are signed (RFC 7518, RFC 8037). ID tokens follow the client's registration.",
		form: enum(func(c *Config) *string { return &c.Tokens.SigningAlg }, "ES256", "EdDSA", "RS256", "PS256"),
	},
	{
		Name: "tokens.rotation_grace", Default: "0s",
		Help: "How long after its use a refresh token may be sent once more, by a client that lost the answer. 0s is strict: a spent token ends its family.",
		form: duration(func(c *Config) *time.Duration { return &c.Tokens.RotationGrace }, 0, 30*time.Second),
	},

	{
		Name: "signing.publish_ahead", Default: "24h",
		Help: "How long a new signing key is published before it signs, so that every API has it by then. The very first key signs at once.",
		form: duration(func(c *Config) *time.Duration { return &c.Signing.PublishAhead }, 0, 30*day),
	},

	{
		Name: "keys.max_lifetime", Default: "8760h",
		Help: "The longest that an API key may live. To last longer it is rotated: its secret is another one then.",
		form: duration(func(c *Config) *time.Duration { return &c.Keys.MaxLifetime }, time.Minute, 10*365*day),
	},
	{
		Name: "keys.allow_unlimited", Default: "false",
		Help: "Whether API keys may be made that do not expire. One that nobody remembers works until somebody finds it.",
		form: boolean(func(c *Config) *bool { return &c.Keys.AllowUnlimited }),
	},
	{
		Name: "keys.leak_reporters", Unset: "none: there is no POST /api-keys/leaks", Example: "/etc/doorward/github.pem",
		Help: "The public keys of whom the server believes that an API key was found in public, in PEM: those of GitHub's secret scanning. A reported key is revoked at once.",
		form: file(func(c *Config) *string { return &c.Keys.LeakReporters }),
	},

	{
		Name: "passwords.hash", Default: "bcrypt",
		Help: "How passwords are hashed: bcrypt with cost 12, or argon2id with 19 MiB, two passes and one lane. After a change, a hash is made anew at its owner's next login.",
		form: enum(func(c *Config) *string { return &c.Passwords.Hash }, "bcrypt", "argon2id"),
	},
	{
		Name: "passwords.min_length", Default: "8",
		Help: "The least number of characters of a new password. Common passwords are refused at any length.",
		form: integer(func(c *Config) *int { return &c.Passwords.MinLength }, 8, 64),
	},
	{
		Name: "passwords.workers", Default: "0",
		Help: "How many passwords are hashed at once; 0 is one for each core. More wait in a short queue, and beyond it a login is told to come again (429).",
		form: integer(func(c *Config) *int { return &c.Passwords.Workers }, 0, 1024),
	},

	{
		Name: "lockout.failures", Default: "5",
		Help: "How many failed logins in a row lock an account for strangers. A device that signed in before has as many of its own.",
		form: integer(func(c *Config) *int { return &c.Lockout.Failures }, 1, 100),
	},
	{
		Name: "lockout.durations", Default: "1m,5m,15m,60m",
		Help: "How long a lock lasts the first time, the second and so on; the last one stays.",
		form: durations(func(c *Config) *[]time.Duration { return &c.Lockout.Durations }, time.Second, day),
	},

	{
		Name: "rate_limit.login", Default: "10/1m",
		Help: "How many logins may fail from one address, or from one /64 of IPv6; from one /48, ten times as many.",
		form: rate(func(c *Config) *Rate { return &c.RateLimit.Login }),
	},
	{
		Name: "rate_limit.global", Default: "600/1m",
		Help: "How many logins may fail from everywhere. Past it there is an alarm, and as long as it lasts only two may fail from one address.",
		form: rate(func(c *Config) *Rate { return &c.RateLimit.Global }),
	},
	{
		Name: "rate_limit.token", Default: "60/1m", Reserved: true,
		Help: "How many token requests may fail from one client at one address.",
		form: rate(func(c *Config) *Rate { return &c.RateLimit.Token }),
	},
	{
		Name: "rate_limit.reset", Default: "3/1h", Reserved: true,
		Help: "How many password resets may be asked for one account.",
		form: rate(func(c *Config) *Rate { return &c.RateLimit.Reset }),
	},
	{
		Name: "rate_limit.device", Default: "100/1m",
		Help: "How many wrong codes of devices may be typed, by everybody together. Past it no code is taken for a while.",
		form: rate(func(c *Config) *Rate { return &c.RateLimit.Device }),
	},
	{
		Name: "rate_limit.registration", Default: "10/1h",
		Help: "How many clients may be registered without a token from one address, or from one /64 of IPv6, and how often one that registered itself may change.",
		form: rate(func(c *Config) *Rate { return &c.RateLimit.Registration }),
	},

	{
		Name: "registration.open", Default: "false",
		Help: "Whether anybody may register a client (RFC 7591). Otherwise a token is needed, which the command client registration-token create makes.",
		form: boolean(func(c *Config) *bool { return &c.Registration.Open }),
	},
	{
		Name: "registration.scopes", Unset: "none", Example: "orders:read",
		Help: "The permissions that clients may ask for which were registered without a token. The scopes of identity, openid and the like, they may always ask for.",
		form: many("permissions, like orders:read", func(c *Config) *[]string { return &c.Registration.Scopes }, permission, same),
	},
	{
		Name: "registration.unused", Default: "720h",
		Help: "After how long a client is deleted that somebody registered himself and that nobody has agreed to; 0s is never.",
		form: duration(func(c *Config) *time.Duration { return &c.Registration.Unused }, 0, 365*day),
	},
	{
		Name: "registration.assertion_audience", Default: "issuer",
		Help: "Whom clients that register themselves, and prove themselves by a key, make their assertions for (aud): the issuer alone, or the token endpoint too, for software that names that (OpenID Connect Core 1.0, Section 9).",
		form: enum(func(c *Config) *string { return &c.Registration.AssertionAudience }, "issuer", "token_endpoint"),
	},

	{
		Name: "sessions.idle", Default: "12h",
		Help: "How long a browser stays signed in without a request.",
		form: duration(func(c *Config) *time.Duration { return &c.Sessions.Idle }, 5*time.Minute, 30*day),
	},
	{
		Name: "sessions.absolute", Default: "336h",
		Help: "How long a browser stays signed in at all.",
		form: duration(func(c *Config) *time.Duration { return &c.Sessions.Absolute }, 5*time.Minute, 365*day),
	},

	{
		Name: "shared_signals.enabled", Default: "false",
		Help: "Whether clients that hold ssf.manage may have streams by which they hear of what happens to people who signed in to them: sessions that were ended, other passwords, other roles (OpenID Shared Signals Framework 1.0).",
		form: boolean(func(c *Config) *bool { return &c.SharedSignals.Enabled }),
	},
	{
		Name: "shared_signals.subjects", Default: "none",
		Help: "Of whom a new stream tells: of nobody but those whom its receiver puts on it (none), or of everybody who signed in to its client but those whom it takes off (all). It is never of anybody who did not sign in to the client.",
		form: enum(func(c *Config) *string { return &c.SharedSignals.Subjects }, "none", "all"),
	},

	{
		Name: "mail.host", Unset: "none: no mail is sent; `dev` shows it at /inbox instead, always", Example: "smtp.example.com",
		Help: "The SMTP server that letters are handed to.",
		form: host(func(c *Config) *string { return &c.Mail.Host }),
	},
	{
		Name: "mail.port", Default: "587",
		Help: "The port of that server.",
		form: integer(func(c *Config) *int { return &c.Mail.Port }, 1, 65535),
	},
	{
		Name: "mail.username", Unset: "none", Example: "doorward",
		Help: "The name to sign in to that server with.",
		form: text("any text", func(c *Config) *string { return &c.Mail.Username }),
	},
	{
		Name: "mail.password", Unset: "none", Example: "the password", Secret: true,
		Help: "The password to sign in to that server with.",
		form: password(func(c *Config) *secret.Text { return &c.Mail.Password }),
	},
	{
		Name: "mail.from", Unset: "none", Example: "doorward@example.com",
		Help: "The address that letters come from.",
		form: mailbox(func(c *Config) *string { return &c.Mail.From }),
	},
	{
		Name: "mail.tls", Default: "starttls",
		Help: "How the connection is protected: from its second command on (starttls), from its first byte on (implicit), or not at all (none), which is for loopback only.",
		form: enum(func(c *Config) *string { return &c.Mail.TLS }, "starttls", "implicit", "none"),
	},

	{
		Name: "theme.name", Default: "Doorward",
		Help: "The name of the product, as people know it: at the top of each page and in its title.",
		form: title(func(c *Config) *string { return &c.Theme.Name }),
	},
	{
		Name: "theme.logo", Unset: "none: Doorward's own sign", Example: "/etc/doorward/logo.svg",
		Help: "A picture for the top of each page: SVG, PNG, JPEG or WebP, at most 256 KiB. It is read at the start.",
		form: file(func(c *Config) *string { return &c.Theme.Logo }),
	},
	{
		Name: "theme.accent", Default: "#7a4b12",
		Help: "The colour of buttons and links in the light, in quotes in the file, where # begins a comment. Text on it is white, or black where that is read better.",
		form: colour(func(c *Config) *Colour { return &c.Theme.Accent }),
	},
	{
		Name: "theme.accent_dark", Default: "#e0b070",
		Help: "The same in the dark, for people whose system asks for that.",
		form: colour(func(c *Config) *Colour { return &c.Theme.AccentDark }),
	},
	{
		Name: "theme.background", Default: "#fbfaf7",
		Help: "The colour behind the pages in the light.",
		form: colour(func(c *Config) *Colour { return &c.Theme.Background }),
	},
	{
		Name: "theme.background_dark", Default: "#16181c",
		Help: "The same in the dark.",
		form: colour(func(c *Config) *Colour { return &c.Theme.BackgroundDark }),
	},
	{
		Name: "theme.radius", Default: "8",
		Help: "The radius of corners, in pixels.",
		form: integer(func(c *Config) *int { return &c.Theme.Radius }, 0, 24),
	},
}
