package config

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEverySetting(t *testing.T) {
	names, variables := map[string]bool{}, map[string]bool{}
	for _, s := range Settings() {
		t.Run(s.Name, func(t *testing.T) {
			if !regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)?$`).MatchString(s.Name) || names[s.Name] {
				t.Error("the name is not well formed, or there twice")
			}
			names[s.Name] = true
			for _, v := range []string{s.Env(), s.Env() + "_FILE"} {
				if variables[v] || !regexp.MustCompile(`^DOORWARD_[A-Z_]+$`).MatchString(v) || notOurs(v, "") {
					t.Errorf("the variable %s means something else too", v)
				}
				variables[v] = true
			}
			if len(s.Help) < 10 || !strings.HasSuffix(s.Help, ".") || strings.Contains(s.Help, "`") {
				t.Errorf("help is missing or no plain sentence: %q", s.Help)
			}
			if s.Allowed() == "" || s.form.set == nil || s.form.get == nil {
				t.Error("the form is not whole")
			}
			if (s.Default == "") == (s.Unset == "") {
				t.Error("a setting has a default, or words for what holds without one")
			}
			if s.Default == "" && s.Example == "" {
				t.Error("no default and no example")
			}
			for _, text := range []string{s.Default, s.Example} {
				if text == "" {
					continue
				}
				c, err := parse(s.Name, text)
				if err != nil {
					t.Errorf("%q is not allowed: %v", text, err)
				} else if got := s.form.get(&c); got != text && (!s.Secret || got != "[secret]") && got != strings.ReplaceAll(text, "60m", "1h") {
					t.Errorf("%q is printed as %q", text, got)
				}
			}
		})
	}
	for _, section := range sections() {
		if names[section] {
			t.Errorf("%s is a section and a setting", section)
		}
	}
}

// The settings of a section stand together, or init would write it twice.
func TestSectionsAreWhole(t *testing.T) {
	var seen []string
	last := ""
	for _, s := range settings {
		section, _ := s.section()
		if section != last && slices.Contains(seen, section) && section != "" {
			t.Errorf("the section of %s is in two places", s.Name)
		}
		seen, last = append(seen, section), section
	}
}

// Every field of the Config has a setting, and no two settings share one.
func TestSettingsMoveTheirOwnField(t *testing.T) {
	other := map[string]string{
		"issuer": "https://b.example.com", "listen": "[::1]:1", "database": "postgres://db", "counters": "redis://db", "tls.acme": "true", "tls.acme_directory": "https://ca.example.com/directory",
		"audit.retention": "1h", "log.level": "error", "log.format": "json", "tokens.access_ttl": "2h", "tokens.refresh_ttl": "3h",
		"tokens.refresh_idle": "4h", "tokens.signing_alg": "EdDSA", "tokens.rotation_grace": "5s", "signing.publish_ahead": "6h", "keys.max_lifetime": "11h", "keys.allow_unlimited": "true",
		"passwords.hash": "argon2id", "passwords.min_length": "15", "passwords.workers": "3", "lockout.failures": "7", "lockout.durations": "8m",
		"rate_limit.login": "1/1s", "rate_limit.global": "6/1s", "rate_limit.token": "2/1s", "rate_limit.reset": "3/1s", "rate_limit.device": "4/1s", "rate_limit.registration": "5/1s", "registration.open": "true", "registration.unused": "12h", "registration.assertion_audience": "token_endpoint",
		"sessions.idle": "9h", "sessions.absolute": "10h", "shared_signals.enabled": "true", "shared_signals.subjects": "all", "mail.port": "25", "mail.tls": "none", "mail.password": "x", "docs": "false",
		"theme.name": "Acme", "theme.accent": "#000000", "theme.accent_dark": "#ffffff", "theme.background": "#ffffff", "theme.background_dark": "#000000", "theme.radius": "0",
	}
	for _, s := range settings {
		text := other[s.Name]
		if text == "" {
			text = s.Example
		}
		before := Default(false)
		after := Default(false)
		if errs := s.form.set(&after, flat(&s, text, place{byFlag, "x", "x"})); errs != nil {
			t.Errorf("%s: %v", s.Name, errs)
		}
		for _, o := range settings {
			if moved := o.form.get(&before) != o.form.get(&after); moved != (o.Name == s.Name) {
				t.Errorf("after setting %s, has %s moved? %v", s.Name, o.Name, moved)
			}
		}
	}
}

// Dropping one word serves a setting: nothing else says "reserved".
func TestReservedIsOneWord(t *testing.T) {
	for i := range settings {
		s := settings[i]
		if !s.Reserved {
			continue
		}
		settings[i].Reserved = false
		text := s.Example
		if text == "" {
			text = s.Default
		}
		if text != "" {
			_, err := Read(Sources{Environ: []string{s.Env() + "=" + text}})
			if err != nil && !strings.Contains(err.Error(), "needs mail.from") {
				t.Errorf("%s, served: %v", s.Name, err)
			}
		}
		settings[i].Reserved = true
	}
}

// parse reads one setting as a flag would give it, be it served or not.
func parse(name, text string) (Config, error) {
	s := setting(name)
	c := Config{}
	g := flat(s, text, place{byFlag, name, name})
	for _, it := range g.items {
		if err := s.printable(it.text); err != nil {
			return c, err
		}
	}
	if errs := s.form.set(&c, g); errs != nil {
		return c, errs[0]
	}
	return c, nil
}

// What each setting accepts, as it is printed, and what it refuses.
func TestForms(t *testing.T) {
	const refused = "refused"
	for name, rows := range map[string]map[string]string{
		"issuer": {
			"https://auth.example.com": "", "https://auth.example.com:8443": "",
			"http://localhost:8080": "", "http://[::1]:8080": "", "https://192.0.2.7": "", "http://auth.example.com": "", // check refuses this one

			"": refused, "auth.example.com": refused, "//auth.example.com": refused, "https:auth.example.com": refused, "https://": refused, "https:///x": refused,
			"ftp://auth.example.com": refused, "javascript:alert(1)": refused, "HTTPS://auth.example.com": refused, "https://Auth.example.com": refused,
			"https://auth.example.com/": refused, "https://auth.example.com/a/": refused, "https://auth.example.com//": refused, "https://auth.example.com/a//b": refused,
			"https://auth.example.com/a/../b": refused, "https://auth.example.com/./b": refused, "https://auth.example.com/%61": refused, "https://auth.example.com/a%2Fb": refused,
			"https://auth.example.com/a b": refused, "https://auth.example.com/a;b": refused, "https://auth.example.com\\a": refused, "https://auth.example.com/ä": refused,
			"https://auth.example.com?": refused, "https://auth.example.com?a=b": refused, "https://auth.example.com#": refused, "https://auth.example.com#a": refused,
			"https://user@auth.example.com": refused, "https://user:pw@auth.example.com": refused, "https://@auth.example.com": refused, "https://auth.example.com@evil.example": refused,
			"https://auth.example.com:443": refused, "http://localhost:80": refused, "https://auth.example.com:": refused, "https://auth.example.com:0": refused,
			"https://auth.example.com:65536": refused, "https://auth.example.com:08443": refused, "https://auth.example.com:+1": refused, "https://auth.example.com:https": refused,
			"https://auth.example.com.": refused, "https://.example.com": refused, "https://auth..example.com": refused, "https://-a.example.com": refused, "https://a-.example.com": refused,
			"https://äuth.example.com": refused, "https://auth_.example.com/?": refused, "https://*.example.com": refused, "https://auth.example.com,b.example.com": refused,
			"https://127.1": refused, "https://2130706433": refused, "https://0x7f.0.0.1": refused, "https://0x7f000001": refused, "https://127.0.0.01": refused, "https://256.1.1.1": refused,
			"https://0.0.0.0": refused, "https://[::]": refused, "https://::1": refused, "https://[::1": refused, "https://[::1%25eth0]": refused, "https://[::ffff:127.0.0.1]": refused,
			"https://[0:0:0:0:0:0:0:1]": refused, "https://[::1]:443": refused, "https://[::1]x": refused, "https://auth.example.com\n": refused, " https://auth.example.com": refused,
			"https://" + strings.Repeat("a", 64) + ".example.com": refused, "https://" + strings.Repeat("a.", 127) + "com": refused,
		},
		"listen": {
			"127.0.0.1:8080": "", ":8080": "", "[::1]:8080": "", "localhost:8080": "", "0.0.0.0:443": "", "127.0.0.1:0": "", "[fe80::1%eth0]:80": "",

			"": refused, ":0": refused, "8080": refused, "127.0.0.1": refused, "127.0.0.1:": refused, "::1:8080": refused, "[::1]": refused, "127.0.0.1:65536": refused, "127.0.0.1:-1": refused,
			"127.0.0.1:+80": refused, "127.0.0.1:http": refused, "auth.example.com:80": refused, "127.1:80": refused, "*:80": refused, "http://127.0.0.1:80": refused,
			"127.0.0.1:80/": refused, "127.0.0.1:80 ": refused, "127.0.0.1:8080,127.0.0.1:8081": refused, "unix:/run/doorward.sock": refused, "LOCALHOST:80": refused, "256.0.0.1:80": refused,
		},
		"hosts": {
			"auth.example.com": "", "a,b_c,127.0.0.1,[::1],3f2a9c1b": "", "": "", "a , b": "a,b",

			"a,a:80": refused, "https://a": refused, "a/": refused, "*": refused, "*.example.com": refused, "A": refused, "a.": refused, ".": refused, "::1": refused, "[::1]:80": refused,
			"[127.0.0.1]": refused, "a b": refused, "a@b": refused, "a,,b": refused, "1.2.3": refused, "0x1": refused, "a%20b": refused, "münchen.example": refused, "[": refused, "[]": refused,
		},
		"trusted_proxies": {
			"10.0.0.7": "", "10.0.0.0/8": "", "172.16.0.0/12,fc00::/7,::1": "", "2001:db8::/32": "", "10.0.0.7/32": "10.0.0.7", "": "",

			"0.0.0.0/0": refused, "::/0": refused, "0.0.0.0/1,128.0.0.0/1": refused, "128.0.0.0/7": refused, "2000::/3": refused, "2000::/15": refused, "fc00::/6": refused, "::ffff:0:0/96": refused,
			"::ffff:10.0.0.1": refused, "10.0.0.1/8": refused, "10.0.0.0/33": refused, "10.0.0.0/-1": refused, "10.0.0.0/08": refused, "10.0.0": refused, "10.0.0.01": refused, "*": refused,
			"localhost": refused, "private": refused, "fe80::1%eth0": refused, "10.0.0.1:80": refused, "10.0.0.0 - 10.0.0.9": refused, "10.0.0.0/255.0.0.0": refused,
		},
		"cors.origins": {
			"https://app.example.com": "", "https://app.example.com:8443,http://localhost:3000": "", "http://[::1]:3000": "", "": "",

			"*": refused, "null": refused, "https://*.example.com": refused, "https://app.example.com/": refused, "https://app.example.com/a": refused, "https://app.example.com?": refused,
			"https://app.example.com#": refused, "app.example.com": refused, "//app.example.com": refused, "http://app.example.com": refused, "https://APP.example.com": refused,
			"HTTPS://app.example.com": refused, "https://app.example.com:443": refused, "http://localhost:80": refused, "https://user@app.example.com": refused, "https://app.example.com%60.evil.com": refused,
			"^https://.+$": refused, "https://app.example.com https://evil.example": refused, "file://": refused, "https://": refused, "NULL": refused, "app-extension://abc": refused,
		},
		"tokens.access_ttl": {
			"15m": "", "1m": "", "24h": "", "1h30m": "", "60s": "1m", "1440m": "24h", "90m": "1h30m", "+5m": "5m", "1h0m1s": "",

			"": refused, "15": refused, "0": refused, "15x": refused, "15 m": refused, "-15m": refused, "59s": refused, "24h1s": refused, "1d": refused, "1500000ms": "25m", "1m0.5s": refused,
			"99999999999h": refused, "1e3s": refused, "NaN": refused, "inf": refused, "15M": refused, "PT15M": refused, "0x5m": refused, "1_0m": refused,
		},
		"tokens.rotation_grace": {"0s": "", "0": "0s", "30s": "", "31s": refused, "-1s": refused, "1ms": refused, "1h": refused},
		"signing.publish_ahead": {"0s": "", "720h": "", "721h": refused, "-1h": refused},
		"tokens.refresh_ttl":    {"5m": "", "8760h": "", "4m": refused, "8761h": refused},
		"lockout.durations":     {"1m,5m": "", "1s": "", "1m,x": refused, "25h": refused, "0s": refused, "1m,,2m": refused},
		"tokens.audience": {
			"https://api.example.com": "", "urn:example:api": "", "orders": "", "https://api.example.com/a?b=c": "",

			"": refused, "https://api.example.com#a": refused, "a b": refused, "https:": refused, "https://": refused, ":api": refused, "https://ann:pw@api.example.com": refused, "a\"b": refused, "<a>": refused, "a\u200bb": refused,
		},
		"tokens.signing_alg":   {"ES256": "", "EdDSA": "", "RS256": "", "PS256": "", "es256": refused, "none": refused, "HS256": refused, "ES256,RS256": refused, "ES256K": refused, " ES256": refused},
		"passwords.hash":       {"bcrypt": "", "argon2id": "", "argon2": refused, "md5": refused, "plain": refused, "": refused, "BCRYPT": refused},
		"passwords.min_length": {"8": "", "64": "", "7": refused, "65": refused, "0": refused, "-8": refused, "08": refused, "010": refused, "0x10": refused, "8.0": refused, "8e0": refused, "eight": refused, "9223372036854775808": refused, "+9": refused, "1_0": refused, "٨": refused},
		"passwords.workers":    {"0": "", "1024": "", "1025": refused, "-1": refused, "auto": refused},
		"log.level":            {"debug": "", "info": "", "warn": "", "error": "", "INFO": refused, "trace": refused, "off": refused, "info+1": refused, "": refused},
		"log.format":           {"auto": "", "json": "", "text": "", "logfmt": refused},
		"tls.acme":             {"true": "", "false": "", "yes": refused, "1": refused, "True": refused},
		"tls.acme_directory": {
			"https://ca.example.com/dir": "", "https://127.0.0.1:14000/dir": "",

			"http://ca.example.com/dir": refused, "": refused, "ca.example.com": refused, "https://": refused, "https://u:p@ca.example.com": refused, "https://ca.example.com:443/dir": refused, "https://ca.example.com/dir#a": refused,
		},
		"tls.acme_email":   {"a@example.com": "", "Ann <a@example.com>": refused, "a": refused, "a@b, c@d": refused, "": refused, "a@b?c": refused},
		"rate_limit.login": {"10/1m": "", "1/1s": "", "100000/24h": "", "10/60s": "10/1m", "10": refused, "10/": refused, "/1m": refused, "0/1m": refused, "-1/1m": refused, "10/0s": refused, "10/25h": refused, "10/1m/1m": refused, "010/1m": refused, "100001/1m": refused, "10 / 1m": refused, "10/m": refused, "unlimited": refused},
		"mail.from":        {"doorward@example.com": "", "Doorward <doorward@example.com>": "", "doorward": refused, "a@b, c@d": refused, "a@b\r\nBcc: c@d": refused, "<a@b": refused, "": refused},
		"mail.host":        {"smtp.example.com": "", "[::1]": "", "127.0.0.1": "", "smtp.example.com:25": refused, "smtp://x": refused, "": refused},
		"mail.port":        {"587": "", "0": refused, "65536": refused},
		"mail.tls":         {"starttls": "", "implicit": "", "none": "", "false": refused, "": refused},
		"database": {
			"sqlite:doorward.db": "", "sqlite:/var/lib/doorward/doorward.db": "", "sqlite:../a b.db": "", "postgres://ann@db.example.com/doorward": "", "postgresql://db": "",
			"postgres://ann:pw@db:5432/x?sslmode=verify-full": "postgres://ann@db:5432/x", "postgres://h1:1,h2:2/x": "", "postgres:///x?host=/run/postgresql": "postgres:///x", "postgres://ann:p%40w@db/x": "postgres://ann@db/x",

			"": refused, "doorward.db": refused, "sqlite:": refused, "sqlite://doorward.db": refused, "sqlite:///var/lib/doorward.db": refused, "sqlite::memory:": refused, "sqlite:file:x?mode=memory": refused,
			"sqlite:a?_pragma=foreign_keys(0)": refused, "sqlite:a#b": refused, "sqlite:dir/": refused, "sqlite:a\x00b": refused, "SQLITE:a": refused, "mysql://db/x": refused, "postgres:x": refused, "postgres:/x": refused,
			"host=db user=ann": refused, "postgres://ann:p w@db/x": refused, "postgres://ann:1/2@db/x": refused, "postgres://ann:1?2@db/x": refused, "postgres://ann:1#2@db/x": refused, "postgres://ann:a@b@db/x": refused,
			"postgres://db/x?a;b": refused, "postgres://db/x?a=%zz": refused, "postgres://db:port/x": refused, " sqlite:a": "refused",
		},
		"counters": {
			"database": "", "redis://cache:6379": "", "rediss://:pw@cache:6379/1": "rediss://cache:6379/1", "redis": refused, "memory": refused, "memcached://x": refused, "redis://:a#b@cache": refused, "": refused,
			"redis://": refused, "redis:///1": refused, "redis://cache/x": refused, "redis://cache/1?tls=off": refused, "redis://:pw@cache?x": refused, "redis://cache/": "", "redis://me:pw@cache": "redis://me@cache",
		},
		"master_key": {"master.key": "", "/run/secrets/doorward": "", "/run/secrets/doorward/keys/production/master1": "", key: refused, strings.TrimRight(key, "="): refused, key + "," + key: refused, key + "\n" + key: refused, strings.Repeat("0f", 32): refused, "": refused, "a\x00b": refused},
		"tls.cert":   {"cert.pem": "", "": refused, "-----BEGIN CERTIFICATE-----\nMII": refused},
	} {
		for text, want := range rows {
			c, err := parse(name, text)
			got := setting(name).form.get(&c)
			switch {
			case want == refused && err == nil:
				t.Errorf("%s: %q was accepted as %q", name, text, got)
			case want != refused && err != nil:
				t.Errorf("%s: %q was refused: %v", name, text, err)
			case want == "" && got != text, want != "" && want != refused && got != want:
				t.Errorf("%s: %q is printed as %q; want %q", name, text, got, want)
			}
		}
	}
}

// Every form stays in its bounds, and what it prints it reads back as the same.
func FuzzSetting(f *testing.F) {
	for i, s := range settings {
		f.Add(uint(i), s.Default)
		f.Add(uint(i), s.Example)
	}
	f.Fuzz(func(t *testing.T, i uint, text string) {
		s := settings[i%uint(len(settings))]
		c, err := parse(s.Name, text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Errorf("the error breaks its line: %q", err)
			}
			return
		}
		first := s.form.get(&c)
		if s.Secret && first == "[secret]" || first == "" {
			return
		}
		d, err := parse(s.Name, first)
		if err != nil {
			t.Fatalf("%s: %q is printed as %q, which is refused: %v", s.Name, text, first, err)
		}
		if second := s.form.get(&d); second != first {
			t.Errorf("%s: %q, then %q", s.Name, first, second)
		}
	})
}
