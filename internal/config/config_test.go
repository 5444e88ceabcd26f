package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
)

// key is 32 bytes in base64 that no test may find in an error.
const key = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlYyE="

// safe is the least environment that serve accepts.
func safe(more ...string) []string {
	return append([]string{"DOORWARD_ISSUER=https://auth.example.com", "DOORWARD_MASTER_KEY=" + key}, more...)
}

// wants holds an error against the lines that it must have, each cut after as
// much as the test wants to say.
func wants(t *testing.T, err error, lines ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %q", lines)
	}
	got := strings.Split(err.Error(), "\n")
	if len(got) != len(lines) {
		t.Fatalf("%d mistakes; want %d:\n%s", len(got), len(lines), err)
	}
	for i, line := range lines {
		if !strings.HasPrefix(got[i], line) {
			t.Errorf("mistake %d is\n%s\nwant it to begin with\n%s", i, got[i], line)
		}
	}
	if kind := fault.KindOf(err); kind != fault.Invalid {
		t.Errorf("the kind is %v; want invalid", kind)
	}
}

func TestDefaults(t *testing.T) {
	c, err := Read(Sources{Mode: Serve, Environ: safe()})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		name      string
		got, want any
	}{
		{"issuer", c.Issuer.String(), "https://auth.example.com"},
		{"listen", c.Listen, Address{"127.0.0.1", 8080}},
		{"database", c.Database.String(), "sqlite:doorward.db"},
		{"database path", c.Database.Path, "doorward.db"},
		{"counters", c.Counters.String(), "database"},
		{"hosts", c.Hosts, []string{"auth.example.com"}},
		{"proxies", c.TrustedProxies, []netip.Prefix(nil)},
		{"access", c.Tokens.AccessTTL, 15 * time.Minute},
		{"refresh", c.Tokens.RefreshTTL, 720 * time.Hour},
		{"idle", c.Tokens.RefreshIdle, 168 * time.Hour},
		{"grace", c.Tokens.RotationGrace, time.Duration(0)},
		{"audience", c.Tokens.Audience, "https://auth.example.com"},
		{"alg", c.Tokens.SigningAlg, "ES256"},
		{"ahead", c.Signing.PublishAhead, 24 * time.Hour},
		{"hash", c.Passwords.Hash, "bcrypt"},
		{"length", c.Passwords.MinLength, 8},
		{"workers", c.Passwords.Workers, 0}, // whoever hashes knows how many cores are his
		{"level", c.Log.Level, slog.LevelInfo},
		{"format", c.Log.Format, "auto"},
		{"lockout", c.Lockout, Lockout{5, []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}}},
		{"sessions", c.Sessions, Sessions{12 * time.Hour, 336 * time.Hour}},
		{"login", c.RateLimit.Login, Rate{10, time.Minute}},
	} {
		if !reflect.DeepEqual(f.got, f.want) {
			t.Errorf("%s is %v; want %v", f.name, f.got, f.want)
		}
	}
}

func TestDefaultDev(t *testing.T) {
	c := Default(true)
	if got := c.Issuer.String(); got != "http://localhost:8080" {
		t.Errorf("issuer %s", got)
	}
	if want := []string{"localhost", "127.0.0.1", "[::1]"}; !reflect.DeepEqual(c.Hosts, want) {
		t.Errorf("hosts %v; want %v", c.Hosts, want)
	}
	if c.Log.Format != "text" {
		t.Errorf("log.format %s", c.Log.Format)
	}
	if c := Default(false); c.Issuer != nil || c.Listen.Port != 8080 {
		t.Errorf("the plain default has issuer %v and listens on %v", c.Issuer, c.Listen)
	}
}

func TestDev(t *testing.T) {
	c, err := Read(Sources{
		Mode:     Dev,
		Flags:    map[string]string{"--listen": "[::1]:9000", "--database": "postgres://ann:hunter2@localhost/doorward"},
		Defaults: map[string]string{"master_key": ".doorward/master.key", "database": "sqlite:.doorward/doorward.db"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Issuer.String(); got != "http://localhost:9000" {
		t.Errorf("issuer %s", got)
	}
	if c.Database.Kind != Postgres || c.MasterKey.Path != ".doorward/master.key" {
		t.Errorf("database %v, master key %v", c.Database, c.MasterKey)
	}
	c, err = Read(Sources{Mode: Dev, Environ: []string{"DOORWARD_ISSUER=https://dev.example.com", "DOORWARD_LISTEN=localhost:0"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"dev.example.com", "localhost", "127.0.0.1", "[::1]"}; !reflect.DeepEqual(c.Hosts, want) {
		t.Errorf("hosts %v; want %v", c.Hosts, want)
	}
}

// What is nearer to the operator's hand wins, and doctor can say whose word it is.
func TestPrecedence(t *testing.T) {
	yaml := "issuer: https://file.example.com\nlisten: 127.0.0.1:1\ntokens:\n  access_ttl: 1m\n  refresh_idle: 2h\n  refresh_ttl: 3h\n"
	c, err := Read(Sources{
		File: "conf/doorward.yaml", FileData: []byte(yaml),
		Environ: []string{"DOORWARD_LISTEN=127.0.0.1:2", "DOORWARD_TOKENS_REFRESH_IDLE=90m", "HOME=/", "DOORWARDISSUER=x"},
		Flags:   map[string]string{"--listen": "127.0.0.1:3", "--set log.level": "debug"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range c.Values() {
		got[v.Setting.Name] = v.Text + " " + v.Origin
	}
	for name, want := range map[string]string{
		"issuer":              "https://file.example.com conf/doorward.yaml:1",
		"listen":              "127.0.0.1:3 --listen",
		"tokens.access_ttl":   "1m conf/doorward.yaml:4",
		"tokens.refresh_idle": "1h30m DOORWARD_TOKENS_REFRESH_IDLE",
		"tokens.refresh_ttl":  "3h conf/doorward.yaml:6",
		"log.level":           "debug --set log.level",
		"hosts":               "file.example.com default",
		"passwords.hash":      "bcrypt default",
	} {
		if got[name] != want {
			t.Errorf("%s is %q; want %q", name, got[name], want)
		}
	}
	if got := c.Place("tokens.access_ttl"); got != "conf/doorward.yaml:4: tokens.access_ttl" {
		t.Errorf("Place = %q", got)
	}
	if got := c.Place("tls.cert"); got != "tls.cert" {
		t.Errorf("Place of what nobody gave = %q", got)
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	yaml := "isuer: https://auth.example.com\ntokens:\n  access_ttl: 15x\npasswords: {min_length: 7, hash: md5}\nlisten: 127.0.0.1:80\n"
	_, err := Read(Sources{
		Mode: Serve,
		File: "doorward.yaml", FileData: []byte(yaml),
		Environ: []string{"DOORWARD_TOKNES_ACCESS_TTL=15m", "DOORWARD_LOG_LEVEL=loud"},
		Flags:   map[string]string{"--listen": "example.com:80", "--set hosts": "a,https://b"},
	})
	wants(t, err,
		`doorward.yaml:1: isuer: unknown; did you mean issuer?`,
		`doorward.yaml:3: tokens.access_ttl: "15x" is not a duration; write it like 15m or 12h`,
		`doorward.yaml:4: passwords.min_length: 7 is out of bounds; write a whole number from 8 to 64`,
		`doorward.yaml:4: passwords.hash: "md5" is not allowed; write one of bcrypt, argon2id`,
		`DOORWARD_LOG_LEVEL: "loud" is not allowed; write one of debug, info, warn, error`,
		`DOORWARD_TOKNES_ACCESS_TTL: unknown; did you mean DOORWARD_TOKENS_ACCESS_TTL?`,
		`--listen: "example.com" is not an IP address`,
		`--set hosts: "https://b" is not a host name`,
		`issuer: is required`,
		`master_key: is required: openssl rand -base64 32`,
	)
}

// A value that something else overrides must be right all the same.
func TestMistakeUnderneath(t *testing.T) {
	_, err := Read(Sources{File: "d.yaml", FileData: []byte("listen: here\n"), Environ: []string{"DOORWARD_LISTEN=127.0.0.1:1"}})
	wants(t, err, `d.yaml:1: listen: "here" is not an address`)
}

func TestRegistrationScopes(t *testing.T) {
	_, err := Read(Sources{Mode: Serve, Environ: safe(`DOORWARD_REGISTRATION_SCOPES=orders:*,a"b`)})
	wants(t, err, `DOORWARD_REGISTRATION_SCOPES: "orders:*" is not a permission; write one like orders:read, without wildcards`, `DOORWARD_REGISTRATION_SCOPES: "a\"b" is not a permission`)
}

func TestReserved(t *testing.T) {
	for _, variable := range []string{
		"METRICS_LISTEN=127.0.0.1:9090",
		"RATE_LIMIT_TOKEN=1/1s", "RATE_LIMIT_RESET=x",
	} {
		_, err := Read(Sources{Mode: Serve, Environ: safe("DOORWARD_" + variable)})
		name, _, _ := strings.Cut(variable, "=")
		wants(t, err, "DOORWARD_"+name+": is not served by this version; remove it")
	}
	// To say what holds anyway is no lie.
	_, err := Read(Sources{Mode: Serve, Environ: safe("DOORWARD_COUNTERS=database", "DOORWARD_LOCKOUT_DURATIONS=60s, 5m,15m,1h", "DOORWARD_CORS_ORIGINS=")})
	if err != nil {
		t.Error(err)
	}
}

func TestRules(t *testing.T) {
	for _, r := range []struct {
		name string
		mode Mode
		env  []string // without DOORWARD_
		want string   // empty if it is allowed
	}{
		{"loopback", Serve, []string{"LISTEN=127.0.0.1:80"}, ""},
		{"loopback 127.8.8.8", Serve, []string{"LISTEN=127.8.8.8:80"}, ""},
		{"loopback IPv6", Serve, []string{"LISTEN=[::1]:80"}, ""},
		{"all with TLS", Serve, []string{"LISTEN=:443", "TLS_CERT=c.pem", "TLS_KEY=k.pem"}, ""},
		{"all with a proxy", Serve, []string{"LISTEN=0.0.0.0:80", "TRUSTED_PROXIES=10.0.0.1"}, ""},
		{"a command may be anywhere", Command, []string{"LISTEN=0.0.0.0:80"}, ""},
		{"http on loopback", Serve, []string{"ISSUER=http://localhost:8080"}, ""},
		{"http on 127.1.2.3", Serve, []string{"ISSUER=http://127.1.2.3"}, ""},
		{"http on ::1", Serve, []string{"ISSUER=http://[::1]:8080"}, ""},

		{"all", Serve, []string{"LISTEN=:80"}, "DOORWARD_LISTEN: :80 can be reached from other machines without TLS"},
		{"all IPv4", Serve, []string{"LISTEN=0.0.0.0:80"}, "DOORWARD_LISTEN: 0.0.0.0:80 can be reached"},
		{"all IPv6", Serve, []string{"LISTEN=[::]:80"}, "DOORWARD_LISTEN: [::]:80 can be reached"},
		{"private", Serve, []string{"LISTEN=10.0.0.5:80"}, "DOORWARD_LISTEN: 10.0.0.5:80 can be reached"},
		{"http beyond loopback", Serve, []string{"ISSUER=http://localhost", "LISTEN=:80", "TRUSTED_PROXIES=10.0.0.1"}, "DOORWARD_LISTEN: :80 can be reached from other machines, and the issuer is plain http"},
		{"a database here", Serve, []string{"DATABASE=postgres://ann@localhost/x"}, ""},
		{"a database by a socket", Serve, []string{"DATABASE=postgres:///x?host=/run/postgresql"}, ""},
		{"a database by TLS", Serve, []string{"DATABASE=postgres://ann@db/x?sslmode=verify-full"}, ""},
		{"a database on a trusted network", Serve, []string{"DATABASE=postgres://ann@db/x?sslmode=disable"}, ""},
		{"a database that may fall back", Serve, []string{"DATABASE=postgres://ann@db/x"}, "DOORWARD_DATABASE: says nothing certain of TLS"},
		{"a database that prefers TLS", Serve, []string{"DATABASE=postgres://ann@db/x?sslmode=prefer"}, "DOORWARD_DATABASE: says nothing certain of TLS"},
		{"a database elsewhere by parameter", Serve, []string{"DATABASE=postgres://ann@localhost/x?host=db"}, "DOORWARD_DATABASE: says nothing certain of TLS"},
		{"http issuer", Serve, []string{"ISSUER=http://auth.example.com"}, "DOORWARD_ISSUER: is http: passwords and tokens would be read on their way, and clients refuse it; write https://auth.example.com"},
		{"http issuer of a command", Command, []string{"ISSUER=http://auth.example.com"}, "DOORWARD_ISSUER: is http"},
		{"http issuer of dev", Dev, []string{"ISSUER=http://auth.example.com"}, "DOORWARD_ISSUER: is http"},
		{"http issuer, private", Serve, []string{"ISSUER=http://10.0.0.1"}, "DOORWARD_ISSUER: is http"},
		{"http issuer, localhost.evil", Serve, []string{"ISSUER=http://localhost.evil.example"}, "DOORWARD_ISSUER: is http"},
		{"http issuer, 127.evil", Serve, []string{"ISSUER=http://127.0.0.1.nip.io"}, "DOORWARD_ISSUER: is http"},
		{"certificate for http", Serve, []string{"ISSUER=http://localhost", "TLS_CERT=c", "TLS_KEY=k"}, "DOORWARD_ISSUER: is http, but the server has a certificate"},
		{"certificate alone", Serve, []string{"TLS_CERT=c"}, "DOORWARD_TLS_CERT: needs tls.key"},
		{"key alone", Serve, []string{"TLS_KEY=k"}, "DOORWARD_TLS_KEY: needs tls.cert"},
		{"certificates from an authority", Serve, []string{"LISTEN=:443", "TLS_ACME=true", "TLS_ACME_EMAIL=operator@example.com"}, ""},
		{"certificates from both", Serve, []string{"TLS_ACME=true", "TLS_CERT=c", "TLS_KEY=k"}, "DOORWARD_TLS_ACME: and tls.cert exclude each other"},
		{"a certificate for http", Serve, []string{"ISSUER=http://localhost", "TLS_ACME=true"}, "DOORWARD_TLS_ACME: is for an https issuer whose host is a DNS name"},
		{"a certificate for localhost", Serve, []string{"ISSUER=https://localhost", "TLS_ACME=true"}, "DOORWARD_TLS_ACME: is for an https issuer whose host is a DNS name"},
		{"a certificate for an address", Serve, []string{"ISSUER=https://192.0.2.1", "TLS_ACME=true"}, "DOORWARD_TLS_ACME: is for an https issuer whose host is a DNS name"},
		{"a certificate for an IPv6 address", Serve, []string{"ISSUER=https://[2001:db8::1]", "TLS_ACME=true"}, "DOORWARD_TLS_ACME: is for an https issuer whose host is a DNS name"},
		{"a certificate for a short name", Serve, []string{"ISSUER=https://auth", "TLS_ACME=true"}, "DOORWARD_TLS_ACME: is for an https issuer whose host is a DNS name"},
		{"foreign hosts", Serve, []string{"HOSTS=a.example.com,b.example.com"}, "DOORWARD_HOSTS: lacks the issuer's host"},
		{"idle over all", Serve, []string{"TOKENS_REFRESH_TTL=24h"}, "tokens.refresh_idle: 168h is more than tokens.refresh_ttl, 24h"},
		{"access over idle", Serve, []string{"TOKENS_ACCESS_TTL=6h", "TOKENS_REFRESH_IDLE=5h"}, "DOORWARD_TOKENS_ACCESS_TTL: 6h is more than tokens.refresh_idle, 5h"},
		{"dev beyond loopback", Dev, []string{"LISTEN=:8080"}, "DOORWARD_LISTEN: :8080 can be reached from other machines, and dev is for this one alone"},
		{"dev beyond loopback, with a proxy", Dev, []string{"LISTEN=10.0.0.1:8080", "TRUSTED_PROXIES=10.0.0.2"}, "DOORWARD_LISTEN: 10.0.0.1:8080 can be reached"},
	} {
		t.Run(r.name, func(t *testing.T) {
			var env []string
			if r.mode == Serve {
				env = safe()
			}
			for _, v := range r.env {
				env = append(env, "DOORWARD_"+v)
			}
			_, err := Read(Sources{Mode: r.mode, Environ: env})
			if r.want != "" {
				wants(t, err, r.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	_, err := Read(Sources{Mode: Dev, Environ: []string{"DOORWARD_LISTEN=127.0.0.1:0"}})
	wants(t, err, "DOORWARD_LISTEN: dev makes the issuer from the port, and port 0 is none")
	// With a certificate, dev's own issuer is https.
	c, err := Read(Sources{Mode: Dev, Defaults: map[string]string{"tls.cert": "c", "tls.key": "k"}, Environ: []string{"DOORWARD_LISTEN=localhost:8443"}})
	if err != nil || c.Issuer.String() != "https://localhost:8443" {
		t.Errorf("%v, %v", c.Issuer, err)
	}
	_, err = Read(Sources{Mode: Serve})
	wants(t, err, "issuer: is required", "master_key: is required")
	// That one setting is missing or wrong hides nothing about another.
	for _, issuer := range []string{"nothing", "http://auth.example.com"} {
		_, err = Read(Sources{Mode: Serve, Environ: safe("DOORWARD_ISSUER="+issuer, "DOORWARD_LISTEN=:80")})
		wants(t, err, "DOORWARD_ISSUER: is ", "DOORWARD_LISTEN: :80 can be reached from other machines without TLS")
	}
}

// The rules about settings that this version does not serve hold already.
func TestRulesOfReserved(t *testing.T) {
	for _, r := range []struct {
		place  string
		change func(*Config)
	}{
		{"sessions.idle: ", func(c *Config) { c.Sessions.Idle = c.Sessions.Absolute + time.Second }},
		{"mail.tls: ", func(c *Config) { c.Mail = Mail{Host: "smtp.example.com", From: "a@b.example", TLS: "none"} }},
		{"mail.host: ", func(c *Config) { c.Mail = Mail{Host: "smtp.example.com", TLS: "implicit"} }},
		{"mail.username: ", func(c *Config) { c.Mail = Mail{Username: "a"} }},
		{"mail.password: ", func(c *Config) { c.Mail = Mail{Password: secret.From("x")} }},
	} {
		c, m := Default(false), &mistakes{}
		r.change(&c)
		c.check(Command, m)
		if len(m.list) != 1 || !strings.HasPrefix(m.list[0].Error(), r.place) {
			t.Errorf("%s%v", r.place, m.list)
		}
	}
	c, m := Default(false), &mistakes{}
	c.Mail = Mail{Host: "[::1]", From: "a@b.example", TLS: "none"}
	if c.check(Command, m); len(m.list) > 0 {
		t.Error(m.list)
	}
}

// What must never run (FLT-013): each is refused, and the setting is named.
func TestAttackFLT013BadConfiguration(t *testing.T) {
	for _, r := range []struct{ variable, want string }{
		{"DOORWARD_ISSUER=http://auth.example.com", "DOORWARD_ISSUER: is http"},
		{"DOORWARD_MASTER_KEY=c2hvcnQ=", "DOORWARD_MASTER_KEY: a master key is not 32 bytes"},
		{"DOORWARD_CORS_ORIGINS=*", "DOORWARD_CORS_ORIGINS: "},
		{"DOORWARD_TOKENS_AUDIENCE=", "DOORWARD_TOKENS_AUDIENCE: is empty"},
		{"DOORWARD_TRUSTED_PROXIES=0.0.0.0/0", "DOORWARD_TRUSTED_PROXIES: \"0.0.0.0/0\" trusts"},
		{"DOORWARD_TOKENS_ACCESS_TTL=-15m", "DOORWARD_TOKENS_ACCESS_TTL: \"-15m\" is out of bounds"},
		{"DOORWARD_COOKIES_INSECURE=true", "DOORWARD_COOKIES_INSECURE: unknown"},
	} {
		name, _, _ := strings.Cut(r.variable, "=")
		env := []string{r.variable}
		for _, v := range safe() {
			if !strings.HasPrefix(v, name+"=") {
				env = append(env, v)
			}
		}
		_, err := Read(Sources{Mode: Serve, Environ: env})
		wants(t, err, r.want)
	}
}

// However a secret was mistaken, the error does not repeat it.
func TestSecretsStayOutOfErrors(t *testing.T) {
	const password = "hunter2"
	for _, s := range []Sources{
		{FileData: []byte("master_key: " + key)},
		{FileData: []byte("master_key: [" + key + "]")},
		{FileData: []byte("master_key: " + key + "," + key)},
		{FileData: []byte("master_key: !" + password)},
		{FileData: []byte("mail: " + password)},
		{FileData: []byte("mail:\n  password: *" + password)},
		{FileData: []byte("mail:\n  password: &" + password)},
		{FileData: []byte("mail:\n  password: &" + password + " x\n  username: *" + password)},
		{FileData: []byte("mail:\n  password: !" + password)},
		{FileData: []byte("mail:\n  password: [" + password + "]")},
		{FileData: []byte("mail:\n  password: {" + password + ": 1}")},
		{FileData: []byte("mail:\n  password: " + password)},
		{FileData: []byte("mail:\n  password: \"" + password + "\n  user: a")},
		{FileData: []byte("mail:\n  password: |\n    " + password + "\n    " + password)},
		{FileData: []byte("mail:\n  passwort: " + password)},
		{FileData: []byte("database: postgres://ann:" + password + "@[db/x")},
		{FileData: []byte("issuer: https://ann:" + password + "@auth.example.com")},
		{FileData: []byte("issuer: https://ann:" + password + "%zz@auth.example.com")},
		{FileData: []byte("tokens: {audience: 'https://ann:" + password + "@auth.example.com'}")},
		{Environ: []string{"DOORWARD_DATABASE=postgres://ann:" + password + " @db/x"}},
		{Environ: []string{"DOORWARD_DATABASE=postgres://ann:" + password + "#x@db/x"}},
		{Environ: []string{"DOORWARD_DATABASE=postgres://ann:12?" + password + "@db/x"}},
		{Environ: []string{"DOORWARD_DATABASE=postgres://ann:12/" + password + "@db/x"}},
		{Environ: []string{"DOORWARD_DATABASE=postgres://ann:" + password + "@x@db/x"}},
		{Environ: []string{"DOORWARD_DATABASE=host=db user=ann password=" + password}},
		{Environ: []string{"DOORWARD_DATABASE=mysql://ann:" + password + "@db/x"}},
		{Environ: []string{"DOORWARD_DATABASE=postgres://ann@db/x?a;password=" + password}},
		{Environ: []string{"DOORWARD_DATABASE_FILE=postgres://ann:" + password + "@db/x"}},
		{Environ: []string{"DOORWARD_MAIL_PASSWORD_FILE=" + password}},
		{Environ: []string{"DOORWARD_MAIL_PASSWORD=" + password}},
		{Environ: []string{"DOORWARD_PASSWORD=" + password}},
		{Environ: []string{"DOORWARD_COUNTERS=redis://:" + password + "@cache/x"}},
		{Environ: []string{"DOORWARD_COUNTERS=http://:" + password + "@cache"}},
		{Environ: []string{"DOORWARD_MASTER_KEY_FILE=" + key}},
		{Environ: []string{"DOORWARD_MASTER_KEY=" + key + "x"}},
		{Environ: []string{"DOORWARD_MASTER_KEY=" + password}},
		{Flags: map[string]string{"--database": "postgres://ann:" + password + "@db/x"}},
		{Flags: map[string]string{"--database": "postgres://ann@db/x?password=" + password}},
		{Flags: map[string]string{"--database": "postgres://ann@db/x?%70assword=" + password}},
		{Flags: map[string]string{"--database": "postgres://ann@db/x?sslpassword=" + password}},
		{Flags: map[string]string{"--set mail.password": password}},
		{Flags: map[string]string{"--set master_key": key}},
	} {
		if s.FileData != nil {
			s.File = "doorward.yaml"
		}
		_, err := Read(s)
		if err == nil {
			t.Errorf("no error: %+v", s)
			continue
		}
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, password) || strings.Contains(text, key) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

// No way to print a Config shows what is secret in it.
func TestSecretsDoNotPrint(t *testing.T) {
	c, err := Read(Sources{Environ: safe("DOORWARD_DATABASE=postgres://ann:hunter2@db.example.com:5432/x?sslmode=require&password=hunter2")})
	if err != nil {
		t.Fatal(err)
	}
	c.Mail.Password = secret.From("hunter2")
	asJSON, _ := json.Marshal(c)
	out := fmt.Sprintf("%v %+v %#v %s %v", c, c, c, asJSON, c.Values())
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", c, "database", c.Database)
	for _, bad := range []string{"hunter2", key} {
		if strings.Contains(out+log.String(), bad) {
			t.Errorf("printing shows %q", bad)
		}
	}
	for _, v := range c.Values() {
		want := map[string]string{"database": "postgres://ann@db.example.com:5432/x", "master_key": "[secret]", "mail.password": "[secret]"}[v.Setting.Name]
		if want != "" && v.Text != want {
			t.Errorf("%s is shown as %q; want %q", v.Setting.Name, v.Text, want)
		}
	}
	if got := c.Database.DSN.Reveal(); !strings.Contains(got, "hunter2") {
		t.Error("the database's own password was lost")
	}
}

func TestFileOnDisk(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "doorward.yaml")
	if err := os.WriteFile(name, []byte("master_key: keys/master.key\ntls: {cert: c.pem, key: /etc/k.pem}\ndatabase: sqlite:here.db\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Read(Sources{File: name})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "keys/master.key"); c.MasterKey.Path != want {
		t.Errorf("master_key %s; want %s", c.MasterKey.Path, want)
	}
	if want := filepath.Join(dir, "c.pem"); c.TLS.Cert != want || c.TLS.Key != "/etc/k.pem" {
		t.Errorf("tls %v; want %s and /etc/k.pem", c.TLS, want)
	}
	if c.Database.Path != "here.db" {
		t.Errorf("the database's path %s does not start from the working directory", c.Database.Path)
	}
	_, err = Read(Sources{File: filepath.Join(dir, "absent.yaml")})
	wants(t, err, filepath.Join(dir, "absent.yaml")+": cannot be read: no such file")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v does not say what led to it", err)
	}
	_, err = Read(Sources{File: dir})
	wants(t, err, dir+": cannot be read: is a directory")
}
