// Package seed fills a database with accounts, past the server: a million of
// them cannot each wait for a commit.
//
// What it writes is what Doorward would have written, in Doorward's own schema.
// Every account has the same password and the role editor; some are active,
// which means that a token family of theirs is alive.
package seed

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"golang.org/x/crypto/bcrypt"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/id"
)

// Password is everybody's.
const Password = "correct horse battery"

// Options say what to write.
type Options struct {
	DSN      string // of a database with the schema in it, and no account of Name
	Users    int
	Active   int    // how many of them have a token family, at random; at most Users
	Audience string // of the families' tokens
}

// Active is an account that is signed in.
type Active struct {
	Username string
	Refresh  string // the refresh token of its family
}

// Name returns the username of account n.
func Name(n int) string { return fmt.Sprintf("load-%08d", n) }

// Seed writes the accounts and returns the active ones.
func Seed(ctx context.Context, o Options) ([]Active, error) {
	db, settle, place, err := open(o.DSN)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	hash, err := bcrypt.GenerateFromPassword([]byte(Password), 12)
	if err != nil {
		return nil, err
	}
	t, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer t.Rollback() //nolint:errcheck // after a commit it does nothing
	w := writer{
		users:    table{into: "users (id, username, username_key, email, email_key, email_verified, status, name, profile, attributes, password, created_at, updated_at, signed_in_at, version)", columns: 15},
		grants:   table{into: "grants (id, principal, role, organization, until, granted_by, reason, granted_at)", columns: 8},
		families: table{into: "token_families (id, handle, user_id, client_id, scope, audience, amr, auth_time, secret, generation, grace_pepper, grace_until, created_at, used_at, idle_until, expires_at, ended_at, ended_why)", columns: 18},
		place:    place, hash: string(hash), now: time.Now().UTC().Truncate(time.Microsecond), audience: o.Audience,
	}
	w.began = w.now.Add(-time.Duration(o.Users) * time.Millisecond)
	var active []Active
	chosen := choose(o.Users, o.Active)
	for n := range o.Users {
		user := w.user(n)
		if chosen[n] {
			active = append(active, w.family(n, user))
		}
		if err := w.flush(ctx, t, n == o.Users-1); err != nil {
			return nil, fmt.Errorf("writing account %d: %w", n, err)
		}
	}
	if err := t.Commit(); err != nil {
		return nil, err
	}
	for _, statement := range settle {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	return active, nil
}

// open returns the database, what it would do itself in time after so much was
// written, and how it writes the place of a value. SQLite looks for those that
// have a name, one after the other, for each of them.
func open(dsn string) (db *sql.DB, settle []string, place func(n int) string, err error) {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=cache_size(-200000)&_pragma=temp_store(MEMORY)")
		if err == nil {
			db.SetMaxOpenConns(1)
		}
		return db, []string{"PRAGMA wal_checkpoint(TRUNCATE)"}, func(int) string { return "?" }, err
	}
	db, err = sql.Open("pgx", dsn)
	return db, []string{"VACUUM ANALYZE", "CHECKPOINT"}, func(n int) string { return "$" + strconv.Itoa(n) }, err
}

// choose picks some of n at random, spread over all of them.
func choose(n, some int) map[int]bool {
	chosen := make(map[int]bool, some)
	for i := range some {
		from, to := i*n/some, (i+1)*n/some
		var b [8]byte
		rand.Read(b[:])
		chosen[from+int(binary.LittleEndian.Uint64(b[:])%uint64(to-from))] = true
	}
	return chosen
}

// writer gathers rows.
type writer struct {
	users, grants, families table
	place                   func(n int) string
	hash                    string
	began, now              time.Time
	audience                string
}

// user writes account n. An id begins with its time: accounts that were made one
// after the other stand so in every index.
func (w *writer) user(n int) string {
	made := w.began.Add(time.Duration(n) * time.Millisecond)
	name, user, at := Name(n), id.New(made), clock.Micro(made)
	email := name + "@example.com"
	w.users.add(user, name, []byte(name), email, []byte(email), true, "active", "Somebody "+strconv.Itoa(n), "{}", "{}", w.hash, at, at, 0, 1)
	w.grants.add(id.New(made), user, "editor", "", 0, "cli:bench", "", at)
	return user
}

func (w *writer) family(n int, user string) Active {
	f, token := grant.New(w.now, user, client.Builtin.ID, grant.Lifetimes{Absolute: 24 * time.Hour, Idle: 24 * time.Hour})
	w.families.add(f.ID, f.Handle[:], f.User, f.Client, "read write", w.audience, "pwd", clock.Micro(f.AuthTime), f.Secret[:], f.Generation,
		0, 0, clock.Micro(f.CreatedAt), clock.Micro(f.UsedAt), clock.Micro(f.IdleUntil), clock.Micro(f.ExpiresAt), 0, "")
	return Active{Username: Name(n), Refresh: token.Text().Reveal()}
}

func (w *writer) flush(ctx context.Context, t *sql.Tx, all bool) error {
	for _, table := range []*table{&w.users, &w.grants, &w.families} {
		if err := table.flush(ctx, t, w.place, all); err != nil {
			return err
		}
	}
	return nil
}

// table gathers rows of one table, to be written by one statement.
type table struct {
	into    string
	columns int
	values  []any
	full    *sql.Stmt // for as many rows as are written at once
}

// together is how many rows one statement writes.
const together = 200

func (t *table) add(values ...any) { t.values = append(t.values, values...) }

func (t *table) flush(ctx context.Context, tx *sql.Tx, place func(int) string, all bool) (err error) {
	rows := len(t.values) / t.columns
	switch {
	case rows == together:
		if t.full == nil {
			if t.full, err = tx.PrepareContext(ctx, t.statement(rows, place)); err != nil {
				return err
			}
		}
		_, err = t.full.ExecContext(ctx, t.values...)
	case all && rows > 0:
		_, err = tx.ExecContext(ctx, t.statement(rows, place), t.values...)
	default:
		return nil
	}
	t.values = t.values[:0]
	return err
}

func (t *table) statement(rows int, place func(int) string) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + t.into + " VALUES ")
	for n := 1; n <= rows*t.columns; n++ {
		switch {
		case n == 1:
			b.WriteByte('(')
		case n%t.columns == 1:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString(place(n))
	}
	return b.String() + ")"
}
