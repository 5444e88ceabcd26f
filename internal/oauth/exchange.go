package oauth

import "slices"

// TokenExchange trades a token for another one (RFC 8693).
const TokenExchange GrantType = "urn:ietf:params:oauth:grant-type:token-exchange"

// TokenType says what a token is (RFC 8693, Section 3).
type TokenType string

// The types. An access token of this server is a JWT: both names mean it.
const (
	AccessToken TokenType = "urn:ietf:params:oauth:token-type:access_token"
	JWT         TokenType = "urn:ietf:params:oauth:token-type:jwt"
	APIKey      TokenType = "urn:doorward:params:oauth:token-type:api-key" // of no specification
)

// Exchange is a request to trade a token for another one. Nothing of it is proved yet.
type Exchange struct {
	Subject     string // the token of whom the new one is to be about
	SubjectType TokenType
	Actor       string    // the token of who is to act for him; empty for none
	Requested   TokenType // AccessToken or JWT
	Target      string    // the one API that the new token is to be for
	Address     string    // where the holder of an API key is; empty where that is not known
}

// Actor is who acts for the subject of a token, and who did so before him
// (RFC 8693, Section 4.1).
type Actor struct {
	Subject string `json:"sub"`
	Client  string `json:"client_id,omitempty"`
	Before  *Actor `json:"act,omitempty"`
}

// ParseExchange reads what is the grant's own in a request (RFC 8693, Section 2.1).
// Errors: InvalidRequest, and InvalidTarget for none or more than one target.
func ParseExchange(r TokenRequest) (Exchange, error) {
	x := Exchange{
		Subject: r.Params.Get("subject_token"), SubjectType: TokenType(r.Params.Get("subject_token_type")),
		Actor: r.Params.Get("actor_token"), Requested: TokenType(r.Params.Get("requested_token_type")), Address: r.Params.Get("address"),
	}
	actorType := TokenType(r.Params.Get("actor_token_type"))
	if x.Requested == "" {
		x.Requested = AccessToken
	}
	switch {
	case x.Subject == "":
		return x, invalid("subject_token is missing")
	case !x.SubjectType.access() && x.SubjectType != APIKey:
		return x, invalid("subject_token_type is none that can be exchanged here")
	case (x.Actor == "") != (actorType == ""):
		return x, invalid("actor_token and actor_token_type come together")
	case x.Actor != "" && !actorType.access():
		return x, invalid("actor_token_type is none that can act here")
	case !x.Requested.access():
		return x, invalid("requested_token_type is none that is issued here")
	}
	targets := slices.Concat(r.Resource, r.Params["audience"])
	slices.Sort(targets)
	if targets = slices.Compact(targets); len(targets) != 1 {
		return x, &Error{Code: InvalidTarget, Description: "a token is for one target: name it by resource or audience"}
	}
	x.Target = targets[0]
	return x, CheckResource(x.Target)
}

// access reports whether a type is that of access tokens.
func (t TokenType) access() bool { return t == AccessToken || t == JWT }
