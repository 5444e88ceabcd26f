package storetest

import (
	"reflect"
	"testing"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/store"
)

// What was pushed is kept as it came, and is answered once: at once, or by one of those
// that were saved of it.
func pushed(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "pushed"))
	in, _, _ := start(t, s, u, instant, secret.Hash{})
	p := grant.Pushed{ID: hashOf("pushed"), Client: "shop", Query: "client_id=shop&a=%00", Created: instant, Expires: instant.Add(grant.PushedLasts)}
	Want(t, "pushing", s.PushRequest(t.Context(), p), 0)
	if got, err := s.PushedRequest(t.Context(), p.ID); err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("kept is %+v, %v; want %+v", got, err, p)
	}
	_, err := s.PushedRequest(t.Context(), hashOf("unknown"))
	Want(t, "an unknown one", err, fault.NotFound)

	var two [2]grant.Request
	for i, name := range []string{"first", "second"} {
		two[i] = grant.Request{ID: hashOf(name), Browser: hashOf("b"), Query: p.Query, Pushed: p.ID, Begun: instant, Expires: instant.Add(grant.RequestLasts)}
		Want(t, "saving", s.SaveRequest(t.Context(), two[i]), 0)
		if got, err := s.Request(t.Context(), two[i].ID); err != nil || !reflect.DeepEqual(got, two[i]) {
			t.Errorf("kept is %+v, %v; want %+v", got, err, two[i])
		}
	}
	Want(t, "the first", answers(t, s, u, in, two[0]), 0)
	_, err = s.PushedRequest(t.Context(), p.ID)
	Want(t, "what was answered", err, fault.NotFound)
	Want(t, "the second", answers(t, s, u, in, two[1]), fault.NotFound)
	Want(t, "at once", answers(t, s, u, in, grant.Request{Pushed: p.ID}), fault.NotFound)
	// A refusal takes nothing along: what could not be answered is kept as it was.
	if _, err := s.Request(t.Context(), two[1].ID); err != nil {
		t.Errorf("the second after its refusal: %v", err)
	}

	p.ID = hashOf("another")
	Want(t, "pushing another", s.PushRequest(t.Context(), p), 0)
	Want(t, "at once", answers(t, s, u, in, grant.Request{Pushed: p.ID}), 0)
	Want(t, "at once, again", answers(t, s, u, in, grant.Request{Pushed: p.ID}), fault.NotFound)
}

// answers keeps a code that answers a request.
func answers(t *testing.T, s *store.Store, u account.User, in session.Session, r grant.Request) error {
	t.Helper()
	c := grant.Code{
		Hash: secret.HashOf(secret.Random(16)), Created: instant, Expires: instant.Add(grant.CodeLasts),
		Given: grant.Given{Client: "shop", User: u.ID, Session: in.ID},
	}
	err := s.CreateCode(t.Context(), c, r, event(audit.CodeIssued, "client:shop"))
	if _, missing := s.Code(t.Context(), c.Hash); (err == nil) != (missing == nil) {
		t.Errorf("answered: %v, and its code: %v", err, missing)
	}
	return err
}
