package provider

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/web"
)

// Token is an access token that is good now.
type Token struct {
	principal.Principal
	ID       string   // "jti"
	Audience []string // "aud"
	// The name of the organization that it is for, if any.
	OrganizationName string
	Roles            []string
	AuthTime         time.Time
	ACR              string
	AMR              []string
	Actor            *oauth.Actor    // who acts for the principal, if it was exchanged
	MayAct           json.RawMessage // "may_act"; nil for none
	Via              []string        // what it came through, if it was exchanged
	Issued           time.Time
	Expires          time.Time
}

// judged is the answer of introspection (RFC 7662, Section 2.2). Of a token that is
// not good, or that is not for who asks, it says no more than that.
type judged struct {
	Active   bool     `json:"active"`
	Scope    string   `json:"scope,omitempty"`
	Client   string   `json:"client_id,omitempty"`
	Username string   `json:"username,omitempty"`
	Type     string   `json:"token_type,omitempty"`
	Expires  int64    `json:"exp,omitempty"`
	Issued   int64    `json:"iat,omitempty"`
	Begins   int64    `json:"nbf,omitempty"`
	Subject  string   `json:"sub,omitempty"`
	Audience []string `json:"aud,omitempty"`
	Issuer   string   `json:"iss,omitempty"`
	ID       string   `json:"jti,omitempty"`
	KeyID    string   `json:"key_id,omitempty"` // of an API key; of no specification
	Org      string   `json:"org,omitempty"`
	OrgName  string   `json:"org_name,omitempty"`
	// How and when the person signed in, to whom that matters (RFC 9470, Section 6.2).
	ACR      string `json:"acr,omitempty"`
	AuthTime int64  `json:"auth_time,omitempty"`
	// Who acts for the subject (RFC 8693, Section 4.1).
	Act *oauth.Actor `json:"act,omitempty"`
}

// Introspect says whether an access token is good, and what it says, to the client
// that it was issued to and to those APIs that it is for (RFC 7662). It says the same of
// an API key, to those APIs that it may be used at.
func (p *Provider) Introspect(w http.ResponseWriter, r *http.Request) error {
	params, given, err := form(w, r)
	if err != nil {
		return err
	}
	c, err := p.confidential(r, given)
	if err != nil {
		return err
	}
	text := params.Get("token")
	if text == "" {
		return &oauth.Error{Code: oauth.InvalidRequest, Description: "token is missing"}
	}
	var answer judged
	if apikey.Like(text) {
		answer, err = p.judgeKey(r, c, text, params.Get("address"))
	} else {
		answer, err = p.judgeToken(r, c, text)
	}
	if err != nil {
		return err
	}
	outcome := audit.Failure
	if answer.Active {
		outcome = audit.Success
	}
	p.Count(c.Target(), "POST /oauth2/introspect", outcome)
	return web.JSON(w, http.StatusOK, answer)
}

func (p *Provider) judgeToken(r *http.Request, c client.Client, text string) (judged, error) {
	t, good, err := p.Judge(r.Context(), text)
	if err != nil || !good || !mayKnow(c, t) {
		return judged{}, err
	}
	return p.describe(r, c, t)
}

// judgeKey says what an API key is good for at the API that asks, where its holder came
// from address. A client that is no API learns of none. One that is used too often is
// neither active nor not: the fault is Limited.
func (p *Provider) judgeKey(r *http.Request, c client.Client, text, address string) (judged, error) {
	if len(c.Audiences) == 0 {
		return judged{}, nil
	}
	b, err := p.Bearer(r.Context(), access.Shown{Text: text, By: web.By(r.Context()), Address: address, At: c.Audiences})
	if fault.KindOf(err) == fault.Unauthenticated {
		return judged{}, nil
	} else if err != nil {
		return judged{}, err
	}
	answer := judged{
		Active: true, Scope: oauth.FormatScope(b.Scopes), Username: b.Username, Type: "api_key", Issued: b.SecretAt.Unix(), Begins: b.SecretAt.Unix(),
		Subject: b.Owner.ID, Audience: b.At(c.Audiences), Issuer: p.issuer, KeyID: b.ID,
	}
	if b.Owner.Kind == principal.Service {
		answer.Client = b.Owner.ID
	}
	if !b.ExpiresAt.IsZero() {
		answer.Expires = b.ExpiresAt.Unix()
	}
	return answer, nil
}

// isFor reports whether a client is an API that a token is for.
func isFor(c client.Client, t Token) bool {
	return slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(c.Audiences, a) })
}

// mayKnow reports whether a client may know what a token says.
func mayKnow(c client.Client, t Token) bool {
	return t.Client == c.ID || isFor(c, t)
}

// describe returns what a good token says. Of an account that is gone it is not good. An
// API learns whose it is; an application, what it may call him.
func (p *Provider) describe(r *http.Request, c client.Client, t Token) (judged, error) {
	answer := judged{
		Active: true, Scope: oauth.FormatScope(t.Scopes), Client: t.Client, Type: "Bearer",
		Expires: t.Expires.Unix(), Issued: t.Issued.Unix(), Begins: t.Issued.Unix(), Subject: t.Principal.ID, Audience: t.Audience, Issuer: p.issuer, ID: t.ID,
		Org: t.Organization, OrgName: t.OrganizationName, Act: t.Actor, ACR: t.ACR,
	}
	if !t.AuthTime.IsZero() {
		answer.AuthTime = t.AuthTime.Unix()
	}
	if t.Kind == principal.User {
		u, err := p.Accounts.User(r.Context(), t.Principal.ID)
		if fault.KindOf(err) == fault.NotFound { // deleted, and the news has not come yet
			return judged{}, nil
		} else if err != nil {
			return judged{}, err
		}
		if answer.Username = u.Username; c.SubjectType == client.PairwiseSubjects && !isFor(c, t) {
			answer.Username = ""
			answer.Subject, err = p.Issuer.Subject(c, u.ID)
			return answer, err
		}
	}
	return answer, nil
}
