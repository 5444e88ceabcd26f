package store_test

import (
	"net/url"
	"testing"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestAuthorization(t *testing.T) { storetest.Portable(t, storetest.Authorization) }

// The deeds of an authorization request, each with what is true after it was done again.
var authorizationDeeds = []deed{
	{"agree to a request", 0, agreeing},
	{"answer a request", 0, answering},
	{"answer a request that was pushed", 0, answeringPushed},
	{"redeem a code", 0, redeeming},
	{"withdraw a consent", 0, withdrawing},
}

// After a fault at any statement of the code flow there is the old state or the new one,
// whole, with its events (FLT-002).
func TestAttackFLT002EveryStatementOfCodesFails(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) { everyFault(t, dsn, false, authorizationDeeds) })
	t.Run("postgres-portable", func(t *testing.T) { everyFault(t, storetest.Postgres(t), true, authorizationDeeds) })
}

// flow is a person who is signed in in a browser, with a request of an application that
// waits for him.
type flow struct {
	v      *storetest.Services
	client string
	in     session.Session
	asked  issue.Asked
	secret secret.Hash
	id     string
}

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, Appendix B

func waiting(t *testing.T, v *storetest.Services, name string) flow {
	t.Helper()
	v.User(t, name, "viewer")
	d := client.Draft{ID: name, Method: oauth.NoAuth, Scopes: []string{"read"}}
	d.RedirectURIs = []string{"https://client.example/cb"}
	if _, _, err := v.Clients.Create(t.Context(), storetest.Operator, d); err != nil {
		t.Fatal(err)
	}
	tokens, err := browse(t, v, name, secret.Text{})
	expect(t, "signing in", err, 0)
	f := flow{v: v, client: name, secret: secret.HashOf([]byte(name))}
	f.in, err = v.Sessions.Of(t.Context(), principal.Principal{}, tokens.Session)
	expect(t, "the session", err, 0)
	f.asked, f.id = f.save(t, grant.Request{Query: f.query()})
	return f
}

// query is the request that the application makes.
func (f flow) query() string {
	return url.Values{
		"client_id": {f.client}, "response_type": {"code"}, "scope": {"read"}, "code_challenge_method": {"S256"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
	}.Encode()
}

// save lets a request wait for the person.
func (f flow) save(t *testing.T, r grant.Request) (issue.Asked, string) {
	t.Helper()
	id, err := f.v.Issuer.Save(t.Context(), storetest.Browser, r, f.secret)
	expect(t, "saving", err, 0)
	_, asked, err := f.v.Issuer.Pending(t.Context(), id, f.secret)
	expect(t, "what waits", err, 0)
	if asked.Wrong != nil {
		t.Fatal(asked.Wrong)
	}
	return asked, id
}

func (f flow) agree(t *testing.T) error {
	r, a, err := f.v.Issuer.Pending(t.Context(), f.id, f.secret)
	if err != nil {
		return err
	}
	return f.v.Issuer.Decide(t.Context(), storetest.Browser, r, a, f.in, grant.Allowed)
}

func (f flow) answer(t *testing.T) (secret.Text, error) {
	r, a, err := f.v.Issuer.Pending(t.Context(), f.id, f.secret)
	if err != nil {
		return secret.Text{}, err
	}
	o, err := f.v.Issuer.Offer(t.Context(), a, f.in.User)
	if err != nil {
		return secret.Text{}, err
	}
	return f.v.Issuer.Authorize(t.Context(), storetest.Browser, a, o, f.in, r)
}

func (f flow) redeem(t *testing.T, code secret.Text) (issue.Tokens, error) {
	return f.v.Issuer.Redeem(t.Context(), storetest.Browser, issue.Redemption{Client: f.asked.Client, Code: code.Reveal(), Verifier: verifier})
}

func agreeing(t *testing.T, v *storetest.Services, name string) scene {
	f := waiting(t, v, name)
	return scene{func() error { return f.agree(t) }, func(t *testing.T, _ bool) {
		expect(t, "agreeing again", f.agree(t), 0)
		if list, err := v.Issuer.Agreements(t.Context(), f.in.User); err != nil || len(list) != 1 {
			t.Errorf("he agreed to %v, %v", list, err)
		}
	}}
}

func answering(t *testing.T, v *storetest.Services, name string) scene {
	f := waiting(t, v, name)
	expect(t, "agreeing", f.agree(t), 0)
	return scene{func() error { _, err := f.answer(t); return err }, func(t *testing.T, happened bool) {
		_, err := f.answer(t)
		expect(t, "answering again", err, kindIf(happened, fault.NotFound))
	}}
}

// Of two browsers that came with the same request_uri, one is answered.
func answeringPushed(t *testing.T, v *storetest.Services, name string) scene {
	f := waiting(t, v, name)
	expect(t, "agreeing", f.agree(t), 0)
	params, err := oauth.ParseForm(f.query())
	expect(t, "reading", err, 0)
	uri, err := v.Issuer.Push(t.Context(), storetest.Browser, f.asked.Client, params)
	expect(t, "pushing", err, 0)
	r, _, err := v.Issuer.Asked(t.Context(), url.Values{"client_id": {name}, "request_uri": {uri}}.Encode())
	expect(t, "coming with it", err, 0)
	beside := f
	_, f.id = f.save(t, r)
	_, beside.id = f.save(t, r)
	return scene{func() error { _, err := f.answer(t); return err }, func(t *testing.T, happened bool) {
		_, err := beside.answer(t)
		expect(t, "the other", err, kindIf(happened, fault.NotFound))
	}}
}

func redeeming(t *testing.T, v *storetest.Services, name string) scene {
	f := waiting(t, v, name)
	expect(t, "agreeing", f.agree(t), 0)
	code, err := f.answer(t)
	expect(t, "answering", err, 0)
	return scene{func() error { _, err := f.redeem(t, code); return err }, func(t *testing.T, happened bool) {
		tokens, err := f.redeem(t, code)
		if happened {
			dead(t, "redeeming it twice", err)
			return
		}
		expect(t, "redeeming it in the end", err, 0)
		if tokens.Access.IsZero() {
			t.Error("there is no token")
		}
	}}
}

func withdrawing(t *testing.T, v *storetest.Services, name string) scene {
	f := waiting(t, v, name)
	expect(t, "agreeing", f.agree(t), 0)
	code, err := f.answer(t)
	expect(t, "answering", err, 0)
	by := storetest.Browser
	by.Kind, by.ID = principal.User, f.in.User
	do := func() error { return v.Issuer.Withdraw(t.Context(), by, name) }
	return scene{do, func(t *testing.T, happened bool) {
		expect(t, "withdrawing again", do(), kindIf(happened, fault.NotFound))
		_, err := f.redeem(t, code)
		dead(t, "a code of what was withdrawn", err)
	}}
}
