package config

import (
	"slices"
	"strings"
)

// rule is something that must hold between settings.
type rule struct {
	about  []string // the settings; a breach is told at the first
	says   string   // for the manual
	broken func(*Config, Mode) string
}

// check holds c against every rule. A rule about a setting with a mistake is left
// out: what it would say could be wrong.
func (c *Config) check(mode Mode, m *mistakes) {
	for _, r := range slices.Concat(rules, themeRules) {
		if m.about(r.about...) {
			continue
		}
		if reason := r.broken(c, mode); reason != "" {
			m.add(r.about[0], c.Place(r.about[0]), "%s", reason)
		}
	}
}

// Place returns where a setting was given, as the operator wrote it, or the
// setting's name if nobody gave it. What is found out later, like a certificate
// that cannot be read, is told at this place.
func (c Config) Place(name string) string {
	if p, ok := c.places[name]; ok {
		return p.where
	}
	return name
}

// argument reports whether a setting stands in the command line, where every user
// of the machine can read it.
func (c *Config) argument(name string) bool { return c.places[name].from == byFlag }

const seen = "every user of this machine can see the arguments of a program; "

// rules are the safety rules, all in one place.
var rules = []rule{
	{
		[]string{"issuer"},
		"`serve` needs an issuer.",
		func(c *Config, mode Mode) string {
			if mode == Serve && c.Issuer == nil {
				return "is required: the URL by which clients know this server, like https://auth.example.com"
			}
			return ""
		},
	},
	{
		[]string{"issuer"},
		"The issuer is `https`, unless its host is loopback (`localhost`, `127.0.0.0/8`, `[::1]`).",
		func(c *Config, _ Mode) string {
			if c.Issuer != nil && c.Issuer.Scheme == "http" && !loopback(c.Issuer.Hostname()) {
				return "is http: passwords and tokens would be read on their way, and clients refuse it; write https://" + c.Issuer.Host + c.Issuer.Path
			}
			return ""
		},
	},
	{
		[]string{"issuer", "tls.cert"},
		"With a certificate, the issuer is `https`.",
		func(c *Config, _ Mode) string {
			if c.Issuer != nil && c.Issuer.Scheme == "http" && c.TLS.Cert != "" {
				return "is http, but the server has a certificate; write https:// and a host that the certificate names"
			}
			return ""
		},
	},
	{
		[]string{"listen", "tls.cert", "tls.key", "tls.acme", "trusted_proxies"},
		"`serve` listens beyond loopback only with a certificate, or behind `trusted_proxies` that speak TLS; never with an `http` issuer.",
		func(c *Config, mode Mode) string {
			if mode == Serve && !c.Listen.Loopback() && !c.private() {
				return c.Listen.String() + " can be reached from other machines without TLS; give tls.cert and tls.key or tls.acme, name the proxy that speaks TLS in trusted_proxies, or listen on 127.0.0.1"
			}
			return ""
		},
	},
	{
		[]string{"listen", "issuer"},
		"",
		func(c *Config, mode Mode) string {
			if mode == Serve && !c.Listen.Loopback() && c.private() && c.Issuer != nil && c.Issuer.Scheme == "http" {
				return c.Listen.String() + " can be reached from other machines, and the issuer is plain http; give an https issuer, or listen on 127.0.0.1"
			}
			return ""
		},
	},
	{
		[]string{"listen"},
		"`dev` listens on loopback only, on a port that is not 0 unless the issuer is given.",
		func(c *Config, mode Mode) string {
			switch {
			case mode == Dev && !c.Listen.Loopback():
				return c.Listen.String() + " can be reached from other machines, and dev is for this one alone; listen on 127.0.0.1, or use serve"
			case mode == Dev && c.Listen.Port == 0 && !c.has("issuer"):
				return "dev makes the issuer from the port, and port 0 is none; choose one"
			}
			return ""
		},
	},
	{
		[]string{"tls.cert", "tls.key"},
		"`tls.cert` and `tls.key` go together.",
		func(c *Config, _ Mode) string {
			if c.TLS.Cert != "" && c.TLS.Key == "" {
				return "needs tls.key, the file of its private key"
			}
			return ""
		},
	},
	{
		[]string{"tls.key", "tls.cert"},
		"",
		func(c *Config, _ Mode) string {
			if c.TLS.Key != "" && c.TLS.Cert == "" {
				return "needs tls.cert, the file of its certificate"
			}
			return ""
		},
	},
	{
		[]string{"tls.acme", "tls.cert"},
		"Certificates come from files or from `tls.acme`, not from both.",
		func(c *Config, _ Mode) string {
			if c.TLS.ACME && c.TLS.Cert != "" {
				return "and tls.cert exclude each other; remove one"
			}
			return ""
		},
	},
	{
		[]string{"tls.acme", "issuer"},
		"`tls.acme` needs an `https` issuer whose host is a DNS name.",
		func(c *Config, _ Mode) string {
			if c.TLS.ACME && c.Issuer != nil && (c.Issuer.Scheme != "https" || !Public(hostOf(c.Issuer))) {
				return "is for an https issuer whose host is a DNS name with a dot in it, and this one is " + c.Issuer.String() + "; give tls.cert and tls.key, or another issuer"
			}
			return ""
		},
	},
	{
		[]string{"hosts", "issuer"},
		"`hosts` holds the issuer's host.",
		func(c *Config, _ Mode) string {
			if c.Issuer != nil && !slices.Contains(c.Hosts, hostOf(c.Issuer)) {
				return "lacks the issuer's host, whose requests would be refused; add " + hostOf(c.Issuer)
			}
			return ""
		},
	},
	{
		[]string{"database"},
		"`serve` is told by `sslmode` how it speaks to a PostgreSQL on another machine: it does not fall back to plain text by itself.",
		func(c *Config, mode Mode) string {
			if mode == Serve && c.Database.fallsBack() {
				return "says nothing certain of TLS, so that an attacker could have it left out; add sslmode=verify-full, or sslmode=disable on a network that you trust"
			}
			return ""
		},
	},
	{
		[]string{"master_key"},
		"`serve` needs a master key.",
		func(c *Config, mode Mode) string {
			if mode == Serve && c.MasterKey.IsZero() {
				return "is required: openssl rand -base64 32 makes one; put it in a file of mode 600 and name the file here"
			}
			return ""
		},
	},
	{
		[]string{"database"},
		"An argument holds no database password, except for `dev`.",
		func(c *Config, mode Mode) string {
			if mode != Dev && c.Database.password && c.argument("database") {
				return "holds a password, and " + seen + "use DOORWARD_DATABASE, DOORWARD_DATABASE_FILE, the configuration file or PGPASSFILE"
			}
			return ""
		},
	},
	{
		[]string{"counters"},
		"",
		func(c *Config, mode Mode) string {
			if c.Counters.password && c.argument("counters") {
				return "holds a password, and " + seen + "use DOORWARD_COUNTERS, DOORWARD_COUNTERS_FILE or the configuration file"
			}
			return ""
		},
	},
	{
		[]string{"mail.password"},
		"An argument holds no other password either.",
		func(c *Config, _ Mode) string {
			if c.argument("mail.password") {
				return seen + "use DOORWARD_MAIL_PASSWORD, DOORWARD_MAIL_PASSWORD_FILE or the configuration file"
			}
			return ""
		},
	},
	{
		[]string{"audit.webhook_secret"},
		"",
		func(c *Config, _ Mode) string {
			if c.argument("audit.webhook_secret") {
				return seen + "use DOORWARD_AUDIT_WEBHOOK_SECRET, DOORWARD_AUDIT_WEBHOOK_SECRET_FILE or the configuration file"
			}
			return ""
		},
	},
	{
		[]string{"audit.sinks", "audit.webhook_secret"},
		"A webhook among `audit.sinks` needs `audit.webhook_secret`, and no sink is there twice.",
		func(c *Config, _ Mode) string {
			seen := map[string]bool{}
			for _, s := range c.Audit.Sinks {
				if seen[s.String()] {
					return "names " + s.Place() + " twice; remove one"
				}
				seen[s.String()] = true
				if s.Kind == WebhookSink && c.Audit.WebhookSecret.IsZero() {
					return "has a webhook, which needs audit.webhook_secret: who gets the log must be able to tell that it comes from here"
				}
			}
			return ""
		},
	},
	{
		[]string{"tokens.refresh_idle", "tokens.refresh_ttl"},
		"`tokens.refresh_idle` is at most `tokens.refresh_ttl`.",
		func(c *Config, _ Mode) string {
			if c.Tokens.RefreshIdle > c.Tokens.RefreshTTL {
				return short(c.Tokens.RefreshIdle) + " is more than tokens.refresh_ttl, " + short(c.Tokens.RefreshTTL) + ", and would never come; write that or less"
			}
			return ""
		},
	},
	{
		[]string{"tokens.access_ttl", "tokens.refresh_idle"},
		"`tokens.access_ttl` is at most `tokens.refresh_idle`.",
		func(c *Config, _ Mode) string {
			if c.Tokens.AccessTTL > c.Tokens.RefreshIdle {
				return short(c.Tokens.AccessTTL) + " is more than tokens.refresh_idle, " + short(c.Tokens.RefreshIdle) + ": no token could be refreshed in time; write that or less"
			}
			return ""
		},
	},
	{
		[]string{"sessions.idle", "sessions.absolute"},
		"`sessions.idle` is at most `sessions.absolute`.",
		func(c *Config, _ Mode) string {
			if c.Sessions.Idle > c.Sessions.Absolute {
				return short(c.Sessions.Idle) + " is more than sessions.absolute, " + short(c.Sessions.Absolute) + ", and would never come; write that or less"
			}
			return ""
		},
	},
	{
		[]string{"mail.tls", "mail.host"},
		"`mail.tls` is `none` only if `mail.host` is loopback.",
		func(c *Config, _ Mode) string {
			if c.Mail.TLS == "none" && c.Mail.Host != "" && !loopback(strings.Trim(c.Mail.Host, "[]")) {
				return "is none: letters with links that set passwords would be read on their way; write starttls or implicit"
			}
			return ""
		},
	},
	{
		[]string{"mail.host", "mail.from"},
		"`mail.host` needs `mail.from`.",
		func(c *Config, _ Mode) string {
			if c.Mail.Host != "" && c.Mail.From == "" {
				return "needs mail.from, the address that letters come from"
			}
			return ""
		},
	},
	{
		[]string{"mail.username", "mail.password"},
		"`mail.username` and `mail.password` go together.",
		func(c *Config, _ Mode) string {
			if c.Mail.Username != "" && c.Mail.Password.IsZero() {
				return "needs mail.password, best in a file that DOORWARD_MAIL_PASSWORD_FILE names"
			}
			return ""
		},
	},
	{
		[]string{"mail.password", "mail.username"},
		"",
		func(c *Config, _ Mode) string {
			if !c.Mail.Password.IsZero() && c.Mail.Username == "" {
				return "needs mail.username, the name that it belongs to"
			}
			return ""
		},
	},
}

// has reports whether somebody gave the setting.
func (c *Config) has(name string) bool {
	_, ok := c.places[name]
	return ok
}

// private reports whether what the server hears came by TLS: to itself, or to the
// proxies that it trusts.
func (c *Config) private() bool { return c.TLS.Speaks() || len(c.TrustedProxies) > 0 }
