// Package store keeps everything in SQLite or PostgreSQL. It is the only room
// with SQL in it.
//
// One verb is one transaction, and the audit event is part of it: after a crash
// at any line there is the old state or the new one, with its event. Every
// statement stands next to the method that runs it and runs on both databases.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/rbac"
)

// Store is an open database. It is safe for concurrent use.
type Store struct {
	db     engine
	clock  clock.Clock
	log    *slog.Logger
	listen func(context.Context, []feed.Change) // called with what was committed, before the verb returns
	roles  atomic.Pointer[rbac.Snapshot]        // the roles as a policy write last saw them

	portable bool // no statement in a form of one database
	window   int  // how many rows one statement of a search looks through
	moments  int  // and how many moments of a name
}

// engine is what differs between the databases.
type engine interface {
	// write runs f in one transaction and returns when it is durable. f may run
	// more than once.
	write(ctx context.Context, f func(*tx) error) error
	// query runs a statement that changes nothing, outside any transaction.
	query(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
	// lock makes other processes that migrate wait until the transaction ends.
	lock(t *tx) error
	// schema returns a statement of a migration as the database is to have it, or nothing
	// for one that is another kind's.
	schema(statement string) string
	// record is write for what is inserted alone and clashes with nothing.
	record(ctx context.Context, f func(*tx) error) error
	about(ctx context.Context) (Settings, error)
	close() error
}

// Options are what Open may be told.
type Options struct {
	Clock clock.Clock
	Log   *slog.Logger
	// Portable keeps to the statements that run on both databases, where there is
	// a faster form for one. The contract suite runs both.
	Portable bool
	// Wrap, if set, stands between database/sql and the driver. Tests make
	// statements fail with it.
	Wrap func(driver.Connector) driver.Connector
}

// Open opens the database that dsn names: "sqlite:PATH" or "postgres://…". It
// does not migrate.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	if o.Clock == nil {
		o.Clock = clock.Wall()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Wrap == nil {
		o.Wrap = func(c driver.Connector) driver.Connector { return c }
	}
	s := &Store{clock: o.Clock, log: o.Log, portable: o.Portable, window: searched, moments: moments}
	s.listen = func(context.Context, []feed.Change) {}
	var err error
	switch {
	case strings.HasPrefix(dsn, "sqlite:"):
		s.db, err = openSQLite(ctx, strings.TrimPrefix(dsn, "sqlite:"), o.Wrap)
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		var p *postgresDB
		if p, err = openPostgres(ctx, dsn, o.Wrap); err == nil {
			s.db, s.portable = p, o.Portable || !p.itself
		}
	default:
		err = errors.New("a database is named sqlite:PATH or postgres://…")
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Close closes the database, once what is being written is written.
func (s *Store) Close() error { return s.db.close() }

// Listen names who is told of what this process commits, before the verb that
// did it returns.
func (s *Store) Listen(f func(context.Context, []feed.Change)) { s.listen = f }

// Settings says how the database keeps what it is given.
type Settings struct {
	Kind    string // "sqlite" or "postgres"
	Version string
	Durable bool   // an acknowledged write survives a loss of power
	Why     string // which setting says so
	// At is what the database's clock says; zero where it is this machine's.
	At time.Time
	// Plain is the address of a server on another machine that is spoken to without
	// TLS; else empty.
	Plain string
}

// About asks the database for its settings.
func (s *Store) About(ctx context.Context) (Settings, error) { return s.db.about(ctx) }

// Ping asks whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.one(ctx, `SELECT 1`).scan(&one)
}

// tx is a transaction of one verb.
type tx struct {
	ctx     context.Context
	run     runner
	now     time.Time
	changes []feed.Change  // to be told of once committed
	policy  int64          // the version of the policy that this transaction makes, once locked
	roles   *rbac.Snapshot // as the transaction sees them now
	read    *rbac.Snapshot // as they were when it began
	kept    *rbac.Snapshot // as the transaction before saw them
	keeping bool           // an administrator, past the change that runs
	streams *bool          // whether there is one, once that was asked
	checks  []func() error // what to look at once the change is whole
	cause   string         // of what streams are told; empty until they are
}

// runner runs statements in a transaction.
type runner interface {
	exec(ctx context.Context, statement string, args ...any) (sql.Result, error)
	query(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
	// holding returns a SELECT by which the rows that it finds stay as they are until
	// the transaction ends.
	holding(statement string) string
	// unpacked are the events to be written before the transaction ends.
	unpacked() *unpacked
}

// write runs f in one transaction, and tells of its changes once it is durable.
func (s *Store) write(ctx context.Context, f func(*tx) error) error {
	return s.through(ctx, s.db.write, f)
}

func (s *Store) through(ctx context.Context, door func(context.Context, func(*tx) error) error, f func(*tx) error) error {
	var changes []feed.Change
	var roles *rbac.Snapshot
	err := door(ctx, func(t *tx) error {
		*t = tx{ctx: t.ctx, run: t.run, now: s.clock.Now(), kept: s.roles.Load()}
		err := f(t)
		changes, roles = t.changes, t.read
		return err
	})
	if err != nil {
		return outage(err)
	}
	if roles != nil { // only what was committed may be kept
		s.roles.Store(roles)
	}
	if len(changes) > 0 {
		s.listen(context.WithoutCancel(ctx), changes)
	}
	return nil
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(statement string, args ...any) (int64, error) {
	result, err := t.run.exec(t.ctx, statement, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", first(statement), err)
	}
	return result.RowsAffected()
}

func (t *tx) one(statement string, args ...any) row {
	rows, err := t.run.query(t.ctx, statement, args...)
	return row{rows, err, statement}
}

// held reports whether a SELECT finds a row, and makes who would change it wait until the
// transaction ends. Of what it joins it holds all.
func (t *tx) held(statement string, args ...any) (bool, error) {
	var one int
	err := t.one(t.run.holding(statement), args...).scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (t *tx) all(scan func(scanner) error, statement string, args ...any) error {
	rows, err := t.run.query(t.ctx, statement, args...)
	return each(rows, err, statement, scan)
}

func (s *Store) one(ctx context.Context, statement string, args ...any) row {
	rows, err := s.db.query(ctx, statement, args...)
	return row{rows, outage(err), statement}
}

func (s *Store) all(ctx context.Context, scan func(scanner) error, statement string, args ...any) error {
	rows, err := s.db.query(ctx, statement, args...)
	return outage(each(rows, err, statement, scan))
}

// scanner is a row that can be read.
type scanner interface{ Scan(...any) error }

// row is the first row of an answer.
type row struct {
	rows      *sql.Rows
	err       error
	statement string
}

// scan reads the row, or returns sql.ErrNoRows.
func (r row) scan(into ...any) error {
	return r.read(func(s scanner) error { return s.Scan(into...) })
}

func (r row) read(scan func(scanner) error) error {
	found := false
	err := each(r.rows, r.err, r.statement, func(s scanner) error {
		if found {
			return nil
		}
		found = true
		return scan(s)
	})
	if err == nil && !found {
		return sql.ErrNoRows
	}
	return err
}

func each(rows *sql.Rows, err error, statement string, scan func(scanner) error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", first(statement), err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("%s: %w", first(statement), err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: %w", first(statement), err)
	}
	return rows.Close()
}

// first returns the beginning of a statement, for a log.
func first(statement string) string {
	words := strings.Fields(statement)
	return strings.Join(words[:min(4, len(words))], " ")
}

// absent turns "no rows" into the fault that the domain knows.
func absent(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "there is no such %s", what).Because(err)
	}
	return err
}

// text reports whether a row can hold s. PostgreSQL fails at a NUL and at what is
// not UTF-8, so nothing from outside is looked up before this was asked.
func text(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// nullable returns nil for no bytes, so that a column holds NULL.
func nullable(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
