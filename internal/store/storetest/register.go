package storetest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
)

// never is later than any clock here.
var never = instant.AddDate(100, 0, 0)

func initial(id string, uses int64, scopes ...string) client.InitialToken {
	if scopes == nil {
		scopes = []string{}
	}
	return client.InitialToken{ID: id, Name: "for “" + id + "”", Scopes: scopes, Uses: uses, CreatedBy: "cli:test", CreatedAt: instant, ExpiresAt: never}
}

func makeInitial(t testing.TB, s *store.Store, i client.InitialToken) client.InitialToken {
	t.Helper()
	Want(t, "making "+i.ID, s.CreateInitialToken(t.Context(), Operator, i, secret.HashOf([]byte(i.ID)), event(audit.RegistrationTokenCreated, i.Target())), 0)
	return i
}

// enrolment is that a client was registered by a token.
func enrolment(c client.Client, token string, scopes ...string) client.Enrolment {
	return client.Enrolment{Client: c.ID, Hash: secret.HashOf([]byte(c.ID)), Scopes: scopes, Token: token, At: instant}
}

func enrol(t testing.TB, s *store.Store, c client.Client, n client.Enrolment) error {
	t.Helper()
	return s.RegisterClient(t.Context(), c, keptOf(c, client.NewSecret()), n, event(audit.ClientCreated, c.Target()))
}

// Registrations is the contract of client.RegisterStore.
func Registrations(t *testing.T, s *store.Store, w *Witness) {
	t.Run("tokens", func(t *testing.T) { initialTokens(t, s, w) })
	t.Run("uses", func(t *testing.T) { initialUses(t, s, w) })
	t.Run("changes", func(t *testing.T) { enrolledChanges(t, s, w) })
	t.Run("unused", func(t *testing.T) { unusedGo(t, s) })
}

func initialTokens(t *testing.T, s *store.Store, w *Witness) {
	one, two := makeInitial(t, s, initial("1", 3, "a", "b")), makeInitial(t, s, initial("2", 1))
	got, err := s.InitialTokens(t.Context(), "", 10)
	if err != nil || !reflect.DeepEqual(got, []client.InitialToken{one, two}) {
		t.Errorf("the tokens are %+v, %v", got, err)
	}
	if got, err = s.InitialTokens(t.Context(), "1", 10); err != nil || len(got) != 1 || got[0].ID != "2" {
		t.Errorf("past the first: %+v, %v", got, err)
	}
	if got, err := s.InitialTokenBy(t.Context(), secret.HashOf([]byte("1"))); err != nil || !reflect.DeepEqual(got, one) {
		t.Errorf("by its digest: %+v, %v", got, err)
	}
	before := w.Dump(t)
	_, err = s.InitialTokenBy(t.Context(), secret.HashOf([]byte("x")))
	Want(t, "of another digest", err, fault.NotFound)
	for _, id := range []string{"nosuch", "\x00"} {
		_, err = s.InitialToken(t.Context(), id)
		Want(t, "reading "+id, err, fault.NotFound)
		Want(t, "ending "+id, s.DeleteInitialToken(t.Context(), Operator, id, event(audit.RegistrationTokenRevoked, "x")), fault.NotFound)
	}
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	invites := func(want bool, at time.Time) {
		t.Helper()
		if got, err := s.Invites(t.Context(), at); err != nil || got != want {
			t.Errorf("it invites: %t, %v", got, err)
		}
	}
	invites(true, instant)
	invites(false, never)
	for _, i := range []client.InitialToken{one, two} {
		Want(t, "ending "+i.ID, s.DeleteInitialToken(t.Context(), Operator, i.ID, event(audit.RegistrationTokenRevoked, i.Target())), 0)
	}
	invites(false, instant)
}

func initialUses(t *testing.T, s *store.Store, w *Witness) {
	makeInitial(t, s, initial("3", 1, "a"))
	late := initial("4", 1, "a")
	late.ExpiresAt = time.UnixMicro(1)
	makeInitial(t, s, late)
	before := w.Dump(t)
	for what, n := range map[string]client.Enrolment{
		"none":         enrolment(application("use", "a"), "nosuch", "a"),
		"one too late": enrolment(application("use", "a"), "4", "a"),
		"one for less": enrolment(application("use", "a"), "3", "a", "b"),
	} {
		Want(t, what, enrol(t, s, application("use", "a"), n), fault.Unauthenticated)
	}
	Want(t, "asking for more", enrol(t, s, application("use", "b"), enrolment(application("use"), "3", "a")), fault.Unauthenticated)
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	c := application("use", "a", "openid")
	Want(t, "registering", enrol(t, s, c, enrolment(c, "3", "a", "openid")), 0)
	Want(t, "with what was used up", enrol(t, s, application("again", "a"), enrolment(application("again"), "3", "a")), fault.Unauthenticated)
	r, err := s.Enrolled(t.Context(), "use")
	if err != nil || !reflect.DeepEqual(r.Credential.Client, c) || !reflect.DeepEqual(r.Enrolment, enrolment(c, "3", "a", "openid")) {
		t.Errorf("it is registered as %+v, %v", r, err)
	}
	registerClient(t, s, application("other", "a"))
	for _, id := range []string{"other", "nosuch", "\x00"} {
		_, err = s.Enrolled(t.Context(), id)
		Want(t, "of "+id, err, fault.NotFound)
	}
	Want(t, "of a name that is taken", enrol(t, s, application("other", "a"), enrolment(application("other"), "", "a")), fault.Conflict)
}

// enrolledClient is a client that was registered so, to be changed.
type enrolledClient struct {
	*store.Store
	w *Witness
	client.Client
	client.Enrolment
}

func (c *enrolledClient) write(t *testing.T, by client.Enrolment, another bool) error {
	now, err := c.ReregisterClient(t.Context(), c.Client, nil, by, another, event(audit.ClientUpdated, c.Target()))
	if err == nil {
		c.Client = now
	}
	return err
}

// consents returns how many people let it do something, and how often its tokens were void.
func (c *enrolledClient) consents(t *testing.T) string {
	return fmt.Sprint(c.w.Number(t, `SELECT COUNT(*) FROM consents WHERE client_id = 'mine'`), " ",
		c.w.Number(t, fmt.Sprintf(`SELECT COUNT(*) FROM changes WHERE topic = '%s' AND subject = 'mine'`, feed.GrantLost)))
}

// enrolledChanges looks at who changes a client that was registered so, and what ends then.
func enrolledChanges(t *testing.T, s *store.Store, w *Witness) {
	c := &enrolledClient{s, w, application("mine", "a"), client.Enrolment{}}
	c.Enrolment = enrolment(c.Client, "", "a")
	n := c.Enrolment
	Want(t, "registering", enrol(t, s, c.Client, n), 0)
	mira := create(t, s, person(t, "mira"))
	r := grant.Request{ID: secret.HashOf([]byte("r")), Browser: secret.HashOf([]byte("b")), Query: "x", Begun: instant, Expires: never}
	Want(t, "saving", s.SaveRequest(t.Context(), r), 0)
	r.Decision, r.Session = grant.Allowed, "s"
	a := grant.AgreedTo{User: mira.ID, Client: c.ID, Audience: "urn:a", Scope: []string{"a"}, As: "x", At: instant}
	Want(t, "agreeing", s.DecideRequest(t.Context(), r, &a, event(audit.ConsentGiven, c.Target())), 0)
	c.Name = "its new name"
	Want(t, "a change", c.write(t, n, false), 0)
	if left := c.consents(t); left != "1 0" {
		t.Errorf("a change that is none to people left %s", left)
	}
	Want(t, "another", c.write(t, n, true), 0)
	if left := c.consents(t); left != "0 1" {
		t.Errorf("a change to another left %s", left)
	}
	stale, forged := c.Client, n
	stale.Version--
	forged.Hash = secret.HashOf([]byte("x"))
	before := w.Dump(t)
	_, err := s.ReregisterClient(t.Context(), stale, nil, n, false, event(audit.ClientUpdated, c.Target()))
	Want(t, "of an old version", err, fault.Stale)
	Want(t, "by another token", c.write(t, forged, false), fault.NotFound)
	Want(t, "going by another token", s.UnregisterClient(t.Context(), forged, event(audit.ClientDeleted, c.Target())), fault.NotFound)
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	enrolmentsEnd(t, c)
}

// enrolmentsEnd looks at what a disabled client can do, and at how an enrolment ends.
func enrolmentsEnd(t *testing.T, c *enrolledClient) {
	n := c.Enrolment
	change := func(what string, change func()) {
		t.Helper()
		change()
		Want(t, what, updateClient(t, c.Store, Operator, c.Client), 0)
		c.Version++
	}
	change("disabling", func() { c.Status = client.Disabled })
	Want(t, "disabled", c.write(t, n, false), fault.NotFound)
	Want(t, "going while it is disabled", c.UnregisterClient(t.Context(), n, event(audit.ClientDeleted, c.Target())), fault.NotFound)
	change("enabling", func() { c.Status = client.Active })
	Want(t, "enabled", c.write(t, n, false), 0)
	change("adopting", func() { c.SkipConsent = true })
	Want(t, "adopted", c.write(t, n, false), fault.NotFound)
	other := application("gone", "a")
	Want(t, "registering", enrol(t, c.Store, other, enrolment(other, "", "a")), 0)
	Want(t, "going", c.UnregisterClient(t.Context(), enrolment(other, "", "a"), event(audit.ClientDeleted, other.Target())), 0)
	_, err := c.Store.Client(t.Context(), "gone")
	Want(t, "once it is gone", err, fault.NotFound)
	if c.w.Number(t, `SELECT COUNT(*) FROM registrations WHERE client_id IN ('mine', 'gone')`) != 0 {
		t.Error("a registration is left")
	}
}

// unusedGo: what nobody ever agreed to goes, what an administrator made or changed stays.
func unusedGo(t *testing.T, s *store.Store) {
	for i := range 150 {
		c := application(fmt.Sprint("unused", i), "a")
		Want(t, "registering", enrol(t, s, c, enrolment(c, "", "a")), 0)
	}
	registerClient(t, s, application("unused-made", "a"))
	more, err := s.PurgeUnused(t.Context(), instant)
	if err != nil || more {
		t.Errorf("before their time: %t, %v", more, err)
	}
	rounds := 0
	for more = true; more && err == nil; rounds++ {
		more, err = s.PurgeUnused(t.Context(), instant.Add(time.Second))
	}
	if err != nil || rounds != 2 {
		t.Errorf("%d rounds, %v", rounds, err)
	}
	for id, want := range map[string]fault.Kind{"unused0": fault.NotFound, "unused149": fault.NotFound, "unused-made": 0} {
		_, err := s.Client(t.Context(), id)
		Want(t, id, err, want)
	}
}
