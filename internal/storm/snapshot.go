package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/doorward/doorward/internal/audit"
)

// snapshot is what the database holds at a moment when nobody acts.
type snapshot struct {
	families map[string]family
	begun    map[string]int // families of a user
	sessions map[string]session
	users    map[string]user
	names    map[string]string // username → id
	roles    map[string]role   // those that are not built in
	grants   map[holding]bool
	policy   int64           // the version of roles and grants
	told     map[string]bool // families whose end the change feed tells
	head     int64           // of the change feed
	numbered int64           // changes that have a number
	waiting  int64           // changes that have none
	events   []event         // since the snapshot before
	newest   string          // the id of the last event that was read
}

// family is the row of a token family.
type family struct {
	user, secret, previous, why string
	session                     string // of a browser; else empty
	generation                  int64
	salted                      bool  // a retry is given the same successor
	grace                       int64 // until when, Unix microseconds
	created, ended              int64
}

// session is the row of a signed-in browser.
type session struct {
	user, why string
	ended     int64
}

type user struct {
	status  string
	version int64
	name    string
}

// role is what a role says. Its lists are sorted and joined by spaces.
type role struct {
	permissions, inherits string
	version               int64
}

type holding struct{ user, role string }

// event is an audit event, as far as the books need it.
type event struct {
	id, action, outcome, target string
	detail                      map[string]string
	lists                       map[string][]string
	private                     int // parts that it says it has
	kept                        int // parts that are there
}

// read takes a snapshot, with the events after one that was read before. It
// opens the database and closes it again: an open SQLite file would keep the next
// start of the server from recovering as it must after a crash.
func read(ctx context.Context, dsn, after string) (*snapshot, error) {
	db, err := open(dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: isolation(dsn)})
	if err != nil {
		return nil, fmt.Errorf("looking into the database: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it was only read
	r := reader{ctx: ctx, tx: tx, to: &snapshot{
		families: map[string]family{}, begun: map[string]int{}, sessions: map[string]session{}, users: map[string]user{}, names: map[string]string{},
		roles: map[string]role{}, grants: map[holding]bool{}, told: map[string]bool{}, newest: after,
	}}
	for _, f := range []func() error{r.families, r.sessions, r.users, r.rolesAndGrants, r.changes, func() error { return r.events(after) }} {
		if err := f(); err != nil {
			return nil, fmt.Errorf("looking into the database: %w", err)
		}
	}
	return r.to, nil
}

func open(dsn string) (*sql.DB, error) {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)"}}
		return sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	}
	return sql.Open("pgx", dsn)
}

// isolation is one under which all statements see the same moment. A transaction
// of SQLite always does.
func isolation(dsn string) sql.IsolationLevel {
	if strings.HasPrefix(dsn, "sqlite:") {
		return sql.LevelDefault
	}
	return sql.LevelRepeatableRead
}

type reader struct {
	ctx context.Context
	tx  *sql.Tx
	to  *snapshot
}

// each runs a query and calls row for every row, which scans.
func (r reader) each(row func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := r.tx.QueryContext(r.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (r reader) families() error {
	return r.each(func(scan func(...any) error) error {
		var id string
		var secret, previous, salt []byte
		var f family
		if err := scan(&id, &f.user, &secret, &previous, &f.generation, &salt, &f.grace, &f.created, &f.ended, &f.why, &f.session); err != nil {
			return err
		}
		f.secret, f.previous, f.salted = string(secret), string(previous), len(salt) > 0
		r.to.families[id] = f
		r.to.begun[f.user]++
		return nil
	}, `SELECT id, user_id, secret, previous, generation, grace_salt, grace_until, created_at, ended_at, ended_why, session FROM token_families`)
}

func (r reader) sessions() error {
	return r.each(func(scan func(...any) error) error {
		var id string
		var v session
		err := scan(&id, &v.user, &v.ended, &v.why)
		r.to.sessions[id] = v
		return err
	}, `SELECT id, user_id, ended_at, ended_why FROM sessions`)
}

func (r reader) users() error {
	return r.each(func(scan func(...any) error) error {
		var id, username string
		var u user
		if err := scan(&id, &username, &u.status, &u.version, &u.name); err != nil {
			return err
		}
		r.to.users[id] = u
		r.to.names[username] = id
		return nil
	}, `SELECT id, username, status, version, name FROM users`)
}

func (r reader) rolesAndGrants() error {
	err := r.each(func(scan func(...any) error) error {
		var name, permissions, inherits string
		var builtin bool
		var v role
		if err := scan(&name, &permissions, &inherits, &builtin, &v.version); err != nil || builtin {
			return err
		}
		var p, i []string
		if err := json.Unmarshal([]byte(permissions), &p); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(inherits), &i); err != nil {
			return err
		}
		v.permissions, v.inherits = joined(p), joined(i)
		r.to.roles[name] = v
		return nil
	}, `SELECT name, permissions, inherits, builtin, version FROM roles`)
	if err != nil {
		return err
	}
	err = r.each(func(scan func(...any) error) error {
		var h holding
		err := scan(&h.user, &h.role)
		r.to.grants[h] = true
		return err
	}, `SELECT principal, role FROM grants`)
	if err != nil {
		return err
	}
	return r.tx.QueryRowContext(r.ctx, `SELECT version FROM policy WHERE id = 1`).Scan(&r.to.policy)
}

func (r reader) changes() error {
	err := r.each(func(scan func(...any) error) error {
		var family string
		err := scan(&family)
		r.to.told[family] = true
		return err
	}, `SELECT subject FROM changes WHERE topic = 'family-ended'`)
	if err != nil {
		return err
	}
	err = r.tx.QueryRowContext(r.ctx, `SELECT head FROM feed WHERE id = 1`).Scan(&r.to.head)
	if err != nil {
		return err
	}
	return r.tx.QueryRowContext(r.ctx, `SELECT COUNT(seq), COUNT(*) - COUNT(seq) FROM changes`).Scan(&r.to.numbered, &r.to.waiting)
}

func (r reader) events(after string) error {
	return r.each(func(scan func(...any) error) error {
		var e event
		var data []byte
		var private string
		if err := scan(&e.id, &e.action, &e.outcome, &e.target, &data, &private); err != nil {
			return err
		}
		var public struct {
			Detail  map[string]string   `json:"detail"`
			Lists   map[string][]string `json:"lists"`
			Private []string            `json:"private"`
		}
		if err := json.Unmarshal(data, &public); err != nil {
			return fmt.Errorf("event %s: %w", e.id, err)
		}
		parts, err := audit.DecodeParts(private)
		if err != nil {
			return fmt.Errorf("event %s: %w", e.id, err)
		}
		e.detail, e.lists, e.private, e.kept = public.Detail, public.Lists, len(public.Private), len(parts)
		r.to.events = append(r.to.events, e)
		r.to.newest = max(r.to.newest, e.id)
		return nil
	}, `SELECT id, action, outcome, target, data, private FROM audit_events WHERE id > $1 ORDER BY at, id`, after)
}
