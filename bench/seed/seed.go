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
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/status"
)

// Password is everybody's.
const Password = "correct horse battery"

// Options say what to write.
type Options struct {
	DSN      string // of a database with the schema in it, and no account of Name
	Users    int
	Active   int    // how many of them have a token family and a browser, at random; at most Users
	Audience string // of the families' tokens
	Asleep   int    // how many families there are besides, spread over all, that nobody has the token of
	Sessions int    // how many signed-in browsers there are besides, spread over all
}

// Active is an account that is signed in.
type Active struct {
	Username string
	Refresh  string // the refresh token of its family
	Cookie   string // of a browser in which it is signed in, too
}

// Name returns the username of account n.
func Name(n int) string { return fmt.Sprintf("load-%08d", n) }

// Seed writes the accounts and returns the active ones.
func Seed(ctx context.Context, o Options) ([]Active, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(Password), 12)
	if err != nil {
		return nil, err
	}
	w := newWriter(string(hash), o.Audience)
	w.began = w.now.Add(-time.Duration(o.Users) * time.Millisecond)
	var active []Active
	chosen := choose(o.Users, o.Active)
	err = w.into(ctx, o.DSN, true, func() error {
		for n := range o.Users {
			user := w.user(n)
			if chosen[n] {
				a := w.family(n, user)
				a.Cookie = w.session(user)
				active = append(active, a)
			}
			for range share(n, o.Users, o.Asleep) {
				w.family(n, user)
			}
			for range share(n, o.Users, o.Sessions) {
				w.session(user)
			}
			if err := w.flush(false); err != nil {
				return fmt.Errorf("writing account %d: %w", n, err)
			}
		}
		return w.flush(true)
	})
	return active, err
}

// share is how many of some things that are spread over so many the nth has.
func share(n, of, some int) int { return (n+1)*some/of - n*some/of }

// Expire writes so many families, and as many sessions, that expired two days ago: they
// are of nobody, and the server's next purge takes them away.
func Expire(ctx context.Context, dsn string, n int) error {
	w := newWriter("", "urn:nobody")
	w.now = w.now.Add(-72 * time.Hour)
	return w.into(ctx, dsn, false, func() error {
		for i := range n {
			w.family(i, "nobody")
			w.session("nobody")
			if err := w.flush(false); err != nil {
				return err
			}
		}
		return w.flush(true)
	})
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

// writer makes rows.
type writer struct {
	users, grants, families, sessions table
	hash                              string
	began, now                        time.Time
	audience                          string
}

func newWriter(hash, audience string) *writer {
	return &writer{
		users:    of("users", "id, username, username_key, email, email_key, email_verified, status, name, profile, attributes, password, created_at, updated_at, signed_in_at, version"),
		grants:   of("grants", "id, principal, role, organization, until, granted_by, reason, granted_at"),
		families: of("token_families", "id, handle, user_id, client_id, address, user_agent, scope, audience, amr, auth_time, secret, generation, grace_pepper, grace_until, created_at, used_at, idle_until, expires_at, ended_at, ended_why, live"),
		sessions: of("sessions", "id, secret, user_id, amr, address, user_agent, auth_time, created_at, used_at, idle_until, expires_at, ended_at, ended_why"),
		hash:     hash, now: time.Now().UTC().Truncate(time.Microsecond), audience: audience,
	}
}

func (w *writer) tables() []*table { return []*table{&w.users, &w.grants, &w.families, &w.sessions} }

// user writes account n. An id begins with its time: accounts that were made one
// after the other stand so in every index.
func (w *writer) user(n int) string {
	made := w.began.Add(time.Duration(n) * time.Millisecond)
	name, user, at := Name(n), id.New(made), clock.Micro(made)
	email := name + "@example.com"
	w.users.add(user, name, []byte(name), email, []byte(email), true, "active", "Somebody "+strconv.Itoa(n), "{}", "{}", w.hash, at, at, int64(0), int64(1))
	w.grants.add(id.New(made), user, "editor", "", int64(0), "cli:bench", "", at)
	return user
}

// Where everybody comes from: as long as what browsers send.
const (
	address   = "203.0.113.7"
	userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
)

const day = 24 * time.Hour

func (w *writer) family(n int, user string) Active {
	f, token := grant.New(w.now, user, client.Builtin.ID, grant.Lifetimes{Absolute: day, Idle: day})
	live := status.Live{}.With(status.Slot{List: f.ID, Index: int64(n % 1_000_000)}, []string{"editor"}, 1, w.now.Add(-time.Hour), w.now.Add(-2*time.Hour))
	w.families.add(f.ID, f.Handle[:], f.User, f.Client, address, userAgent, "read write", w.audience, "pwd", clock.Micro(f.AuthTime), f.Secret[:], f.Generation,
		int64(0), int64(0), clock.Micro(f.CreatedAt), clock.Micro(f.UsedAt), clock.Micro(f.IdleUntil), clock.Micro(f.ExpiresAt), int64(0), "", live.String())
	return Active{Username: Name(n), Refresh: token.Text().Reveal()}
}

// session writes a browser, and returns what its cookie holds.
func (w *writer) session(user string) string {
	in, text := session.New(w.now, user, []string{"pwd"}, principal.Origin{Address: address, UserAgent: userAgent}, session.Lifetimes{Absolute: day, Idle: day})
	w.sessions.add(in.ID, in.Secret[:], in.User, "pwd", in.Address, in.UserAgent, clock.Micro(in.AuthTime), clock.Micro(in.CreatedAt), clock.Micro(in.UsedAt),
		clock.Micro(in.IdleUntil), clock.Micro(in.ExpiresAt), int64(0), "")
	return text.Reveal()
}

// into has the rows that make writes go into a database. Of a fresh one it is asked to do
// at once what it would do itself in time after so much was written.
func (w *writer) into(ctx context.Context, dsn string, fresh bool, make func() error) error {
	if path, lite := strings.CutPrefix(dsn, "sqlite:"); lite {
		return w.intoSQLite(ctx, path, make)
	}
	return w.intoPostgres(ctx, dsn, fresh, make)
}

func (w *writer) flush(all bool) error {
	for _, t := range w.tables() {
		if rows := len(t.values) / len(t.columns); rows >= together || all && rows > 0 {
			if err := t.write(t.values); err != nil {
				return err
			}
			t.values = nil
		}
	}
	return nil
}

// table gathers rows of one table, to be written together.
type table struct {
	name    string
	columns []string
	values  []any
	write   func(values []any) error
}

// together is how many rows are written at once.
const together = 200

func of(name, columns string) table { return table{name: name, columns: strings.Split(columns, ", ")} }

func (t *table) add(values ...any) { t.values = append(t.values, values...) }
