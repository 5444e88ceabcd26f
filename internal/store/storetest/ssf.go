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
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/ssf"
	"github.com/doorward/doorward/internal/store"
)

// Streams is the contract of what is kept of streams, and of what comes on them, where time
// stands still.
func Streams(t *testing.T, s *store.Store, w *Witness) {
	for _, name := range []string{"told", "told-too", "quiet"} {
		registerClient(t, s, application(name, "read"))
	}
	t.Run("as written", func(t *testing.T) { streamAsWritten(t, s) })
	t.Run("bounded", func(t *testing.T) { streamBounded(t, s, w) })
	t.Run("whatever ends a session", func(t *testing.T) { streamTold(t, s) })
	t.Run("a password and roles", func(t *testing.T) { streamChanges(t, s) })
	t.Run("taken by its receiver alone", func(t *testing.T) { streamTaken(t, s) })
	t.Run("claimed by one", func(t *testing.T) { streamClaimed(t, s) })
	t.Run("run full", func(t *testing.T) { streamFull(t, s, w) })
	t.Run("gone with its client", func(t *testing.T) { streamGone(t, s, w) })
	t.Run("forgotten in time", func(t *testing.T) { streamForgotten(t, s, w) })
}

// streamFor returns a stream with every field set.
func streamFor(client string) ssf.Stream {
	return ssf.Stream{
		ID: id.New(instant), Client: client, Status: ssf.Enabled, Reason: "“why”", Method: ssf.Push, Endpoint: "https://receiver.example/events?a=1", Authorization: []byte{0, 1, 255},
		Requested: append(ssf.Supported(), "urn:of:others"), Description: "Ann’s", All: true, StatusAt: instant, CreatedAt: instant, UpdatedAt: instant, Version: 1,
	}
}

func open(t testing.TB, s *store.Store, client string, change func(*ssf.Stream)) ssf.Stream {
	t.Helper()
	st := streamFor(client)
	if change != nil {
		change(&st)
	}
	Want(t, "opening a stream", s.CreateStream(t.Context(), Operator, st, event(audit.StreamCreated, st.Target())), 0)
	return st
}

func shut(t testing.TB, s *store.Store, st ssf.Stream) {
	t.Helper()
	st.Version = 0
	Want(t, "deleting a stream", s.DeleteStream(t.Context(), Operator, st, event(audit.StreamDeleted, st.Target())), 0)
}

func streamAsWritten(t *testing.T, s *store.Store) {
	same := func(got, want ssf.Stream) bool { return fmt.Sprintf("%+v", got) == fmt.Sprintf("%+v", want) }
	st := open(t, s, "told", nil)
	defer shut(t, s, st)
	if got, err := s.Stream(t.Context(), "told", st.ID); err != nil || !same(got, st) {
		t.Errorf("%+v, %v; want %+v", got, err, st)
	}
	for _, other := range []string{"told-too", "nosuch", "\x00"} {
		_, err := s.Stream(t.Context(), "told-too", st.ID)
		Want(t, "another's", err, fault.NotFound)
		_, err = s.Stream(t.Context(), "", other)
		Want(t, "one that is not there", err, fault.NotFound)
	}
	if list, err := s.Streams(t.Context(), "", "", 10); err != nil || len(list) != 1 || !same(list[0], st) {
		t.Errorf("all are %+v, %v", list, err)
	}
	if list, err := s.Streams(t.Context(), "told-too", "", 10); err != nil || len(list) != 0 {
		t.Errorf("another's are %+v, %v", list, err)
	}
	changed := st
	changed.Status, changed.Stopped, changed.Method, changed.Endpoint, changed.Authorization, changed.Requested, changed.Description = ssf.Paused, true, ssf.Poll, "", nil, []string{}, ""
	got, err := s.UpdateStream(t.Context(), Operator, changed, nil, event(audit.StreamUpdated, st.Target()))
	changed.Version = 2
	if kept, _ := s.Stream(t.Context(), "", st.ID); err != nil || !same(got, changed) || !same(kept, changed) {
		t.Errorf("%+v, kept as %+v, %v; want %+v", got, kept, err, changed)
	}
	_, err = s.UpdateStream(t.Context(), Operator, st, nil, event(audit.StreamUpdated, st.Target()))
	Want(t, "changing what was changed", err, fault.Stale)
	Want(t, "deleting what was changed", s.DeleteStream(t.Context(), Operator, st, event(audit.StreamDeleted, st.Target())), fault.Stale)

	keys := [][32]byte{ssf.Identifier{ID: "a"}.Key(), ssf.Identifier{ID: "b"}.Key()}
	for _, wanted := range []bool{false, false, true, true} { // it tells of all: who is taken off is listed
		Want(t, "a subject", s.WantSubject(t.Context(), st, keys[0], wanted, event(audit.StreamSubjectChanged, st.Target())), 0)
		if got, err := s.Listed(t.Context(), st.ID, keys...); err != nil || !slices.Equal(got, []bool{!wanted, false}) {
			t.Errorf("listed are %v, %v after %t", got, err, wanted)
		}
	}
	absent := st
	absent.ID = "nosuch"
	Want(t, "a subject of none", s.WantSubject(t.Context(), absent, keys[0], false, event(audit.StreamSubjectChanged, "stream:nosuch")), fault.NotFound)
}

func streamBounded(t *testing.T, s *store.Store, w *Witness) {
	var all []ssf.Stream
	for range ssf.MostStreams {
		all = append(all, open(t, s, "told", nil))
	}
	more := streamFor("told")
	Want(t, "one more", s.CreateStream(t.Context(), Operator, more, event(audit.StreamCreated, more.Target())), fault.Conflict)
	for _, st := range all {
		shut(t, s, st)
	}
	more.Client = "nosuch"
	Want(t, "of no client", s.CreateStream(t.Context(), Operator, more, event(audit.StreamCreated, more.Target())), fault.Denied)

	st := open(t, s, "told", func(st *ssf.Stream) { st.All = false })
	defer shut(t, s, st)
	w.Exec(t, fmt.Sprintf(`UPDATE ssf_streams SET subjects = %d WHERE id = '%s'`, ssf.MostSubjects-1, st.ID))
	want := func(what string, name string, wanted bool, kind fault.Kind) {
		t.Helper()
		Want(t, what, s.WantSubject(t.Context(), st, ssf.Identifier{ID: name}.Key(), wanted, event(audit.StreamSubjectChanged, st.Target())), kind)
	}
	want("the last", "a", true, 0)
	want("the last again", "a", true, 0)
	want("past the last", "b", true, fault.Denied)
	want("to make room", "a", false, 0)
	want("after that", "b", true, 0)

	ev := ssf.Event{ID: id.New(instant), Stream: st.ID, Kind: ssf.Verification, At: instant, Subject: ssf.AboutItself(st.ID)}
	Want(t, "a verification", s.VerifyStream(t.Context(), st, ev, event(audit.StreamVerified, st.Target())), 0)
	ev.ID = id.New(instant)
	Want(t, "another at once", s.VerifyStream(t.Context(), st, ev, event(audit.StreamVerified, st.Target())), fault.Limited)
	if list, err := s.WaitingEvents(t.Context(), st.ID, 10); err != nil || len(list) != 1 {
		t.Errorf("%+v wait, %v", list, err)
	}
}

// heard takes what is new on a stream.
func heard(t testing.TB, s *store.Store, st ssf.Stream) []ssf.Event {
	t.Helper()
	list, err := s.NewEvents(t.Context(), st.ID, 100)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range list {
		ids = append(ids, e.ID)
	}
	Want(t, "taking", s.TakeEvents(t.Context(), st.ID, ids), 0)
	return list
}

func streamTold(t *testing.T, s *store.Store) {
	st, too := open(t, s, "told", nil), open(t, s, "told-too", func(st *ssf.Stream) { st.Status = ssf.Disabled })
	defer shut(t, s, st)
	defer shut(t, s, too)
	for name, tt := range map[string]struct {
		by  func(u account.User) principal.Principal
		end func(u account.User, by principal.Principal, in [32]byte, session string, f grant.Family) error
		who ssf.Initiator
	}{
		"signed out": {ofUser, func(_ account.User, by principal.Principal, in [32]byte, _ string, _ grant.Family) error {
			return s.EndSession(t.Context(), by, in, "signed-out")
		}, ssf.ByUser},
		"by an operator": {nil, func(u account.User, by principal.Principal, _ [32]byte, session string, _ grant.Family) error {
			return s.EndSignedIn(t.Context(), by, u.ID, session, event(audit.SessionEnded, "session:"+session))
		}, ssf.ByAdmin},
		"reused": {nil, func(_ account.User, _ principal.Principal, _ [32]byte, session string, f grant.Family) error {
			return s.EndFamily(t.Context(), issue.Ending{Family: f.ID, Session: session, Why: "reused"}, event(audit.TokenReused, f.Target()))
		}, ssf.ByPolicy},
		"disabled": {nil, func(u account.User, _ principal.Principal, _ [32]byte, _ string, _ grant.Family) error {
			disableUser(t, s, u)
			return nil
		}, ssf.ByAdmin},
		"erased": {nil, func(u account.User, by principal.Principal, _ [32]byte, _ string, _ grant.Family) error {
			return s.DeleteUser(t.Context(), by, account.Deletion{ID: u.ID, Erase: true}, event(audit.UserDeleted, u.Target()))
		}, ssf.ByAdmin},
	} {
		u := create(t, s, person(t, "hears-"+strings.ReplaceAll(name, " ", "")))
		in, f := visits(t, s, u, "told", "told-too", "quiet")
		by := Operator
		if tt.by != nil {
			by = tt.by(u)
		}
		Want(t, name, tt.end(u, by, in.Secret, in.ID, f), 0)
		got := heard(t, s, st)
		if len(got) != 1 || got[0].Kind != ssf.SessionRevoked || got[0].User != u.ID || got[0].Facts.Session != in.ID || got[0].Facts.By != tt.who || got[0].Facts.Reason == "" || got[0].Cause == "" || !got[0].At.Equal(instant) {
			t.Errorf("%s: it hears %+v", name, got)
		}
		if list := heard(t, s, too); len(list) > 0 {
			t.Errorf("%s: a stream that is disabled hears %+v", name, list)
		}
	}
	u := create(t, s, person(t, "hears-in-time"))
	in, _ := visits(t, s, u, "told")
	Want(t, "its time comes", s.EndSession(t.Context(), Operator, in.Secret, "expired"), 0)
	// A family that is of no session is one itself, for its client.
	for _, why := range []string{"expired", "revoked"} {
		f, _ := grant.New(instant, u.ID, "told", life)
		Want(t, "a sign-in without a browser", s.SignIn(t.Context(), issue.SignIn{Family: f, Was: Stored}, event(audit.LoginSucceeded, u.Target())), 0)
		Want(t, "its end", s.EndFamily(t.Context(), issue.Ending{Family: f.ID, Why: why}, event(audit.TokenRevoked, f.Target())), 0)
		if got := heard(t, s, st); (len(got) == 1) != (why == "revoked") || len(got) == 1 && got[0].Facts.Session != f.ID {
			t.Errorf("%s: it hears %+v", why, got)
		}
	}
}

func ofUser(u account.User) principal.Principal {
	return principal.Principal{Kind: principal.User, ID: u.ID}
}

func streamChanges(t *testing.T, s *store.Store) {
	st := open(t, s, "told", nil)
	defer shut(t, s, st)
	deaf := open(t, s, "told", func(st *ssf.Stream) { st.Requested = []string{"urn:of:others"} })
	defer shut(t, s, deaf)
	u, stranger := create(t, s, person(t, "changes")), create(t, s, person(t, "stranger"))
	agree(t, s, grant.AgreedTo{User: u.ID, Client: "told", Audience: "a", At: instant})
	change := func(u account.User, was, next string) error {
		return s.ChangePassword(t.Context(), ofUser(u), u.ID, was, next, event(audit.PasswordChanged, u.Target()))
	}
	Want(t, "a stranger's password", change(stranger, Stored, "$new"), 0)
	Want(t, "a password that is another", change(u, "$other", "$new"), fault.Stale)
	if got := heard(t, s, st); len(got) != 0 {
		t.Errorf("it hears %+v", got)
	}
	Want(t, "his password", change(u, Stored, "$new"), 0)
	if got := heard(t, s, st); len(got) != 1 || got[0].Kind != ssf.CredentialChange || got[0].Facts.Change != ssf.Update || got[0].Facts.By != ssf.ByUser {
		t.Errorf("of the password it hears %+v", got)
	}
	g := rbac.Grant{ID: id.New(instant), Principal: u.ID, Role: "editor", At: instant}
	for _, who := range []account.User{u, stranger} {
		g.ID, g.Principal = id.New(instant), who.ID
		Want(t, "giving a role", s.CreateGrant(t.Context(), Operator, g, event(audit.GrantCreated, who.Target())), 0)
	}
	if got := heard(t, s, st); len(got) != 1 || got[0].Kind != ssf.TokenClaimsChange || !slices.Equal(got[0].Facts.Roles, []string{"editor", "viewer"}) || got[0].User != u.ID {
		t.Errorf("of a role that is given it hears %+v", got)
	}
	Want(t, "taking it", s.DeleteGrant(t.Context(), Operator, rbac.Grant{Principal: u.ID, Role: "editor"}, event(audit.GrantRevoked, u.Target())), 0)
	if got := heard(t, s, st); len(got) != 1 || len(got[0].Facts.Roles) != 0 {
		t.Errorf("of a role that is taken it hears %+v", got)
	}
	Want(t, "withdrawing", s.Withdraw(t.Context(), u.ID, "told", event(audit.ConsentWithdrawn, "client:told")), 0)
	heard(t, s, st)
	Want(t, "his next password", change(u, "$new", "$next"), 0)
	if got := heard(t, s, st); len(got) != 0 {
		t.Errorf("of who is a stranger again it hears %+v", got)
	}
	if got := heard(t, s, deaf); len(got) != 0 {
		t.Errorf("a stream that asked for nothing of it hears %+v", got)
	}
}

func streamTaken(t *testing.T, s *store.Store) {
	st, other := open(t, s, "told", nil), open(t, s, "told", nil)
	defer shut(t, s, st)
	defer shut(t, s, other)
	u := create(t, s, person(t, "taken"))
	in, _ := visits(t, s, u, "told")
	Want(t, "signing out", s.EndSession(t.Context(), Operator, in.Secret, "signed-out"), 0)
	fresh, err := s.NewEvents(t.Context(), st.ID, 10)
	theirs, _ := s.NewEvents(t.Context(), other.ID, 10)
	if err != nil || len(fresh) != 1 || len(theirs) != 1 || fresh[0].ID == theirs[0].ID || fresh[0].Cause == theirs[0].Cause {
		t.Fatalf("%+v and %+v, %v", fresh, theirs, err)
	}
	waiting := func(st ssf.Stream) []ssf.Event {
		t.Helper()
		list, err := s.WaitingEvents(t.Context(), st.ID, 10)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := waiting(st); len(list) != 0 {
		t.Errorf("what nobody has looked at is sent: %+v", list)
	}
	subject, _ := ssf.About(ssf.Identifier{Format: ssf.Opaque, ID: "x"}, "")
	Want(t, "settling", s.SettleEvents(t.Context(), map[string]string{fresh[0].ID: subject, theirs[0].ID: subject}, nil), 0)
	Want(t, "acknowledging another's", s.TakeEvents(t.Context(), other.ID, []string{fresh[0].ID, "\x00", "nosuch"}), 0)
	if list := waiting(st); len(list) != 1 || list[0].Subject != subject || list[0].Facts.Session != in.ID {
		t.Errorf("%+v waits", list)
	}
	paused := st
	paused.Status = ssf.Paused
	tells := ssf.Updated(st.ID, ssf.Paused, "why", instant)
	_, err = s.UpdateStream(t.Context(), Operator, paused, &tells, event(audit.StreamUpdated, st.Target()))
	Want(t, "pausing", err, 0)
	if list := waiting(st); len(list) != 1 || list[0].Kind != ssf.StreamUpdated || list[0].Facts.Reason != "why" {
		t.Errorf("%+v is sent while it is paused", list)
	}
	disabled := paused
	disabled.Status, disabled.Version = ssf.Disabled, 2
	_, err = s.UpdateStream(t.Context(), Operator, disabled, nil, event(audit.StreamUpdated, st.Target()))
	Want(t, "disabling", err, 0)
	if list := waiting(st); len(list) != 0 {
		t.Errorf("a stream that is disabled holds %+v", list)
	}
	Want(t, "those that are not for it", s.SettleEvents(t.Context(), nil, []string{theirs[0].ID}), 0)
	if list := waiting(other); len(list) != 0 {
		t.Errorf("what is not for it waits: %+v", list)
	}
}

func streamClaimed(t *testing.T, s *store.Store) {
	st := open(t, s, "told", nil)
	defer shut(t, s, st)
	claims := func() (list []ssf.Claim) {
		t.Helper()
		list, err := s.ClaimStreams(t.Context(), 10, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := claims(); len(list) != 0 {
		t.Errorf("there is nothing to do, and %+v", list)
	}
	in, _ := visits(t, s, create(t, s, person(t, "claimed")), "told")
	Want(t, "signing out", s.EndSession(t.Context(), Operator, in.Secret, "signed-out"), 0)
	var all []ssf.Claim
	var counts [4]int
	parallel(4, func(i int) {
		list, err := s.ClaimStreams(context.WithoutCancel(t.Context()), 10, time.Minute)
		if err != nil {
			t.Error(err)
		}
		counts[i] = len(list)
	})
	if counts[0]+counts[1]+counts[2]+counts[3] != 1 {
		t.Errorf("four at once claim %v", counts)
	}
	Want(t, "giving it back", s.PostponeStream(t.Context(), ssf.Claim{Stream: st, Try: 1}, instant, event(audit.StreamNotTold, st.Target())), 0)
	if all = claims(); len(all) != 1 || all[0].Try != 2 || !all[0].Since.Equal(instant) || all[0].ID != st.ID {
		t.Fatalf("claimed: %+v", all)
	}
	Want(t, "giving it back by the one before", s.PostponeStream(t.Context(), ssf.Claim{Stream: st, Try: 1}, instant), 0)
	if list := claims(); len(list) != 0 {
		t.Errorf("claimed within the lease: %+v", list)
	}
	c, err := s.Client(t.Context(), "told")
	Want(t, "the client", err, 0)
	for _, status := range []client.Status{client.Disabled, client.Active} {
		Want(t, "releasing", s.ReleaseStream(t.Context(), all[0]), 0)
		c.Client.Status = status
		Want(t, string(status), updateClient(t, s, Operator, c.Client), 0)
		c.Client.Version++
		if list := claims(); (len(list) == 1) != (status == client.Active) {
			t.Errorf("of a client that is %s are claimed %+v", status, list)
		}
	}
	Want(t, "pausing", s.PauseStream(t.Context(), st.ID, ssf.Away, event(audit.StreamUpdated, st.Target())), 0)
	Want(t, "pausing again", s.PauseStream(t.Context(), st.ID, ssf.Full, event(audit.StreamUpdated, st.Target())), 0)
	if got, _ := s.Stream(t.Context(), "", st.ID); got.Status != ssf.Paused || got.Reason != ssf.Away || got.Version != 2 {
		t.Errorf("it is %+v", got)
	}
}

func streamFull(t *testing.T, s *store.Store, w *Witness) {
	st := open(t, s, "told", nil)
	defer shut(t, s, st)
	for i := range ssf.MostWaiting - 1 {
		w.Exec(t, fmt.Sprintf(`INSERT INTO ssf_events (id, stream, user_id, kind, facts, cause, subject, at) VALUES ('full%d', '%s', 'u', 'session-revoked', '{}', '', '{}', 1)`, i, st.ID))
	}
	u := create(t, s, person(t, "full"))
	for range 3 {
		in, _ := visits(t, s, u, "told")
		Want(t, "signing out", s.EndSession(t.Context(), Operator, in.Secret, "signed-out"), 0)
	}
	if n := w.Number(t, `SELECT COUNT(*) FROM ssf_events WHERE stream = '`+st.ID+`'`); n != ssf.MostWaiting+1 { // and that it was paused
		t.Errorf("%d events wait", n)
	}
	if got, _ := s.Stream(t.Context(), "", st.ID); got.Status != ssf.Paused || got.Reason != ssf.Full {
		t.Errorf("it is %+v", got)
	}
	if n := w.Number(t, `SELECT COUNT(*) FROM audit_events WHERE action = 'stream.updated' AND target = '`+st.Target()+`'`); n != 1 {
		t.Errorf("that it was paused is recorded %d times", n)
	}
}

func streamGone(t *testing.T, s *store.Store, w *Witness) {
	registerClient(t, s, application("leaves", "read"))
	st := open(t, s, "leaves", func(st *ssf.Stream) { st.All = false })
	Want(t, "a subject", s.WantSubject(t.Context(), st, ssf.Identifier{ID: "a"}.Key(), true, event(audit.StreamSubjectChanged, st.Target())), 0)
	in, _ := visits(t, s, create(t, s, person(t, "leaves-it")), "leaves")
	Want(t, "signing out", s.EndSession(t.Context(), Operator, in.Secret, "signed-out"), 0)
	Want(t, "deleting the client", deleteClient(t, s, Operator, "leaves", 0), 0)
	for _, table := range []string{"ssf_streams WHERE client_id = 'leaves'", "ssf_subjects WHERE stream = '" + st.ID + "'", "ssf_events WHERE stream = '" + st.ID + "'"} {
		if n := w.Number(t, `SELECT COUNT(*) FROM `+table); n != 0 {
			t.Errorf("%d rows are left: %s", n, table)
		}
	}
}

func streamForgotten(t *testing.T, s *store.Store, w *Witness) {
	st := open(t, s, "told", nil)
	defer shut(t, s, st)
	for name, at := range map[string]time.Time{"old": instant.Add(-ssf.Kept - time.Hour), "recent": instant.Add(-ssf.Kept + time.Hour)} {
		w.Exec(t, fmt.Sprintf(`INSERT INTO ssf_events (id, stream, user_id, kind, facts, cause, subject, at) VALUES ('%s', '%s', 'u', 'session-revoked', '{}', '', '{}', %d)`, name, st.ID, at.UnixMicro()))
	}
	if _, err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := s.WaitingEvents(t.Context(), st.ID, 10); err != nil || len(list) != 1 || list[0].ID != "recent" {
		t.Errorf("%+v waits, %v", list, err)
	}
	sealed := 0
	if _, err := s.Reseal(t.Context(), func(place string, blob []byte) ([]byte, error) {
		if place == ssf.Place(st.ID) {
			sealed++
			return []byte("anew"), nil
		}
		return blob, nil
	}, event(audit.MasterKeyRotated, "master-key:x")); err != nil || sealed != 1 {
		t.Errorf("sealed anew: %d, %v", sealed, err)
	}
	if got, _ := s.Stream(t.Context(), "", st.ID); string(got.Authorization) != "anew" {
		t.Errorf("it is %q", got.Authorization)
	}
}
