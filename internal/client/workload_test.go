package client

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
)

const platform = "https://platform.example"

func pod(t testing.TB, subject string) Workload {
	t.Helper()
	return Workload{Issuer: platform, Subject: subject, JWKS: &KeySet{[]map[string]any{member(t, "k", jose.ES256)}}}
}

func (p *prover) workload(t *testing.T, id string, list ...Workload) Client {
	t.Helper()
	c, text := p.create(t, Draft{ID: id, Method: oauth.NoAuth, Registration: Registration{Workloads: list}})
	if !text.IsZero() || !c.May(oauth.JWTBearer) || len(c.Grants) != 1 {
		t.Errorf("a client of workloads: %+v", c)
	}
	return c
}

// platformClaims are those of a good token of a platform, with changes.
func (p *prover) platformClaims(subject string, changes map[string]any) map[string]any {
	c := p.claims("", map[string]any{"iss": platform, "sub": subject, "jti": nil, "exp": p.now.Add(time.Hour).Unix(), "kubernetes.io": map[string]any{"namespace": "prod"}})
	for name, v := range changes {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

func TestProveWorkload(t *testing.T) {
	p := newProver()
	broken := pod(t, "pod:billing")
	broken.JWKS = &KeySet{[]map[string]any{member(t, "k", jose.EdDSA)}}
	named := pod(t, "pod:named")
	named.Audience = "doorward"
	c := p.workload(t, "billing", broken, pod(t, "pod:billing"), pod(t, "repo:shop/*"), pod(t, "repo:web:*"), named)
	for subject, want := range map[string]bool{
		"pod:billing": true, "repo:shop/main": true, "repo:shop/a/b": true, "repo:web:ref": true, "repo:shop/": false, "repo:shop": false, "repo:shopping/main": false, "pod:billing2": false, "pod:BILLING": false, "pod:other": false, "": false, "repo:web:*": true, "*": false,
	} {
		w, err := p.ProveWorkload(t.Context(), c, signed(t, jose.ES256, "k", "", p.platformClaims(subject, nil)))
		if (err == nil) != want || err == nil && (w.Subject != subject || w.String() != platform+" "+subject) {
			t.Errorf("%q: %+v, %v", subject, w, err)
		}
		if err != nil {
			refuses(t, subject, err)
		}
	}
	at := func(d time.Duration) int64 { return p.now.Add(d).Unix() }
	for what, tt := range map[string]struct {
		changes map[string]any
		want    bool
	}{
		"several audiences": {map[string]any{"aud": []string{"other", testIssuer}}, true}, "another audience": {map[string]any{"aud": "other"}, false}, "another's audience": {map[string]any{"aud": "doorward"}, false}, "no audience": {map[string]any{"aud": nil}, false},
		"another issuer": {map[string]any{"iss": "https://evil.example"}, false}, "an issuer with a slash": {map[string]any{"iss": platform + "/"}, false}, "no issuer": {map[string]any{"iss": nil}, false},
		"expired": {map[string]any{"exp": at(-time.Minute)}, false}, "no exp": {map[string]any{"exp": nil}, false}, "two days": {map[string]any{"exp": at(48 * time.Hour)}, false}, "not yet": {map[string]any{"nbf": at(time.Minute)}, false}, "from the future": {map[string]any{"iat": at(time.Minute)}, false},
		"old": {map[string]any{"iat": at(-20 * time.Hour)}, true},
	} {
		_, err := p.ProveWorkload(t.Context(), c, signed(t, jose.ES256, "k", "JWT", p.platformClaims("pod:billing", tt.changes)))
		if (err == nil) != tt.want {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := p.ProveWorkload(t.Context(), c, signed(t, jose.ES256, "k", "", p.platformClaims("pod:named", map[string]any{"aud": "doorward"}))); err != nil {
		t.Errorf("an audience of its own: %v", err)
	}
	for _, typ := range []string{"at+jwt", "logout+jwt", "dpop+jwt", "client-authentication+jwt"} {
		_, err := p.ProveWorkload(t.Context(), c, signed(t, jose.ES256, "k", typ, p.platformClaims("pod:billing", nil)))
		refuses(t, typ, err)
	}
	_, err := p.ProveWorkload(t.Context(), c, signed(t, jose.RS256, "k", "", p.platformClaims("pod:billing", nil)))
	refuses(t, "another key", err)
	// Shown again, as platforms give one for an hour.
	token := signed(t, jose.ES256, "k", "", p.platformClaims("pod:billing", nil))
	for range 2 {
		if _, err := p.ProveWorkload(t.Context(), c, token); err != nil {
			t.Error(err)
		}
	}
}

func TestCheckWorkloads(t *testing.T) {
	p := newProver()
	p.assertions.Fetch = &publication{}
	for what, tt := range map[string]struct {
		to    func(*Workload)
		field string
	}{
		"good": {func(*Workload) {}, ""}, "published": {func(w *Workload) { w.JWKS, w.JWKSURI = nil, "https://a.example/keys" }, ""}, "an audience": {func(w *Workload) { w.Audience = "doorward" }, ""},
		"no issuer": {func(w *Workload) { w.Issuer = "" }, "workloads"}, "no subject": {func(w *Workload) { w.Subject = "" }, "workloads"}, "any": {func(w *Workload) { w.Subject = "*" }, "workloads"}, "any below nothing": {func(w *Workload) { w.Subject = "/*" }, "workloads"},
		"a prefix": {func(w *Workload) { w.Subject = "repo:shop*" }, "workloads"}, "two stars": {func(w *Workload) { w.Subject = "repo:*/*" }, "workloads"}, "a star within": {func(w *Workload) { w.Subject = "repo:*:main" }, "workloads"}, "below": {func(w *Workload) { w.Subject = "repo:shop/*" }, ""},
		"a space": {func(w *Workload) { w.Subject = "a b" }, "workloads"}, "a long one": {func(w *Workload) { w.Issuer = strings.Repeat("a", 3000) }, "workloads"}, "no keys": {func(w *Workload) { w.JWKS = nil }, "workloads"}, "both": {func(w *Workload) { w.JWKSURI = "https://a.example/keys" }, "workloads"},
		"no key": {func(w *Workload) { w.JWKS = &KeySet{} }, "workloads"}, "a place that is refused": {func(w *Workload) { w.JWKS, w.JWKSURI = nil, "https://refused.example" }, "workloads"}, "a line break": {func(w *Workload) { w.Audience = "a\nb" }, "workloads"},
	} {
		w := pod(t, "pod:billing")
		tt.to(&w)
		_, _, err := p.Create(t.Context(), principal.Principal{}, Draft{Method: oauth.NoAuth, Registration: Registration{Workloads: []Workload{w}}})
		f, _ := errors.AsType[*fault.Error](err)
		if (err == nil) != (tt.field == "") || err != nil && (f == nil || f.Field != tt.field) {
			t.Errorf("%s: %v, want a fault of %q", what, err, tt.field)
		}
	}
	for what, d := range map[string]Draft{
		"the grant without one": {Method: oauth.NoAuth, Grants: []oauth.GrantType{oauth.JWTBearer}},
		"eleven":                {Method: oauth.NoAuth, Registration: Registration{Workloads: make([]Workload, 11)}},
		"client_credentials":    {Method: oauth.NoAuth, Grants: []oauth.GrantType{oauth.JWTBearer, oauth.ClientCredentials}, Registration: Registration{Workloads: []Workload{pod(t, "a")}}},
	} {
		if _, _, err := p.Create(t.Context(), principal.Principal{}, d); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Whoever names a workload opens the client to it; who takes one away does not.
	with, without := Client{Method: oauth.Basic, Registration: Registration{Workloads: []Workload{pod(t, "a")}}}, Client{Method: oauth.Basic}
	if !without.Opens(with) || with.Opens(without) || with.Opens(with) {
		t.Error("a workload is no other way in")
	}
}
