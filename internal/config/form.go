package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
)

// form is how a setting is written: what is allowed, in words, and the way from
// text to a field of the Config and back.
type form struct {
	allowed string
	list    bool
	set     func(*Config, given) []error
	get     func(*Config) string // as a flag takes it, without a secret; empty for none
	show    func(*Config) string // as doctor shows it; nil if that is get

	lines     bool // may hold line breaks
	keepsPath bool // takes the path in a …_FILE variable, not what is in the file
}

// one is a form of a single value.
func one[T any](allowed string, field func(*Config) *T, parse func(string) (T, error), print func(T) string) form {
	return form{
		allowed: allowed,
		set: func(c *Config, g given) []error {
			v, err := parse(g.items[0].text)
			if err != nil {
				return []error{fault.At(g.items[0].where, "%v", err)}
			}
			*field(c) = v
			return nil
		},
		get: func(c *Config) string { return print(*field(c)) },
	}
}

// many is a form of any number of values.
func many[T any](allowed string, field func(*Config) *[]T, parse func(string) (T, error), print func(T) string) form {
	return form{
		allowed: "a list: " + allowed,
		list:    true,
		set: func(c *Config, g given) (errs []error) {
			var list []T
			for _, it := range g.items {
				v, err := parse(it.text)
				if err != nil {
					errs = append(errs, fault.At(it.where, "%v", err))
				}
				list = append(list, v)
			}
			if errs == nil {
				*field(c) = list
			}
			return errs
		},
		get: func(c *Config) string {
			var parts []string
			for _, v := range *field(c) {
				parts = append(parts, print(v))
			}
			return strings.Join(parts, ",")
		},
	}
}

func same(s string) string { return s }

func asIs(s string) (string, error) { return s, nil }

func text(allowed string, field func(*Config) *string) form { return one(allowed, field, asIs, same) }

func enum(field func(*Config) *string, values ...string) form {
	allowed := strings.Join(values, ", ")
	return one("one of "+allowed, field, func(s string) (string, error) {
		if !slices.Contains(values, s) {
			return "", fmt.Errorf("%s is not allowed; write one of %s", quote(s), allowed)
		}
		return s, nil
	}, same)
}

func level(field func(*Config) *slog.Level) form {
	names := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	return one("one of debug, info, warn, error", field, func(s string) (slog.Level, error) {
		l, ok := names[s]
		if !ok {
			return 0, fmt.Errorf("%s is not allowed; write one of debug, info, warn, error", quote(s))
		}
		return l, nil
	}, func(l slog.Level) string { return strings.ToLower(l.String()) })
}

func boolean(field func(*Config) *bool) form {
	return one("true or false", field, func(s string) (bool, error) {
		if s != "true" && s != "false" {
			return false, fmt.Errorf("%s is not allowed; write true or false", quote(s))
		}
		return s == "true", nil
	}, strconv.FormatBool)
}

func integer(field func(*Config) *int, least, most int) form {
	allowed := fmt.Sprintf("a whole number from %d to %d", least, most)
	return one(allowed, field, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || strconv.Itoa(n) != s { // 010 is eight to YAML and ten to us
			return 0, fmt.Errorf("%s is not %s", quote(s), allowed)
		}
		if n < least || n > most {
			return 0, fmt.Errorf("%d is out of bounds; write %s", n, allowed)
		}
		return n, nil
	}, strconv.Itoa)
}

func duration(field func(*Config) *time.Duration, least, most time.Duration) form {
	parse, allowed := parseDuration(least, most)
	return one(allowed, field, parse, short)
}

func durations(field func(*Config) *[]time.Duration, least, most time.Duration) form {
	parse, allowed := parseDuration(least, most)
	return many(allowed, field, parse, short)
}

// parseDuration returns the parser of durations in whole seconds, which is what
// tokens and cookies can say.
func parseDuration(least, most time.Duration) (func(string) (time.Duration, error), string) {
	allowed := fmt.Sprintf("a duration from %s to %s", short(least), short(most))
	return func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		switch {
		case err != nil:
			return 0, fmt.Errorf("%s is not a duration; write it like 15m or 12h, and days in hours", quote(s))
		case d%time.Second != 0:
			return 0, fmt.Errorf("%s is not in whole seconds", quote(s))
		case d < least || d > most:
			return 0, fmt.Errorf("%s is out of bounds; write %s", quote(s), allowed)
		}
		return d, nil
	}, allowed
}

// short writes a duration without the zeros at its end: 15m, not 15m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Rate is so many times within so long; the zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// String returns the rate as an operator writes it, like 10/1m.
func (r Rate) String() string { return strconv.Itoa(r.Count) + "/" + short(r.Per) }

func rate(field func(*Config) *Rate) form {
	per, _ := parseDuration(time.Second, 24*time.Hour)
	return one("a number of times and a duration, like 10/1m; up to 100000, from 1s to 24h", field, func(s string) (Rate, error) {
		count, duration, _ := strings.Cut(s, "/")
		n, err := strconv.Atoi(count)
		d, badDuration := per(duration)
		if err != nil || badDuration != nil || n < 1 || n > 100_000 || strconv.Itoa(n) != count {
			return Rate{}, fmt.Errorf("%s is not a rate; write it like 10/1m, up to 100000 times within 1s to 24h", quote(s))
		}
		return Rate{n, d}, nil
	}, Rate.String)
}

// file is the path of a file. In the configuration file a relative path starts
// from that file's folder.
func file(field func(*Config) *string) form {
	f := text("the path of a file; a relative one starts from the folder of the configuration file, else from the working directory", field)
	f.set = func(c *Config, g given) []error {
		*field(c) = g.path(g.items[0].text)
		return nil
	}
	return f
}

func password(field func(*Config) *secret.Text) form {
	return one("any text", field, func(s string) (secret.Text, error) { return secret.From(s), nil }, hide)
}

func hide(t secret.Text) string {
	if t.IsZero() {
		return ""
	}
	return t.String()
}

func mailbox(field func(*Config) *string) form {
	return one("an address, like doorward@example.com or Doorward <doorward@example.com>", field, func(s string) (string, error) {
		if _, err := mail.ParseAddress(s); err != nil {
			return "", fmt.Errorf("%s is not a mail address; write it like doorward@example.com", quote(s))
		}
		return s, nil
	}, same)
}

// plainMailbox is an address without a name, as a mailto URL holds it.
func plainMailbox(field func(*Config) *string) form {
	return one("an address, like operator@example.com", field, func(s string) (string, error) {
		if a, err := mail.ParseAddress(s); err != nil || a.Address != s || strings.ContainsAny(s, "?&%") {
			return "", fmt.Errorf("%s is not a plain mail address; write it like operator@example.com", quote(s))
		}
		return s, nil
	}, same)
}

// audience is what RFC 7519 (Section 2) calls a StringOrURI: a URI if it holds a
// colon.
func audience(field func(*Config) *string) form {
	return one("an absolute URI without a fragment, or a plain word", field, func(s string) (string, error) {
		u, err := url.Parse(s)
		if err != nil || strings.ContainsAny(s, " #\"\\<>") || strings.Contains(s, ":") && (u.Scheme == "" || u.Host+u.Opaque+u.Path == "") {
			return "", errors.New("is not an absolute URI without a fragment, nor a plain word; write it like https://api.example.com")
		}
		if u.User != nil {
			return "", errors.New("has a user name or password in it; remove it")
		}
		return s, nil
	}, same)
}

// permission is a scope-token (RFC 6749, Section 3.3) that is no pattern.
func permission(s string) (string, error) {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' || s[i] == '*' {
			return "", fmt.Errorf("%s is not a permission; write one like orders:read, without wildcards", quote(s))
		}
	}
	return s, nil
}
