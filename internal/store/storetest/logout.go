package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/store"
)

// Logouts is the contract of who is told that a session is over, where time stands still.
func Logouts(t *testing.T, s *store.Store, w *Witness) {
	for name, at := range map[string]string{"told": "https://told.example/logout?a=1", "told-too": "https://too.example/logout", "quiet": ""} {
		c := application(name, "read")
		c.BackchannelLogoutURI = at
		registerClient(t, s, c)
	}
	t.Run("whatever ends it", func(t *testing.T) { logoutTold(t, s) })
	t.Run("who is not told", func(t *testing.T) { logoutNotTold(t, s, w) })
	t.Run("kept apart from mail", func(t *testing.T) { logoutApart(t, s) })
	t.Run("beside a sign-in", func(t *testing.T) { logoutBeside(t, s) })
	t.Run("forgotten in time", func(t *testing.T) { logoutForgotten(t, s, w) })
	t.Run("what becomes of it is recorded", func(t *testing.T) { logoutRecorded(t, s, w) })
}

// visits signs a person in to clients, in a browser.
func visits(t testing.TB, s *store.Store, u account.User, clients ...string) (session.Session, grant.Family) {
	t.Helper()
	in, f, _ := start(t, s, u, instant, secret.Hash{})
	for _, client := range clients {
		_, err := redeem(t.Context(), s, coded(t, s, u, in, client, nil))
		Want(t, "signing in to "+client, err, 0)
	}
	return in, f
}

// told takes all that clients are to be told.
func told(t *testing.T, s *store.Store) (list []outbox.Logout) {
	t.Helper()
	claims, err := s.ClaimLetters(t.Context(), outbox.ToClients, 100, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(claims, func(a, b outbox.Claim) int { return strings.Compare(a.Data["client"], b.Data["client"]) })
	for _, c := range claims {
		if c.Kind != outbox.SessionOver || !c.At.Equal(instant) || c.Try != 1 {
			t.Errorf("it is claimed as %+v", c)
		}
		list = append(list, outbox.Logout{User: c.User, Session: c.Data["session"], Client: c.Data["client"]})
	}
	return list
}

func logoutTold(t *testing.T, s *store.Store) {
	for name, end := range map[string]func(u account.User, in session.Session, f grant.Family) error{
		"signed out": func(_ account.User, in session.Session, _ grant.Family) error {
			return s.EndSession(t.Context(), Operator, in.Secret, "signed-out")
		},
		"by id": func(u account.User, in session.Session, _ grant.Family) error {
			return s.EndSignedIn(t.Context(), Operator, u.ID, in.ID, event(audit.SessionEnded, in.Target()))
		},
		"others": func(u account.User, _ session.Session, _ grant.Family) error {
			by := Operator
			by.ID = u.ID
			return s.EndOthers(t.Context(), by, "another")
		},
		"reused": func(_ account.User, in session.Session, f grant.Family) error {
			return s.EndFamily(t.Context(), issue.Ending{Family: f.ID, Session: in.ID, Why: "reused"}, event(audit.TokenReused, f.Target()))
		},
		"new one": func(u account.User, in session.Session, _ grant.Family) error {
			start(t, s, u, instant, in.Secret)
			return nil
		},
		"password": func(u account.User, _ session.Session, _ grant.Family) error {
			return s.ChangePassword(t.Context(), Operator, u.ID, Stored, "$new", event(audit.PasswordChanged, u.Target()))
		},
		"disabled": func(u account.User, _ session.Session, _ grant.Family) error {
			disableUser(t, s, u)
			return nil
		},
		"erased": func(u account.User, _ session.Session, _ grant.Family) error {
			return s.DeleteUser(t.Context(), Operator, account.Deletion{ID: u.ID, Erase: true}, event(audit.UserDeleted, u.Target()))
		},
	} {
		u := create(t, s, person(t, "parting-"+name[:2]))
		in, f := visits(t, s, u, "told", "quiet", "told", "told-too")
		other, _ := visits(t, s, create(t, s, person(t, "staying-"+name[:2])), "told")
		if got, err := s.SessionClients(t.Context(), in.ID); err != nil || !slices.Equal(got, []string{"quiet", "told", "told-too"}) {
			t.Errorf("%s: signed in to %v, %v", name, got, err)
		}
		Want(t, name, end(u, in, f), 0)
		if got, want := told(t, s), []outbox.Logout{{User: u.ID, Session: in.ID, Client: "told"}, {User: u.ID, Session: in.ID, Client: "told-too"}}; !slices.Equal(got, want) {
			t.Errorf("%s: told are %+v, want %+v", name, got, want)
		}
		if got, err := s.SessionClients(t.Context(), in.ID); err != nil || len(got) != 0 {
			t.Errorf("%s: signed in to %v still, %v", name, got, err)
		}
		if got, _ := s.SessionClients(t.Context(), other.ID); !slices.Equal(got, []string{"told"}) {
			t.Errorf("%s: another is signed in to %v", name, got)
		}
	}
}

func logoutNotTold(t *testing.T, s *store.Store, w *Witness) {
	u := create(t, s, person(t, "unseen"))
	in, _ := visits(t, s, u, "told")
	Want(t, "its time comes", s.EndSession(t.Context(), Operator, in.Secret, "expired"), 0)
	if got := told(t, s); len(got) != 0 {
		t.Errorf("of one that came to its time are told %+v", got)
	}
	in, _ = visits(t, s, u, "told", "told-too")
	Want(t, "it wants to know no more", func() error {
		c, err := s.Client(t.Context(), "told")
		c.Client.BackchannelLogoutURI = ""
		if err == nil {
			err = updateClient(t, s, Operator, c.Client)
		}
		return err
	}(), 0)
	Want(t, "it is deleted", deleteClient(t, s, Operator, "told-too", 0), 0)
	again := application("told-too", "read")
	again.BackchannelLogoutURI = "https://another.example/logout"
	registerClient(t, s, again)
	Want(t, "signing out", s.EndSession(t.Context(), Operator, in.Secret, "signed-out"), 0)
	if got := told(t, s); len(got) != 0 {
		t.Errorf("told are %+v", got)
	}
	if n := w.Number(t, `SELECT COUNT(*) FROM session_clients WHERE client_id = 'told-too'`); n != 0 {
		t.Errorf("%d sessions know a client that was deleted", n)
	}
}

// What there is no mail server for, and what is deleted with a person, are letters to people
// alone; and neither box is emptied by who empties the other.
func logoutApart(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "apart"))
	in, _ := visits(t, s, u, "told-too")
	Want(t, "signing out", s.EndSession(t.Context(), Operator, in.Secret, "signed-out"), 0)
	Want(t, "a letter", s.Post(t.Context(), outbox.New(u.ID, outbox.DeviceNew, instant, nil)), 0)
	if mail := claim(t, s, 10); len(mail) != 1 || mail[0].Kind != outbox.DeviceNew {
		t.Errorf("claimed: %+v", mail)
	}
	Want(t, "a letter", s.Post(t.Context(), outbox.New(u.ID, outbox.DeviceNew, instant, nil)), 0)
	if n, err := s.DropLetters(t.Context()); n != 1 || err != nil {
		t.Errorf("dropped: %d, %v", n, err)
	}
	if got := told(t, s); len(got) != 1 || got[0].Session != in.ID {
		t.Errorf("told are %+v", got)
	}
}

func logoutRecorded(t *testing.T, s *store.Store, w *Witness) {
	u := create(t, s, person(t, "recorded"))
	in, _ := visits(t, s, u, "told-too")
	Want(t, "signing out", s.EndSession(t.Context(), Operator, in.Secret, "signed-out"), 0)
	claims, err := s.ClaimLetters(t.Context(), outbox.ToClients, 10, time.Minute)
	if err != nil || len(claims) != 1 {
		t.Fatalf("%+v, %v", claims, err)
	}
	c := claims[0]
	recorded := func(what string, want int64, err error) {
		t.Helper()
		Want(t, what, err, 0)
		if n := w.Number(t, `SELECT COUNT(*) FROM audit_events WHERE action = 'client.not-told'`); n != want {
			t.Errorf("%s: there are %d events, want %d", what, n, want)
		}
	}
	e := func() audit.Event { return event(audit.ClientNotTold, "client:told-too") }
	recorded("putting off", 1, s.PostponeLetter(t.Context(), c, instant.Add(time.Hour), e()))
	late := c
	late.Try = 7
	recorded("putting off another's", 1, s.PostponeLetter(t.Context(), late, instant, e()))
	recorded("giving up", 2, s.DeleteLetter(t.Context(), c.ID, e()))
	recorded("giving up what is gone", 2, s.DeleteLetter(t.Context(), c.ID, e()))
}

// Who is signed in to beside the end of the session is told of it, or was not signed in to.
func logoutBeside(t *testing.T, s *store.Store) {
	for round := range 8 {
		u := create(t, s, person(t, "beside-"+string(rune('a'+round))))
		in, _ := visits(t, s, u)
		c := coded(t, s, u, in, "told-too", nil)
		var err error
		parallel(2, func(i int) {
			if i == 0 {
				_, err = redeem(t.Context(), s, c)
				return
			}
			Want(t, "signing out", s.EndSession(context.WithoutCancel(t.Context()), Operator, in.Secret, "signed-out"), 0)
		})
		if list := told(t, s); (err == nil) != (len(list) == 1) {
			t.Errorf("the sign-in was told %v, and its application %+v", err, list)
		}
		if left, _ := s.SessionClients(t.Context(), in.ID); len(left) > 0 {
			t.Errorf("signed in to %v still", left)
		}
	}
}

func logoutForgotten(t *testing.T, s *store.Store, w *Witness) {
	in, _ := visits(t, s, create(t, s, person(t, "forgotten")), "told-too")
	w.Exec(t, fmt.Sprintf(`INSERT INTO session_clients (session, client_id, expires_at) VALUES ('old', 'told-too', %d)`, instant.Add(-25*time.Hour).UnixMicro()))
	if _, err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.Number(t, `SELECT COUNT(*) FROM session_clients WHERE session = 'old'`); n != 0 {
		t.Error("what is long over is kept")
	}
	if left, _ := s.SessionClients(t.Context(), in.ID); len(left) != 1 {
		t.Errorf("signed in to %v", left)
	}
}
