package config

import (
	"errors"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/secret"
)

// The kinds of databases.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Database is where everything is kept.
type Database struct {
	Kind string      // SQLite or Postgres
	DSN  secret.Text // as the operator wrote it: sqlite:PATH or a postgres URL
	Path string      // of the SQLite file; a relative one starts from the working directory

	shown    string
	password bool
}

// String returns the database without its password and its parameters.
func (d Database) String() string { return d.shown }

func database(field func(*Config) *Database) form {
	return one("sqlite:PATH, or postgres://USER@HOST:PORT/NAME", field, parseDatabase, Database.String)
}

// parseDatabase shows nothing of a value that it refuses: there may be a password
// in any part of a URL that was not written well.
func parseDatabase(s string) (Database, error) {
	if path, ok := strings.CutPrefix(s, "sqlite:"); ok {
		if err := checkPath(path); err != nil {
			return Database{}, err
		}
		return Database{Kind: SQLite, DSN: secret.From(s), Path: path, shown: s}, nil
	}
	if !strings.HasPrefix(s, "postgres://") && !strings.HasPrefix(s, "postgresql://") {
		return Database{}, errors.New("is neither sqlite:PATH nor postgres://USER@HOST:PORT/NAME")
	}
	shown, password, err := stripURL(s)
	if err != nil {
		return Database{}, err
	}
	return Database{Kind: Postgres, DSN: secret.From(s), shown: shown, password: password}, nil
}

// fallsBack reports whether the connection leaves the machine and its client may
// take plain text where TLS fails (libpq's modes prefer and allow).
func (d Database) fallsBack() bool {
	u, err := url.Parse(d.DSN.Reveal())
	if d.Kind != Postgres || err != nil {
		return false
	}
	mode := u.Query().Get("sslmode")
	if mode != "" && mode != "prefer" && mode != "allow" {
		return false
	}
	host := u.Hostname()
	if other := u.Query().Get("host"); other != "" {
		host = other
	}
	return host != "" && !strings.HasPrefix(host, "/") && !loopback(host)
}

func checkPath(path string) error {
	switch {
	case path == "" || strings.HasSuffix(path, "/"):
		return errors.New("names no file; write it like sqlite:doorward.db")
	case strings.HasPrefix(path, "//"):
		return errors.New("begins with sqlite://; write sqlite:doorward.db, or sqlite:/var/lib/doorward/doorward.db")
	case strings.HasPrefix(path, ":") || strings.HasPrefix(path, "file:"):
		return errors.New("names no file; a database in memory would lose every account at the end")
	case strings.ContainsAny(path, "?#"):
		return errors.New("has parameters; the server sets its own, and a path with ? or # is not supported")
	}
	return nil
}

// stripURL returns a URL without password and parameters, and whether there was
// a password.
func stripURL(s string) (shown string, password bool, err error) {
	const escape = "percent-encode what is special in the user's name and password: / is %2F, ? is %3F, # is %23, @ is %40"
	u, err := url.Parse(s)
	if err != nil || u.Fragment != "" || strings.Contains(s, "#") || strings.Count(s, "@") > 1 {
		return "", false, errors.New("is not a URL; " + escape)
	}
	// A slash or a question mark in a password ends the host too early.
	if u.User == nil && strings.Contains(s, "@") {
		return "", false, errors.New("has an @ after the host; " + escape)
	}
	parameters, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", false, errors.New("has parameters that are not well written; separate them with &")
	}
	_, inUser := u.User.Password()
	password = inUser || parameters.Has("password") || parameters.Has("sslpassword")
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if name := u.User.Username(); name != "" {
		bare.User = url.User(name)
	}
	return bare.String(), password, nil
}

// Counters is where attempts and limits are counted: in the database, or in a
// Redis or Valkey that several servers share.
type Counters struct {
	URL secret.Text // zero: the database

	shown    string
	password bool
}

// String returns "database", or the URL without its password.
func (c Counters) String() string { return c.shown }

func counters(field func(*Config) *Counters) form {
	return one("database, or redis://USER:PASSWORD@HOST:PORT/NUMBER (rediss:// with TLS), of which only the host is needed", field, func(s string) (Counters, error) {
		if s == "database" {
			return Counters{shown: s}, nil
		}
		if !strings.HasPrefix(s, "redis://") && !strings.HasPrefix(s, "rediss://") {
			return Counters{}, errors.New("is neither database nor redis://HOST:PORT")
		}
		shown, password, err := stripURL(s)
		if err != nil {
			return Counters{}, err
		}
		return Counters{secret.From(s), shown, password}, checkCounters(shown, s)
	}, Counters.String)
}

// checkCounters tells what a Redis URL must not have. What it would be for, its
// client does not heed.
func checkCounters(shown, s string) error {
	u, err := url.Parse(shown)
	if err != nil || u.Hostname() == "" {
		return errors.New("names no host; write it like redis://HOST:PORT")
	}
	if strings.Contains(s, "?") {
		return errors.New("has parameters; there are none: TLS is said by rediss://, the database by its number after the last slash")
	}
	if number := strings.Trim(u.Path, "/"); strings.Trim(number, "0123456789") != "" || len(number) > 4 {
		return errors.New("has a path that is not the number of a database, like redis://HOST:PORT/1")
	}
	return nil
}
