package storetest

import (
	"context"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/store"
)

// Authorization is the contract of issue.RequestStore, issue.PushedStore and issue.CodeStore.
func Authorization(t *testing.T, s *store.Store, w *Witness) {
	t.Run("requests", func(t *testing.T) { requests(t, s) })
	t.Run("pushed", func(t *testing.T) { pushed(t, s) })
	t.Run("codes as written", func(t *testing.T) { codeAsWritten(t, s) })
	t.Run("codes answer requests", func(t *testing.T) { codeAnswers(t, s) })
	t.Run("codes refused", func(t *testing.T) { codeRefused(t, s) })
	t.Run("consents", func(t *testing.T) { consents(t, s) })
	t.Run("withdrawn", func(t *testing.T) { consentWithdrawn(t, s) })
	t.Run("forgotten", func(t *testing.T) { forgotten(t, s) })
	t.Run("one of many", func(t *testing.T) { codeOnce(t, s, w) })
	t.Run("room", func(t *testing.T) { codeMakesRoom(t, s, w) })
	t.Run("beside an end", func(t *testing.T) { redeemedBeside(t, s) })
}

func hashOf(text string) secret.Hash { return secret.HashOf([]byte(text)) }

func saved(t testing.TB, s *store.Store, name string) grant.Request {
	t.Helper()
	r := grant.Request{ID: hashOf("id " + name), Browser: hashOf("browser " + name), Query: "client_id=" + name + "&a=%00", Begun: instant, Expires: instant.Add(grant.RequestLasts)}
	Want(t, "saving", s.SaveRequest(t.Context(), r), 0)
	return r
}

func requests(t *testing.T, s *store.Store) {
	r := saved(t, s, "waiting")
	if got, err := s.Request(t.Context(), r.ID); err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("kept is %+v, %v; want %+v", got, err, r)
	}
	_, err := s.Request(t.Context(), hashOf("unknown"))
	Want(t, "an unknown one", err, fault.NotFound)
	r.Decision, r.Session = grant.Denied, "session"
	Want(t, "deciding", s.DecideRequest(t.Context(), r, nil, event(audit.ConsentDenied, "client:x")), 0)
	if got, err := s.Request(t.Context(), r.ID); err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("decided is %+v, %v; want %+v", got, err, r)
	}
	agreed := grant.AgreedTo{User: "nobody", Client: "nothing", Audience: "a", At: instant}
	unknown := r
	unknown.ID = hashOf("unknown")
	Want(t, "deciding an unknown one", s.DecideRequest(t.Context(), unknown, &agreed, event(audit.ConsentGiven, "client:x")), fault.NotFound)
	late := grant.Request{ID: hashOf("late"), Browser: r.Browser, Query: "q", Begun: instant.Add(-time.Hour), Expires: instant}
	Want(t, "saving", s.SaveRequest(t.Context(), late), 0)
	late.Decision = grant.Allowed
	Want(t, "deciding one whose time is over", s.DecideRequest(t.Context(), late, &agreed, event(audit.ConsentGiven, "client:x")), fault.NotFound)
	_, err = s.Agreement(t.Context(), "nobody", "nothing", "a")
	Want(t, "what was not decided", err, fault.NotFound)
}

// coded keeps a code of a person in a session; change may be nil.
func coded(t testing.TB, s *store.Store, u account.User, in session.Session, client string, change func(*grant.Code)) grant.Code {
	t.Helper()
	c := grant.Code{
		Hash: secret.HashOf(secret.Random(16)), Created: instant, Expires: instant.Add(grant.CodeLasts),
		Given: grant.Given{
			Client: client, User: u.ID, Session: in.ID, Scope: []string{"openid", "read"}, Audience: "https://api.example",
			AMR: []string{"pwd"}, AuthTime: instant,
		},
	}
	if change != nil {
		change(&c)
	}
	Want(t, "keeping a code", s.CreateCode(t.Context(), c, grant.Request{}, event(audit.CodeIssued, "client:"+client)), 0)
	return c
}

// familyFor returns the family that a code begins.
func familyFor(c grant.Code) grant.Family {
	f, _ := grant.New(instant, c.User, c.Client, life)
	f.Scope, f.Audience, f.AMR, f.AuthTime, f.Claims, f.Session = c.Scope, c.Audience, c.AMR, c.AuthTime, c.Claims, c.Session
	return f
}

func redeem(ctx context.Context, s *store.Store, c grant.Code) (grant.Family, error) {
	f := familyFor(c)
	return f, s.Redeem(context.WithoutCancel(ctx), c, f, event(audit.TokenIssued, f.Target()))
}

func codeAsWritten(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "coded"))
	in, _, _ := start(t, s, u, instant, secret.Hash{})
	for what, c := range map[string]grant.Code{
		"the least": coded(t, s, u, in, "shop", func(c *grant.Code) { c.Scope, c.AMR = []string{}, []string{} }),
		"all": coded(t, s, u, in, "shop", func(c *grant.Code) {
			c.RedirectURI, c.Challenge, c.Nonce = "https://client.example/cb?a=1", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "n “✓” \u2028"
			c.Claims = oauth.Claims{Userinfo: []string{"\x00", "email"}, IDToken: []string{"name"}, ACR: []string{"x"}}
		}),
	} {
		if got, err := s.Code(t.Context(), c.Hash); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%s: kept is %+v, %v; want %+v", what, got, err, c)
		}
		Want(t, "a wrong verifier", s.FailCode(t.Context(), c.Hash), 0)
		f, err := redeem(t.Context(), s, c)
		Want(t, "redeeming", err, 0)
		c.Failures, c.Used, c.Family = 1, instant, f.ID
		if got, err := s.Code(t.Context(), c.Hash); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%s: redeemed it is %+v, %v; want %+v", what, got, err, c)
		}
		if got, err := s.FamilyByID(t.Context(), f.ID); err != nil || !reflect.DeepEqual(got.Claims, c.Claims) || got.Session != in.ID || got.Client != "shop" {
			t.Errorf("%s: the family is %+v, %v", what, got, err)
		}
		_, err = redeem(t.Context(), s, c)
		Want(t, "redeeming it twice", err, fault.Conflict)
		Want(t, "ending what was used", s.ExpireCode(t.Context(), c.Hash), 0)
		if got, err := s.Code(t.Context(), c.Hash); err != nil || !got.Expires.Equal(c.Expires) {
			t.Errorf("%s: ended after its use it is %+v, %v", what, got, err)
		}
	}
	_, err := s.Code(t.Context(), hashOf("unknown"))
	Want(t, "an unknown one", err, fault.NotFound)
	for _, bad := range []string{"unknown", "", "\x00", "\xff"} {
		_, err = s.FamilyByID(t.Context(), bad)
		Want(t, "an unknown family", err, fault.NotFound)
	}
}

// A request is answered once, by one of many.
func codeAnswers(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "answered"))
	in, _, _ := start(t, s, u, instant, secret.Hash{})
	r := saved(t, s, "answered")
	var won atomic.Int64
	parallel(8, func(i int) {
		c := grant.Code{
			Hash: secret.HashOf([]byte{byte(i), 'a'}), Created: instant, Expires: instant.Add(grant.CodeLasts),
			Given: grant.Given{Client: "shop", User: u.ID, Session: in.ID},
		}
		err := s.CreateCode(context.WithoutCancel(t.Context()), c, r, event(audit.CodeIssued, "client:shop"))
		if err == nil {
			won.Add(1)
		} else if fault.KindOf(err) != fault.NotFound {
			t.Errorf("who comes late: %v", err)
		}
	})
	if won.Load() != 1 {
		t.Errorf("there are %d codes of one request", won.Load())
	}
	_, err := s.Request(t.Context(), r.ID)
	Want(t, "what was answered", err, fault.NotFound)
}

func codeRefused(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "refused"))
	in, _, _ := start(t, s, u, instant, secret.Hash{})
	refused := func(what string, c grant.Code, want fault.Kind) {
		t.Helper()
		f, err := redeem(t.Context(), s, c)
		Want(t, what, err, want)
		if _, err := s.FamilyByID(t.Context(), f.ID); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: there is a family, %v", what, err)
		}
		if got, err := s.Code(t.Context(), c.Hash); err == nil && !got.Used.IsZero() {
			t.Errorf("%s: it is used up", what)
		}
	}
	refused("an unknown code", grant.Code{Hash: hashOf("unknown"), Given: grant.Given{User: u.ID, Session: in.ID}}, fault.Conflict)
	refused("one whose time is over", coded(t, s, u, in, "shop", func(c *grant.Code) { c.Expires = instant }), fault.Conflict)
	ended := coded(t, s, u, in, "shop", nil)
	Want(t, "ending it", s.ExpireCode(t.Context(), ended.Hash), 0)
	refused("one that was ended", ended, fault.Conflict)
	guessed := coded(t, s, u, in, "shop", nil)
	for range grant.MostFailures {
		Want(t, "a wrong verifier", s.FailCode(t.Context(), guessed.Hash), 0)
	}
	refused("one that was guessed at", guessed, fault.Conflict)
	refused("one of no session", coded(t, s, u, session.Session{ID: "unknown"}, "shop", nil), fault.Unauthenticated)
	last := coded(t, s, u, in, "shop", nil)
	Want(t, "ending the session", s.EndSession(t.Context(), Operator, in.Secret, "signed-out"), 0)
	refused("one of a session that is over", last, fault.Unauthenticated)
	in, _, _ = start(t, s, u, instant, secret.Hash{})
	last = coded(t, s, u, in, "shop", nil)
	disableUser(t, s, u)
	refused("one of who was disabled", last, fault.Unauthenticated)
}

func disableUser(t testing.TB, s *store.Store, u account.User) {
	u.Status = account.Disabled
	if _, err := s.UpdateUser(context.WithoutCancel(t.Context()), Operator, u, event(audit.UserDisabled, u.Target())); err != nil {
		t.Errorf("disabling: %v", err)
	}
}

// agree has a person agree to something, by a request of its own.
func agree(t testing.TB, s *store.Store, a grant.AgreedTo) {
	t.Helper()
	r := saved(t, s, a.User+a.Client+a.Audience+a.At.String())
	r.Decision = grant.Allowed
	Want(t, "agreeing", s.DecideRequest(t.Context(), r, &a, event(audit.ConsentGiven, "client:"+a.Client)), 0)
}

func consents(t *testing.T, s *store.Store) {
	u, other := create(t, s, person(t, "agreeing")), create(t, s, person(t, "other-agreeing"))
	first := grant.AgreedTo{User: u.ID, Client: "shop", Audience: "a", Scope: []string{"openid", "read"}, As: "x", At: instant}
	second := grant.AgreedTo{User: u.ID, Client: "shop", Audience: "b", Scope: []string{"read"}, As: "x", At: instant.Add(time.Second)}
	third := grant.AgreedTo{User: u.ID, Client: "bank", Audience: "a", Scope: []string{}, As: "y", At: instant.Add(2 * time.Second)}
	for _, a := range []grant.AgreedTo{first, second, third} {
		agree(t, s, a)
		if got, err := s.Agreement(t.Context(), a.User, a.Client, a.Audience); err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("kept is %+v, %v; want %+v", got, err, a)
		}
	}
	first.Scope, first.As, first.At = []string{"write"}, "z", instant.Add(3*time.Second)
	agree(t, s, first)
	if got, err := s.Agreements(t.Context(), u.ID); err != nil || !reflect.DeepEqual(got, []grant.AgreedTo{first, third, second}) {
		t.Errorf("he agreed to %+v, %v", got, err)
	}
	for _, key := range [][3]string{{other.ID, "shop", "a"}, {u.ID, "other", "a"}, {u.ID, "shop", "c"}} {
		_, err := s.Agreement(t.Context(), key[0], key[1], key[2])
		Want(t, "another's", err, fault.NotFound)
	}
	if got, err := s.Agreements(t.Context(), other.ID); err != nil || len(got) > 0 {
		t.Errorf("who agreed to nothing: %+v, %v", got, err)
	}
}

func consentWithdrawn(t *testing.T, s *store.Store) {
	u, other := create(t, s, person(t, "withdrawing")), create(t, s, person(t, "other-withdrawing"))
	in, _, _ := start(t, s, u, instant, secret.Hash{})
	his, _, _ := start(t, s, other, instant, secret.Hash{})
	living := map[bool][]grant.Family{}
	codes := map[bool][]grant.Code{}
	for _, c := range []struct {
		u      account.User
		in     session.Session
		client string
	}{{u, in, "shop"}, {u, in, "bank"}, {other, his, "shop"}} {
		agree(t, s, grant.AgreedTo{User: c.u.ID, Client: c.client, Audience: "a", At: instant})
		gone := c.u.ID == u.ID && c.client == "shop"
		f, err := redeem(t.Context(), s, coded(t, s, c.u, c.in, c.client, nil))
		Want(t, "redeeming", err, 0)
		living[gone] = append(living[gone], f)
		codes[gone] = append(codes[gone], coded(t, s, c.u, c.in, c.client, nil))
	}
	withdraw := func(client string) error {
		return s.Withdraw(t.Context(), u.ID, client, event(audit.ConsentWithdrawn, "client:shop"))
	}
	Want(t, "withdrawing", withdraw("shop"), 0)
	for gone := range living {
		for _, f := range living[gone] {
			if got, err := s.FamilyByID(t.Context(), f.ID); err != nil || got.EndedAt.IsZero() == gone {
				t.Errorf("the family %+v ended at %v, %v", f, got.EndedAt, err)
			}
		}
		for _, c := range codes[gone] {
			_, err := redeem(t.Context(), s, c)
			Want(t, "a code from before", err, map[bool]fault.Kind{true: fault.Conflict}[gone])
		}
	}
	if list, err := s.Agreements(t.Context(), u.ID); err != nil || len(list) != 1 || list[0].Client != "bank" {
		t.Errorf("what is left: %+v, %v", list, err)
	}
	for _, bad := range []string{"shop", "unknown", "", "\x00", "\xff"} {
		Want(t, "withdrawing nothing", withdraw(bad), fault.NotFound)
	}
}

// What goes by the name of somebody who was deleted is nobody's after him.
func forgotten(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "forgotten"))
	in, _, _ := start(t, s, u, instant, secret.Hash{})
	c := registerClient(t, s, application("forgotten"))
	agree(t, s, grant.AgreedTo{User: u.ID, Client: c.ID, Audience: "a", At: instant})
	f, err := redeem(t.Context(), s, coded(t, s, u, in, c.ID, nil))
	Want(t, "redeeming", err, 0)
	unused := coded(t, s, u, in, c.ID, nil)
	Want(t, "deleting the client", deleteClient(t, s, Operator, c.ID, 0), 0)
	_, err = s.Agreement(t.Context(), u.ID, c.ID, "a")
	Want(t, "what was agreed to", err, fault.NotFound)
	_, err = redeem(t.Context(), s, unused)
	Want(t, "its code", err, fault.Conflict)
	if got, err := s.FamilyByID(t.Context(), f.ID); err != nil || got.EndedAt.IsZero() {
		t.Errorf("its family goes on: %+v, %v", got, err)
	}
	agree(t, s, grant.AgreedTo{User: u.ID, Client: "other", Audience: "a", At: instant})
	unused = coded(t, s, u, in, "other", nil)
	Want(t, "deleting the account", s.DeleteUser(t.Context(), Operator, account.Deletion{ID: u.ID}, event(audit.UserDeleted, u.Target())), 0)
	if list, err := s.Agreements(t.Context(), u.ID); err != nil || len(list) > 0 {
		t.Errorf("it agreed to %+v, %v", list, err)
	}
	_, err = s.Code(t.Context(), unused.Hash)
	Want(t, "its code", err, fault.NotFound)
}

// Of many uses of one code one begins a family, with one event.
func codeOnce(t *testing.T, s *store.Store, w *Witness) {
	u := create(t, s, person(t, "once-coded"))
	in, _, _ := start(t, s, u, instant, secret.Hash{})
	c := coded(t, s, u, in, "shop", nil)
	before := w.events(t)
	var won atomic.Int64
	var winner atomic.Pointer[grant.Family]
	parallel(30, func(int) {
		f, err := redeem(t.Context(), s, c)
		if err == nil {
			won.Add(1)
			winner.Store(&f)
		} else if fault.KindOf(err) != fault.Conflict {
			t.Errorf("a use that was late: %v", err)
		}
	})
	if won.Load() != 1 {
		t.Fatalf("it was redeemed %d times", won.Load())
	}
	if got, err := s.Code(t.Context(), c.Hash); err != nil || got.Family != winner.Load().ID {
		t.Errorf("it began %q, %v; the winner's is %q", got.Family, err, winner.Load().ID)
	}
	if n := w.events(t) - before; n != 1 {
		t.Errorf("%d events were written about one use", n)
	}
}

// A code begins a family also where somebody has as many as he may: an older one makes way.
func codeMakesRoom(t *testing.T, s *store.Store, w *Witness) {
	const most = 100
	u := create(t, s, person(t, "crowded"))
	in, _, _ := start(t, s, u, instant, secret.Hash{})
	before := w.events(t)
	for range most + 1 {
		_, err := redeem(t.Context(), s, coded(t, s, u, in, "shop", nil))
		Want(t, "redeeming", err, 0)
	}
	for why, want := range map[string]int64{"": most, "displaced": 1} {
		if n := w.Number(t, `SELECT COUNT(*) FROM token_families WHERE user_id = '`+u.ID+`' AND client_id = 'shop' AND ended_why = '`+why+`'`); n != want {
			t.Errorf("%d families have ended as %q, want %d", n, why, want)
		}
	}
	if n := w.events(t) - before; n != 2*(most+1)+1 {
		t.Errorf("%d events, want two for each code, and one for what was displaced", n)
	}
}

// Whoever is disabled, signed out or takes his consent back beside a use of a code has
// nothing that lives after both.
func redeemedBeside(t *testing.T, s *store.Store) {
	for name, end := range map[string]func(u account.User, in session.Session){
		"disabled": func(u account.User, _ session.Session) { disableUser(t, s, u) },
		"signed out": func(_ account.User, in session.Session) {
			Want(t, "signing out", s.EndSession(context.WithoutCancel(t.Context()), Operator, in.Secret, "signed-out"), 0)
		},
		"withdrawn": func(u account.User, _ session.Session) {
			Want(t, "withdrawing", s.Withdraw(context.WithoutCancel(t.Context()), u.ID, "shop", event(audit.ConsentWithdrawn, "client:shop")), 0)
		},
	} {
		for round := range 6 {
			u := create(t, s, person(t, "beside-"+name[:4]+string(rune('a'+round))))
			in, _, _ := start(t, s, u, instant, secret.Hash{})
			agree(t, s, grant.AgreedTo{User: u.ID, Client: "shop", Audience: "a", At: instant})
			c := coded(t, s, u, in, "shop", nil)
			var f grant.Family
			var err error
			parallel(2, func(i int) {
				if i == 0 {
					f, err = redeem(t.Context(), s, c)
					return
				}
				end(u, in)
			})
			if kind := fault.KindOf(err); err != nil && kind != fault.Conflict && kind != fault.Unauthenticated {
				t.Errorf("%s: %v", name, err)
			}
			got, missing := s.FamilyByID(t.Context(), f.ID)
			if err == nil && (missing != nil || got.EndedAt.IsZero()) || err != nil && missing == nil {
				t.Errorf("%s: the use was told %v, and the family is %+v, %v", name, err, got, missing)
			}
		}
	}
}
