package outbox

import (
	"context"
	"log/slog"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
)

// Logout is what a client is told: that the session is over in which a person signed in to
// it (OpenID Connect Back-Channel Logout 1.0).
type Logout struct {
	User    string // the account's id
	Session string
	Client  string
}

// Letter returns the letter that tells of a logout, at the time of it.
func (l Logout) Letter(at time.Time) Letter {
	return Letter{ID: id.New(at), User: l.User, Kind: SessionOver, Data: map[string]string{"client": l.Client, "session": l.Session}, At: at}
}

func logoutOf(l Letter) Logout {
	return Logout{User: l.User, Session: l.Data["session"], Client: l.Data["client"]}
}

// logouts is the pace of logouts. A client that starts again is back in seconds; one that
// has been away for a day has lost the people it knew.
var logouts = pace{atOnce: 16, firstPause: 10 * time.Second, longPause: time.Hour, giveUp: 24 * time.Hour}

// Logouts tell clients that people are signed out.
type Logouts struct {
	Store Store
	Clock clock.Clock
	Log   *slog.Logger
	// Tell tells a client. It returns nil, too, if there is nobody to tell, an error
	// with ErrRefused in it if the client will never take it, and any other error if it
	// is to be tried again.
	Tell func(ctx context.Context, l Logout) error
}

// Run tells clients until ctx ends.
func (s Logouts) Run(ctx context.Context) {
	r := rounds{
		clock: s.Clock, log: s.Log, pace: logouts, later: s.Store.PostponeLetter,
		done: func(ctx context.Context, c Claim, events ...audit.Event) error {
			return s.Store.DeleteLetter(ctx, c.ID, events...)
		},
		claim: func(ctx context.Context, n int) ([]Claim, error) {
			return s.Store.ClaimLetters(ctx, ToClients, n, lease)
		},
		carry: func(ctx context.Context, c Claim) error { return s.Tell(ctx, logoutOf(c.Letter)) },
		failed: func(c Claim, why string) []audit.Event {
			l := logoutOf(c.Letter)
			by := principal.Principal{Kind: principal.System, ID: "server"}
			return []audit.Event{audit.Now(by, s.Clock.Now(), audit.ClientNotTold, "client:"+l.Client).
				With("session", l.Session).With("user", l.User).Because(audit.Failure, why)}
		},
	}
	r.run(ctx)
}
