package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
)

// life is that of the families here.
var life = grant.Lifetimes{Absolute: 24 * time.Hour, Idle: time.Hour, Grace: 10 * time.Second}

// begin signs an account in at a time.
func begin(t testing.TB, s *store.Store, u account.User, at time.Time) (grant.Family, grant.RefreshToken) {
	t.Helper()
	f, token := grant.New(at, u.ID, "client", life)
	f.Scope, f.Roles, f.Audience, f.AMR = []string{"a:read", "a:write"}, []string{"reader", "writer"}, "https://api.example", []string{"pwd", "otp"}
	if err := s.SignIn(t.Context(), issue.SignIn{Family: f, Was: Stored}, event(audit.LoginSucceeded, u.Target()), event(audit.TokenIssued, f.Target())); err != nil {
		t.Fatal(err)
	}
	return f, token
}

// Grants is the contract of issue.Store.
func Grants(t *testing.T, s *store.Store, w *Witness) {
	t.Run("as written", func(t *testing.T) { familyAsWritten(t, s) })
	t.Run("sign in", func(t *testing.T) { signInOnlyAs(t, s) })
	t.Run("rotation", func(t *testing.T) { rotation(t, s) })
	t.Run("rotation refused", func(t *testing.T) { rotationRefused(t, s, w) })
	t.Run("one of many", func(t *testing.T) { oneOfMany(t, s, w) })
	t.Run("together", func(t *testing.T) { together(t, s, w) })
	t.Run("end", func(t *testing.T) { familyEnds(t, s, w) })
	t.Run("what ends families", func(t *testing.T) { endings(t, s) })
	t.Run("cap", func(t *testing.T) { familyCap(t, s) })
}

func familyAsWritten(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "family"))
	f, token := begin(t, s, u, instant)
	got := familyOf(t, s, token)
	if !reflect.DeepEqual(got, f) {
		t.Errorf("kept is %+v, want %+v", got, f)
	}
	if u, err := s.User(t.Context(), u.ID); err != nil || u.SignedInAt != instant || u.Version != 1 {
		t.Errorf("the account says %v at version %d, %v", u.SignedInAt, u.Version, err)
	}
	_, err := s.FamilyByHandle(t.Context(), grant.NewRefreshToken().Handle())
	Want(t, "an unknown handle", err, fault.NotFound)
	_, err = s.FamilyByHandle(t.Context(), token.Secret())
	Want(t, "the digest of the secret as a handle", err, fault.NotFound)
	f, token = grant.New(instant, u.ID, "client", life) // an empty scope stays empty
	if err := s.SignIn(t.Context(), issue.SignIn{Family: f, Was: Stored}, event(audit.TokenIssued, f.Target())); err != nil {
		t.Fatal(err)
	}
	if got := familyOf(t, s, token); len(got.Scope)+len(got.AMR) != 0 || got.Roles != nil {
		t.Errorf("scope %q, amr %q, roles %q", got.Scope, got.AMR, got.Roles)
	}
	f, token = grant.New(instant, u.ID, "client", life) // no roles are not all
	f.Roles = []string{}
	Want(t, "signing in with no roles", s.SignIn(t.Context(), issue.SignIn{Family: f, Was: Stored}, event(audit.TokenIssued, f.Target())), 0)
	if got := familyOf(t, s, token); got.Roles == nil || len(got.Roles) != 0 {
		t.Errorf("roles %q", got.Roles)
	}
}

func familyOf(t testing.TB, s *store.Store, token grant.RefreshToken) grant.Family {
	t.Helper()
	f, err := s.FamilyByHandle(t.Context(), token.Handle())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A family begins only for the account whose password was verified, as it was.
func signInOnlyAs(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "verified"))
	off := person(t, "switched-off")
	off.Status = account.Disabled
	create(t, s, off)
	for name, in := range map[string]struct{ user, was string }{
		"another hash": {u.ID, "$2a$04$another"}, "no hash": {u.ID, ""}, "disabled": {off.ID, Stored}, "nobody": {"nobody", Stored},
	} {
		f, token := grant.New(instant, in.user, "client", life)
		err := s.SignIn(t.Context(), issue.SignIn{Family: f, Was: in.was, Rehash: "$new"}, event(audit.LoginSucceeded, name))
		Want(t, name, err, fault.Unauthenticated)
		_, err = s.FamilyByHandle(t.Context(), token.Handle())
		Want(t, name+": its family", err, fault.NotFound)
	}
	f, _ := grant.New(instant, u.ID, "client", life)
	Want(t, "with a new hash", s.SignIn(t.Context(), issue.SignIn{Family: f, Was: Stored, Rehash: "$new"}, event(audit.LoginSucceeded, u.Target())), 0)
	if c, err := s.CredentialOf(t.Context(), account.Login{Username: "verified"}); err != nil || c.Password != "$new" {
		t.Errorf("the hash is %q, %v", c.Password, err)
	}
	f, _ = grant.New(instant, u.ID, "client", life)
	Want(t, "with the old hash", s.SignIn(t.Context(), issue.SignIn{Family: f, Was: Stored}, event(audit.LoginSucceeded, u.Target())), fault.Unauthenticated)
}

var pepper = secret.Pepper{Version: 3, Key: make([]byte, 32)}

// refreshed is the event of a turn, as a person's request has it.
func refreshed(target string) audit.Event {
	return event(audit.TokenRefreshed, target).About("somebody", map[string]string{"address": "192.0.2.7"})
}

func rotation(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "rotating"))
	f, token := begin(t, s, u, instant)
	for turn := range 4 {
		l := life
		if turn == 2 {
			l.Grace = 0
		}
		r, next := f.Rotate(token, instant.Add(time.Duration(turn)*time.Minute), l, pepper)
		Want(t, "the turn", s.RotateFamily(t.Context(), r, refreshed(f.Target())), 0)
		got := familyOf(t, s, next)
		f.Secret, f.Previous, f.Generation, f.Grace = next.Secret(), token.Secret(), f.Generation+1, r.Grace
		f.UsedAt, f.IdleUntil = r.Now, r.IdleUntil
		if !reflect.DeepEqual(got, f) {
			t.Fatalf("turn %d: kept is %+v, want %+v", turn, got, f)
		}
		token = next
	}
}

// A turn is refused unless the family lives and its secret is the one that was
// judged; it leaves nothing.
func rotationRefused(t *testing.T, s *store.Store, w *Witness) {
	u := create(t, s, person(t, "refused"))
	f, token := begin(t, s, u, instant)
	r, _ := f.Rotate(token, instant, life, pepper)
	before := w.Dump(t)
	other := r
	other.From = secret.HashOf([]byte("another"))
	unknown := r
	unknown.Family = "unknown"
	late := r
	late.Now = f.IdleUntil
	late.IdleUntil = f.ExpiresAt
	expired := r
	expired.Now = f.ExpiresAt
	for name, r := range map[string]grant.Rotation{"another secret": other, "an unknown family": unknown, "at the idle end": late, "at the end": expired} {
		Want(t, name, s.RotateFamily(t.Context(), r, refreshed(name)), fault.Conflict)
	}
	if left := w.Dump(t).Since(before); len(left) > 0 {
		t.Errorf("refused turns left %q", left)
	}
	Want(t, "the end", s.EndFamily(t.Context(), issue.Ending{Family: f.ID, Why: "test"}, event(audit.TokenRevoked, f.Target())), 0)
	Want(t, "ended", s.RotateFamily(t.Context(), r, refreshed("ended")), fault.Conflict)
	r.Now, r.IdleUntil = instant.Add(-time.Hour), instant // a clock that was set back
	Want(t, "ended, earlier", s.RotateFamily(t.Context(), r, refreshed("ended")), fault.Conflict)
}

// Of many turns from one secret one is made, with one event.
func oneOfMany(t *testing.T, s *store.Store, w *Witness) {
	u := create(t, s, person(t, "contended"))
	for turns := int64(1); turns <= 3; turns++ {
		f, token := begin(t, s, u, instant)
		before := w.events(t)
		var won atomic.Int64
		var winner atomic.Pointer[grant.Rotation]
		parallel(50, func(int) {
			r, _ := f.Rotate(token, instant, life, pepper)
			e := event(audit.TokenRefreshed, f.Target()).About(u.ID, map[string]string{"username": u.Username})
			err := s.RotateFamily(context.WithoutCancel(t.Context()), r, e)
			if err == nil {
				won.Add(1)
				winner.Store(&r)
			} else if fault.KindOf(err) != fault.Conflict {
				t.Errorf("a turn that was late: %v", err)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("%d turns were made of one secret", won.Load())
		}
		if got := familyOf(t, s, token); got.Secret != winner.Load().To || got.Generation != 2 {
			t.Errorf("the family is in generation %d, and its secret is not the winner's", got.Generation)
		}
		if n := w.events(t) - before; n != 1 {
			t.Errorf("%d events were written about one turn", n)
		}
		if n := w.Dump(t).Parts(t, u.ID); n != turns {
			t.Errorf("after %d turns there are %d private parts about the account", turns, n)
		}
	}
}

// Turns that come together are made or refused each for itself: beside one that no
// database can take, and one whose caller has gone.
func together(t *testing.T, s *store.Store, w *Witness) {
	u := create(t, s, person(t, "together"))
	const n = 50 // fewer than there may be of one account
	families, tokens := make([]grant.Family, n), make([]grant.RefreshToken, n)
	for i := range n {
		families[i], tokens[i] = begin(t, s, u, instant)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	before := w.events(t)
	var nexts [n]grant.RefreshToken
	parallel(n+2, func(i int) {
		switch i {
		case n:
			r, _ := families[0].Rotate(tokens[0], instant, life, pepper)
			r.Family = "\x00"
			if err := s.RotateFamily(t.Context(), r, refreshed("family:none")); err == nil {
				t.Error("a turn was made of no family")
			}
			return
		case n + 1:
			r, _ := families[0].Rotate(tokens[0], instant, life, pepper)
			if err := s.RotateFamily(gone, r, refreshed("family:gone")); err == nil {
				t.Error("a turn was made for somebody who had gone")
			}
			return
		}
		r, next := families[i].Rotate(tokens[i], instant, life, pepper)
		nexts[i] = next
		if err := s.RotateFamily(t.Context(), r, refreshed(families[i].Target())); err != nil {
			t.Errorf("turn %d: %v", i, err)
		}
	})
	for i := range n {
		if got := familyOf(t, s, tokens[i]); got.Secret != nexts[i].Secret() || got.Generation != 2 {
			t.Errorf("family %d is in generation %d, and its secret is not that of its turn", i, got.Generation)
		}
	}
	if got := w.events(t) - before; got != n {
		t.Errorf("%d events were written about %d turns", got, n)
	}
}

func familyEnds(t *testing.T, s *store.Store, w *Witness) {
	u := create(t, s, person(t, "ending"))
	f, token := begin(t, s, u, instant)
	r, _ := f.Rotate(token, instant, life, pepper)
	Want(t, "a turn with a grace", s.RotateFamily(t.Context(), r, event(audit.TokenRefreshed, f.Target())), 0)
	before, seq := w.events(t), head(t, s)
	for _, why := range []string{"first", "second"} {
		Want(t, why, s.EndFamily(t.Context(), issue.Ending{Family: f.ID, Why: why}, event(audit.TokenRevoked, f.Target())), 0)
	}
	Want(t, "an unknown one", s.EndFamily(t.Context(), issue.Ending{Family: "unknown", Why: "why"}, event(audit.TokenRevoked, "family:unknown")), 0)
	got := familyOf(t, s, token)
	if got.EndedAt != instant || got.EndedWhy != "first" || got.Grace.Salt != nil {
		t.Errorf("it ended at %v: %q, with the salt %x", got.EndedAt, got.EndedWhy, got.Grace.Salt)
	}
	if n := w.events(t) - before; n != 1 {
		t.Errorf("%d events were written about one end", n)
	}
	if told := topics(t, s, seq); !slices.Equal(told, []string{"family-ended " + f.ID}) {
		t.Errorf("told was %q", told)
	}
}

// endings are the changes of an account that end what was signed in with it.
func endings(t *testing.T, s *store.Store) {
	by := principal.Principal{Kind: principal.User}
	for why, end := range map[string]func(u account.User) error{
		"password-changed": func(u account.User) error {
			by.ID = u.ID
			return s.ChangePassword(t.Context(), by, u.ID, Stored, "$new", event(audit.PasswordChanged, u.Target()))
		},
		"disabled": func(u account.User) error {
			u.Status = account.Disabled
			_, err := s.UpdateUser(t.Context(), Operator, u, event(audit.UserDisabled, u.Target()))
			return err
		},
		"deleted": func(u account.User) error {
			return s.DeleteUser(t.Context(), Operator, account.Deletion{ID: u.ID}, event(audit.UserDeleted, u.Target()))
		},
	} {
		u, bystander := create(t, s, person(t, why)), create(t, s, person(t, why+"-not"))
		first, token1 := begin(t, s, u, instant)
		second, token2 := begin(t, s, u, instant)
		_, other := begin(t, s, bystander, instant)
		seq := head(t, s)
		Want(t, why, end(u), 0)
		for _, token := range []grant.RefreshToken{token1, token2} {
			if f := familyOf(t, s, token); f.EndedAt != instant || f.EndedWhy != why {
				t.Errorf("%s: the family ended at %v: %q", why, f.EndedAt, f.EndedWhy)
			}
		}
		if f := familyOf(t, s, other); !f.EndedAt.IsZero() {
			t.Errorf("%s: the family of another ended: %q", why, f.EndedWhy)
		}
		told := topics(t, s, seq)
		for _, want := range []string{"family-ended " + first.ID, "family-ended " + second.ID, "account " + u.ID} {
			if !slices.Contains(told, want) {
				t.Errorf("%s: %q was not told, but %q", why, want, told)
			}
		}
	}
	u := create(t, s, person(t, "changed-meanwhile"))
	by.ID = u.ID
	_, token := begin(t, s, u, instant)
	Want(t, "a password that is not the present one", s.ChangePassword(t.Context(), by, u.ID, "$other", "$new", event(audit.PasswordChanged, u.Target())), fault.Stale)
	if f := familyOf(t, s, token); !f.EndedAt.IsZero() {
		t.Errorf("a password that was not changed ended the family: %q", f.EndedWhy)
	}
}

// At most a hundred families of one user and client live; the oldest make way
// (RT-018).
func familyCap(t *testing.T, s *store.Store) {
	const most = 100
	u := create(t, s, person(t, "busy"))
	tokens := make([]grant.RefreshToken, most+5)
	for i := range tokens {
		_, tokens[i] = begin(t, s, u, instant.Add(time.Duration(i)*time.Millisecond))
	}
	for i, token := range tokens {
		f := familyOf(t, s, token)
		if gone := i < len(tokens)-most; gone != (f.EndedWhy == "displaced") || gone == f.EndedAt.IsZero() {
			t.Errorf("family %d of %d ended at %v: %q", i, len(tokens), f.EndedAt, f.EndedWhy)
		}
	}
	parallel(10, func(i int) { begin(t, s, u, instant.Add(time.Second+time.Duration(i))) })
	live := 0
	for _, token := range tokens {
		if familyOf(t, s, token).EndedAt.IsZero() {
			live++
		}
	}
	if live != most-10 {
		t.Errorf("after ten more, %d of the first ones live, want %d", live, most-10)
	}
}

// events returns how many events there are.
func (w *Witness) events(t testing.TB) int64 {
	t.Helper()
	return w.Number(t, `SELECT COUNT(*) FROM audit_events`)
}

// head numbers all changes and returns the last number.
func head(t testing.TB, s *store.Store) int64 {
	t.Helper()
	last, err := s.NumberChanges(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func changesAfter(t testing.TB, s *store.Store, seq int64) (all []feed.Change) {
	t.Helper()
	head(t, s)
	all, err := s.ChangesAfter(t.Context(), seq, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// topics returns the topics and keys of the changes after a number, sorted.
func topics(t testing.TB, s *store.Store, seq int64) (told []string) {
	t.Helper()
	for _, c := range changesAfter(t, s, seq) {
		told = append(told, fmt.Sprintf("%s %s", c.Topic, c.Key))
	}
	slices.Sort(told)
	return told
}
