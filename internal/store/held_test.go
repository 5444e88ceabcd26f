package store_test

import (
	"database/sql"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// Whoever's account and session are just being changed waits alone: codes and turns of
// others, which are done by the same statement, go on.
func TestWhoIsHeldHoldsUpNobody(t *testing.T) {
	t.Parallel()
	dsn := storetest.Postgres(t)
	s := storetest.Open(t, dsn, store.Options{})
	now := clock.Wall().Now()
	life := grant.Lifetimes{Absolute: time.Hour, Idle: time.Hour}
	verbs := map[string][2]func() error{} // of the one who is held, and of another
	for i, name := range []string{"held", "free"} {
		u, err := account.NewService(s, clock.Wall()).Create(t.Context(), storetest.Operator, account.Draft{Username: name, Hash: "$x"})
		if err != nil {
			t.Fatal(err)
		}
		by := principal.Principal{Kind: principal.User, ID: u.ID}
		in, _ := session.New(now, u.ID, []string{"pwd"}, principal.Origin{}, session.Lifetimes{Absolute: time.Hour, Idle: time.Hour})
		f, token := grant.New(now, u.ID, "doorward", life)
		f.Session = in.ID
		if err := s.SignIn(t.Context(), issue.SignIn{Family: f, Session: &in, Was: "$x"}, audit.Now(by, now, audit.LoginSucceeded, u.Target())); err != nil {
			t.Fatal(err)
		}
		c := grant.Code{Hash: secret.HashOf([]byte(name)), Created: now, Expires: now.Add(time.Hour), Given: grant.Given{Client: "shop", User: u.ID, Session: in.ID, AuthTime: now}}
		if err := s.CreateCode(t.Context(), c, grant.Request{}, audit.Now(by, now, audit.CodeIssued, "client:shop")); err != nil {
			t.Fatal(err)
		}
		verb := func(what string, do func() error) {
			both := verbs[what]
			both[i] = do
			verbs[what] = both
		}
		verb("a code", func() error {
			begun, _ := grant.New(now, u.ID, "shop", life)
			return s.Redeem(t.Context(), c, begun, audit.Now(by, now, audit.TokenIssued, begun.Target()))
		})
		verb("a turn", func() error {
			r, _ := f.Rotate(token, now, life, secret.Pepper{})
			r.Session, r.SessionIdle = in.ID, now.Add(time.Hour)
			return s.RotateFamily(t.Context(), r, audit.Now(by, now, audit.TokenRefreshed, f.Target()))
		})
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for what, both := range verbs {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		for _, statement := range []string{
			`SELECT id FROM users WHERE username = 'held' FOR UPDATE`, `SELECT id FROM sessions WHERE user_id = (SELECT id FROM users WHERE username = 'held') FOR UPDATE`,
		} {
			if _, err := tx.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		held, free := make(chan error, 1), make(chan error, 1)
		go func() { held <- both[0]() }()
		time.Sleep(100 * time.Millisecond) // it is under way
		go func() { free <- both[1]() }()
		select {
		case err := <-free:
			if err != nil {
				t.Errorf("%s of another: %v", what, err)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s of another waits for who is held", what)
		}
		select {
		case err := <-held:
			t.Errorf("%s of who is held did not wait: %v", what, err)
		default:
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := <-held; err != nil {
			t.Errorf("%s of who was held, in the end: %v", what, err)
		}
	}
}
