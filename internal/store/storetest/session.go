package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/store"
)

var sessionLife = session.Lifetimes{Absolute: 24 * time.Hour, Idle: time.Hour}

var browser = principal.Origin{Address: "192.0.2.7", UserAgent: "Browser/1"}

// start signs an account in with a browser that brought a session along, or none.
func start(t testing.TB, s *store.Store, u account.User, at time.Time, replaces secret.Hash) (session.Session, grant.Family, grant.RefreshToken) {
	t.Helper()
	in, _ := session.New(at, u.ID, []string{"pwd"}, browser, sessionLife)
	f, token := grant.New(at, u.ID, "client", life)
	f.Session, f.AMR = in.ID, in.AMR
	err := s.SignIn(t.Context(), issue.SignIn{Family: f, Session: &in, Replaces: replaces, Was: Stored}, event(audit.LoginSucceeded, u.Target()))
	if err != nil {
		t.Fatal(err)
	}
	return in, f, token
}

// Sessions is the contract of session.Store, and of what issue.Store does to
// sessions.
func Sessions(t *testing.T, s *store.Store, _ *Witness) {
	t.Run("as written", func(t *testing.T) { sessionAsWritten(t, s) })
	t.Run("replaced", func(t *testing.T) { sessionReplaced(t, s) })
	t.Run("used", func(t *testing.T) { sessionUsed(t, s) })
	t.Run("what ends it", func(t *testing.T) { sessionEnds(t, s) })
	t.Run("touched", func(t *testing.T) { sessionTouched(t, s) })
	t.Run("all but one ended", func(t *testing.T) { othersEnd(t, s) })
	t.Run("listed", func(t *testing.T) { sessionsListed(t, s) })
	t.Run("ended by others", func(t *testing.T) { endedByOthers(t, s) })
	t.Run("cap", func(t *testing.T) { sessionCap(t, s) })
}

func sessionAsWritten(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "browsing"))
	in, f, token := start(t, s, u, instant, secret.Hash{})
	got, err := s.SessionBySecret(t.Context(), in.Secret)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(in) {
		t.Errorf("kept is %+v, %v; want %+v", got, err, in)
	}
	if got := familyOf(t, s, token); got.Session != in.ID || got.ID != f.ID {
		t.Errorf("the family is of session %q, want %q", got.Session, in.ID)
	}
	_, err = s.SessionBySecret(t.Context(), secret.HashOf([]byte("other")))
	Want(t, "an unknown secret", err, fault.NotFound)
}

// A sign-in ends the session that the browser brought along, with its tokens, and
// nobody else's.
func sessionReplaced(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "again"))
	first, _, token := start(t, s, u, instant, secret.Hash{})
	beside, _, besideToken := start(t, s, u, instant, secret.Hash{})
	second, _, _ := start(t, s, u, instant, first.Secret)
	if lives(t, s, first) || familyOf(t, s, token).EndedAt.IsZero() {
		t.Error("the replaced session lives on")
	}
	if !lives(t, s, second) || !lives(t, s, beside) || !familyOf(t, s, besideToken).EndedAt.IsZero() {
		t.Error("another session ended with it")
	}
}

func lives(t testing.TB, s *store.Store, in session.Session) bool {
	t.Helper()
	got, err := s.SessionBySecret(t.Context(), in.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return got.Live(instant)
}

// A turn of a session's family moves the session's idle end, never past its
// absolute one, and is refused once the session is over.
func sessionUsed(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "using"))
	in, f, token := start(t, s, u, instant, secret.Hash{})
	turn := func(after time.Duration) (grant.Rotation, grant.RefreshToken) {
		now := instant.Add(after)
		r, next := f.Rotate(token, now, life, pepper)
		r.Session, r.SessionIdle = in.ID, now.Add(sessionLife.Idle)
		r.IdleUntil = now.Add(48 * time.Hour)
		return r, next
	}
	for _, step := range []struct {
		after time.Duration
		idle  time.Duration
	}{{30 * time.Minute, 90 * time.Minute}, {80 * time.Minute, 140 * time.Minute}} {
		r, next := turn(step.after)
		Want(t, "a turn", s.RotateFamily(t.Context(), r, event(audit.TokenRefreshed, f.Target())), 0)
		f, token = familyOf(t, s, next), next
		if got, _ := s.SessionBySecret(t.Context(), in.Secret); got.UsedAt != r.Now || got.IdleUntil != instant.Add(step.idle) {
			t.Errorf("after %v it may lie idle until %v", step.after, got.IdleUntil.Sub(instant))
		}
	}
	r, _ := turn(140 * time.Minute)
	Want(t, "at the idle end", s.RotateFamily(t.Context(), r, event(audit.TokenRefreshed, f.Target())), fault.Unauthenticated)
	r, _ = turn(24 * time.Hour)
	Want(t, "at the end", s.RotateFamily(t.Context(), r, event(audit.TokenRefreshed, f.Target())), fault.Unauthenticated)
	if got := familyOf(t, s, token); got.Generation != f.Generation {
		t.Error("a turn that was refused was written")
	}
	r, _ = turn(100 * time.Minute)
	r.SessionIdle = instant.Add(25 * time.Hour)
	Want(t, "a turn near the end", s.RotateFamily(t.Context(), r, event(audit.TokenRefreshed, f.Target())), 0)
	if got, _ := s.SessionBySecret(t.Context(), in.Secret); got.IdleUntil != in.ExpiresAt {
		t.Errorf("it may lie idle until %v past its end", got.IdleUntil.Sub(in.ExpiresAt))
	}
}

func sessionEnds(t *testing.T, s *store.Store) {
	for name, end := range map[string]func(u account.User, in session.Session, f grant.Family) error{
		"signed out": func(_ account.User, in session.Session, _ grant.Family) error {
			return s.EndSession(t.Context(), Operator, in.Secret, "signed-out")
		},
		"by id": func(u account.User, in session.Session, _ grant.Family) error {
			return s.EndSignedIn(t.Context(), Operator, u.ID, in.ID, event(audit.SessionEnded, in.Target()))
		},
		"with its family": func(_ account.User, in session.Session, f grant.Family) error {
			return s.EndFamily(t.Context(), issue.Ending{Family: f.ID, Session: in.ID, Why: "reused"}, event(audit.TokenReused, f.Target()))
		},
		"password": func(u account.User, _ session.Session, _ grant.Family) error {
			return s.ChangePassword(t.Context(), Operator, u.ID, Stored, "$new", event(audit.PasswordChanged, u.Target()))
		},
		"disabled": func(u account.User, _ session.Session, _ grant.Family) error {
			u.Status = account.Disabled
			_, err := s.UpdateUser(t.Context(), Operator, u, event(audit.UserDisabled, u.Target()))
			return err
		},
		"deleted": func(u account.User, _ session.Session, _ grant.Family) error {
			return s.DeleteUser(t.Context(), Operator, account.Deletion{ID: u.ID}, event(audit.UserDeleted, u.Target()))
		},
	} {
		u := create(t, s, person(t, "ending-"+name[:2]))
		in, f, token := start(t, s, u, instant, secret.Hash{})
		other, _, _ := start(t, s, create(t, s, person(t, "beside-"+name[:2])), instant, secret.Hash{})
		Want(t, name, end(u, in, f), 0)
		if lives(t, s, in) || familyOf(t, s, token).EndedAt.IsZero() {
			t.Errorf("%s: the session or its family lives on", name)
		}
		if !lives(t, s, other) {
			t.Errorf("%s: another's session ended", name)
		}
		if got, _ := s.SessionBySecret(t.Context(), in.Secret); name == "deleted" && (got.Address != "" || got.UserAgent != "") {
			t.Errorf("where a deleted account was signed in is still known: %q, %q", got.Address, got.UserAgent)
		}
	}
}

func sessionsListed(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "listed"))
	in, _, _ := start(t, s, u, instant.Add(-10*time.Minute), secret.Hash{})
	f, _ := begin(t, s, u, instant.Add(-5*time.Minute))
	start(t, s, u, instant.Add(-2*time.Hour), secret.Hash{}) // idle
	begin(t, s, u, instant.Add(-2*time.Hour))                // idle
	ended, _, _ := start(t, s, u, instant, secret.Hash{})
	Want(t, "ending one", s.EndSignedIn(t.Context(), Operator, u.ID, ended.ID, event(audit.SessionEnded, ended.Target())), 0)
	list, err := s.SignedIn(t.Context(), session.Filter{User: u.ID, Limit: 10}, instant)
	if err != nil || len(list) != 2 || list[0].ID != f.ID || list[1].ID != in.ID {
		t.Fatalf("listed are %+v, %v", list, err)
	}
	if got := list[1]; got.Kind != session.Browser || got.Address != browser.Address || got.UserAgent != browser.UserAgent || !slices.Equal(got.AMR, in.AMR) || got.User != u.ID {
		t.Errorf("the browser is listed as %+v", got)
	}
	if got := list[0]; got.Kind != session.Tokens || got.Client != f.Client {
		t.Errorf("the family is listed as %+v", got)
	}
	page, err := s.SignedIn(t.Context(), session.Filter{User: u.ID, After: f.ID, Limit: 1}, instant)
	if err != nil || len(page) != 1 || page[0].ID != in.ID {
		t.Errorf("the next page is %+v, %v", page, err)
	}
	for _, id := range []string{in.ID, f.ID} {
		if owner, err := s.SignedInUser(t.Context(), id); err != nil || owner != u.ID {
			t.Errorf("%s is %q's, %v", id, owner, err)
		}
	}
	for _, id := range []string{ended.ID, "unknown", "a\x00b", "\xff"} {
		_, err := s.SignedInUser(t.Context(), id)
		Want(t, fmt.Sprintf("%q", id), err, fault.NotFound)
	}
}

// Nobody ends what is another's by naming himself, or what belongs to a session
// apart from it.
func endedByOthers(t *testing.T, s *store.Store) {
	ann, bob := create(t, s, person(t, "ann-ends")), create(t, s, person(t, "bob-ends"))
	in, f, _ := start(t, s, ann, instant, secret.Hash{})
	me := principal.Principal{Kind: principal.User, ID: bob.ID}
	Want(t, "as one's own", s.EndSignedIn(t.Context(), me, bob.ID, in.ID, event(audit.SessionEnded, in.Target())), fault.NotFound)
	Want(t, "a session's family", s.EndSignedIn(t.Context(), Operator, ann.ID, f.ID, event(audit.SessionEnded, in.Target())), fault.NotFound)
	Want(t, "unknown", s.EndSignedIn(t.Context(), Operator, ann.ID, "unknown", event(audit.SessionEnded, in.Target())), fault.NotFound)
	if !lives(t, s, in) {
		t.Error("the session ended")
	}
	Want(t, "one's own", s.EndSignedIn(t.Context(), principal.Principal{Kind: principal.User, ID: ann.ID}, ann.ID, in.ID, event(audit.SessionEnded, in.Target())), 0)
	Want(t, "again", s.EndSignedIn(t.Context(), Operator, ann.ID, in.ID, event(audit.SessionEnded, in.Target())), fault.NotFound)
}

func sessionCap(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "many"))
	first, _, _ := start(t, s, u, instant.Add(-time.Minute), secret.Hash{})
	second, _, _ := start(t, s, u, instant.Add(-time.Second), secret.Hash{})
	for range 99 {
		start(t, s, u, instant, secret.Hash{})
	}
	if lives(t, s, first) || !lives(t, s, second) {
		t.Error("the oldest session did not make way, or more than it did")
	}
}

// A use moves the idle end, never past the absolute one, and revives nothing.
func sessionTouched(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "touching"))
	in, _, _ := start(t, s, u, instant, secret.Hash{})
	touch := func(after time.Duration) error {
		now := instant.Add(after)
		return s.TouchSession(t.Context(), in.ID, now, now.Add(sessionLife.Idle))
	}
	for _, after := range []time.Duration{50 * time.Minute, 100 * time.Minute} {
		Want(t, "a use", touch(after), 0)
		if got, _ := s.SessionBySecret(t.Context(), in.Secret); got.UsedAt != instant.Add(after) || got.IdleUntil != instant.Add(after+sessionLife.Idle) {
			t.Errorf("after %v it was used at %v and may lie idle until %v", after, got.UsedAt, got.IdleUntil)
		}
	}
	Want(t, "at the idle end", touch(160*time.Minute), fault.Unauthenticated)
	Want(t, "at the end", touch(24*time.Hour), fault.Unauthenticated)
	Want(t, "an unknown one", s.TouchSession(t.Context(), "unknown", instant, instant), fault.Unauthenticated)
	late := in.ExpiresAt.Add(-time.Minute)
	for at := 150 * time.Minute; instant.Add(at).Before(late); at += 50 * time.Minute {
		Want(t, "a use", touch(at), 0)
	}
	Want(t, "a use near the end", s.TouchSession(t.Context(), in.ID, late, late.Add(sessionLife.Idle)), 0)
	if got, _ := s.SessionBySecret(t.Context(), in.Secret); got.IdleUntil != in.ExpiresAt {
		t.Errorf("it may lie idle until %v past its end", got.IdleUntil.Sub(in.ExpiresAt))
	}
	Want(t, "ending it", s.EndSession(t.Context(), Operator, in.Secret, "signed-out"), 0)
	Want(t, "after that", touch(150*time.Minute), fault.Unauthenticated)
}

// Whoever ends all but one thing ends his own: browsers, with their families, and
// apps.
func othersEnd(t *testing.T, s *store.Store) {
	u, bob := create(t, s, person(t, "many-things")), create(t, s, person(t, "bystander"))
	here, _, hereToken := start(t, s, u, instant, secret.Hash{})
	there, _, thereToken := start(t, s, u, instant, secret.Hash{})
	_, app := begin(t, s, u, instant)
	his, _, _ := start(t, s, bob, instant, secret.Hash{})
	_, hisApp := begin(t, s, bob, instant)
	Want(t, "ending the others", s.EndOthers(t.Context(), principal.Principal{Kind: principal.User, ID: u.ID}, here.ID), 0)
	if !lives(t, s, here) || !familyOf(t, s, hereToken).EndedAt.IsZero() {
		t.Error("the one to keep has ended")
	}
	if lives(t, s, there) || familyOf(t, s, thereToken).EndedAt.IsZero() || familyOf(t, s, app).EndedAt.IsZero() {
		t.Error("another lives on")
	}
	if !lives(t, s, his) || !familyOf(t, s, hisApp).EndedAt.IsZero() {
		t.Error("another's has ended")
	}
}
