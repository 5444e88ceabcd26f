package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// What a code costs the database, from its making to the family that it begins, one
// after the other and 16 at once. Each person has his own.
func BenchmarkCode(b *testing.B) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		for _, portable := range []bool{false, true} {
			if portable && name == "sqlite" {
				continue
			}
			for _, workers := range []int{1, 16} {
				b.Run(fmt.Sprintf("%s/portable=%t/workers=%d", name, portable, workers), func(b *testing.B) {
					s := storetest.Open(b, dsn(b), store.Options{Portable: portable})
					codes(b, s, workers)
				})
			}
		}
	}
}

func codes(b *testing.B, s *store.Store, workers int) {
	const people = 64
	now := clock.Wall().Now()
	users, in := make([]account.User, people), make([]session.Session, people)
	life := grant.Lifetimes{Absolute: time.Hour, Idle: time.Hour}
	for i := range people {
		var err error
		if users[i], err = account.NewService(s, clock.Wall()).Create(b.Context(), storetest.Operator, account.Draft{Username: fmt.Sprintf("ann%d", i), Hash: "$x"}); err != nil {
			b.Fatal(err)
		}
		in[i], _ = session.New(now, users[i].ID, []string{"pwd"}, principal.Origin{}, session.Lifetimes{Absolute: time.Hour, Idle: time.Hour})
		f, _ := grant.New(now, users[i].ID, "doorward", life)
		e := audit.Now(principal.Principal{Kind: principal.User, ID: users[i].ID}, now, audit.LoginSucceeded, users[i].Target())
		if err := s.SignIn(b.Context(), issue.SignIn{Family: f, Session: &in[i], Was: "$x"}, e); err != nil {
			b.Fatal(err)
		}
	}
	var next atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for range workers {
		all.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				i := n % people
				c := grant.Code{Hash: secret.HashOf(secret.Random(16)), Created: now, Expires: now.Add(time.Hour), Given: grant.Given{
					Client: fmt.Sprint("client", n/people/90), User: users[i].ID, Session: in[i].ID, Scope: []string{"openid", "read"}, Audience: "https://api.example", AMR: []string{"pwd"}, AuthTime: now,
				}}
				f, _ := grant.New(now, c.User, c.Client, life)
				by := principal.Principal{Kind: principal.User, ID: c.User}
				if err := s.CreateCode(b.Context(), c, grant.Request{}, audit.Now(by, now, audit.CodeIssued, "client:x")); err != nil {
					b.Error(err)
				}
				if err := s.Redeem(b.Context(), c, f, audit.Now(by, now, audit.TokenIssued, f.Target())); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
}
