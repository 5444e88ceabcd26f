package guard

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Principal is who a request acts for, as the access token or the API key says it. Each
// request has its own: a handler may change it.
type Principal struct {
	Subject       string    // "sub": the user, or the client that acts for itself
	ClientID      string    // "client_id": the application that asked for the token
	Scopes        []string  // "scope": the permissions, in the token's order
	Roles         []string  // "roles"
	Audience      []string  // "aud": the APIs that the token is for
	Organization  string    // "org": the organization that the permissions hold within; empty for none
	ID            string    // "jti": this token; may be empty
	KeyID         string    // the public id of the API key; empty for a token
	Family        string    // "fam": the public handle of the token family; may be empty
	Session       string    // "sid": the sign-in; may be empty
	PolicyVersion int64     // "pv": the version of the policy that the token was made under, or 0
	AuthTime      time.Time // "auth_time": when the user signed in, or zero
	ACR           string    // "acr": how well the user signed in; may be empty
	AMR           []string  // "amr": by which means
	Actor         *Actor    // "act": who acts for the subject; nil if he does so himself
	Via           []string  // "via": what an exchanged token came through, like "client:web"; empty for others
	Status        *Status   // "status": where the issuer says whether the token was revoked; nil if the token does not say
	Issued        time.Time // "iat", or zero
	Expires       time.Time // "exp", or zero for an API key without an end

	payload string
}

// Status is the place of a token in a status list (draft-ietf-oauth-status-list,
// Section 6.2).
type Status struct {
	URI   string // "uri": of the list
	Index int64  // "idx": of the token's bits in it
}

// Actor is who acts for the subject of a token that was exchanged (RFC 8693,
// Section 4.1). What is allowed follows from the subject's permissions and the actor
// alone: those before him are told for the record.
type Actor struct {
	Subject  string // "sub": the user, or the client that acts for itself
	ClientID string // "client_id": the application that he acts through; may be empty
	Before   *Actor // "act": who acted before him; nil for nobody
}

// clone returns a copy of a and of those before him.
func (a *Actor) clone() *Actor {
	if a == nil {
		return nil
	}
	return &Actor{a.Subject, a.ClientID, a.Before.clone()}
}

// isClient reports whether p is a client that acts for itself, or is acted for.
func (p *Principal) isClient() bool {
	return p.Subject == p.ClientID || len(p.Via) > 0 && slices.Contains(p.Via, "client:"+p.Subject)
}

// Has reports whether p holds a permission. Names are compared byte for byte.
func (p *Principal) Has(permission string) bool {
	return p != nil && slices.Contains(p.Scopes, permission)
}

// Claim returns a claim of the token as its JSON text, and whether it is there.
func (p *Principal) Claim(name string) (json.RawMessage, bool) {
	if p == nil {
		return nil, false
	}
	if !strings.Contains(p.payload, name) && !strings.Contains(p.payload, `\`) { // nor written in another way
		return nil, false
	}
	var found json.RawMessage
	// It was read before, whole: no error is left.
	_ = readObject(p.payload, func(s *scanner, n string) {
		if text := s.skip(); n == name {
			found = json.RawMessage(text)
		}
	})
	return found, found != nil
}

// clone returns a copy that shares nothing which can be changed: what a handler
// does to its Principal must not reach the cache. The lists are copied in
// one piece.
func (p *Principal) clone() *Principal {
	c := *p
	all := make([]string, 0, len(p.Scopes)+len(p.Roles)+len(p.Audience)+len(p.AMR)+len(p.Via))
	piece := func(s []string) []string {
		if s == nil {
			return nil
		}
		start := len(all)
		all = append(all, s...)
		return all[start:len(all):len(all)]
	}
	c.Scopes, c.Roles, c.Audience, c.AMR, c.Via = piece(p.Scopes), piece(p.Roles), piece(p.Audience), piece(p.AMR), piece(p.Via)
	c.Actor = p.Actor.clone()
	if p.Status != nil {
		at := *p.Status
		c.Status = &at
	}
	return &c
}

type contextKey struct{}

// NewContext returns a context in which PrincipalFrom finds p. Require does
// this; a test of a handler may do it too.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// PrincipalFrom returns who a request acts for, or nil if its context did not
// come through Require.
func PrincipalFrom(ctx context.Context) *Principal {
	p, _ := ctx.Value(contextKey{}).(*Principal)
	return p
}
