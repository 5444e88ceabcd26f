package client

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/oauth"
)

// Registration is what an application that people sign in to is registered as, by the
// names of RFC 7591, Section 2, of OpenID Connect Dynamic Client Registration 1.0,
// Section 2, and ours. It is kept as one value, of which the database knows nothing.
type Registration struct {
	ApplicationType ApplicationType `json:"application_type,omitempty" enum:"web,native" doc:"web if it is absent; native for one that runs on people's own devices"`
	RedirectURIs    []string        `json:"redirect_uris,omitempty" doc:"Where people are sent back to with a code, byte by byte"`
	// PostLogoutRedirectURIs are compared byte by byte (OpenID Connect RP-Initiated Logout
	// 1.0, Section 3.1).
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty" doc:"Where people may be sent back to once they are signed out, byte by byte"`
	Logout
	// Whoever runs the server answers for an application of his own: people are not asked
	// whether they trust it.
	SkipConsent bool `json:"skip_consent,omitempty" doc:"People are not asked: for the operator's own applications"`
	// Only a confidential client may go without.
	RequirePKCE *bool `json:"require_pkce,omitempty" nullable:"false" doc:"true if it is absent. A confidential client may be let go without"`
	// RFC 9126, Section 6.
	RequirePushed bool `json:"require_pushed_authorization_requests,omitempty" doc:"People are sent with requests alone that it pushed before (POST /oauth2/par)"`

	IDTokenAlg jose.Algorithm `json:"id_token_signed_response_alg,omitempty" enum:"RS256,PS256,ES256,EdDSA" doc:"RS256 if it is absent"`
	// OpenID Connect Core 1.0, Section 5.4, has them at the userinfo endpoint, which not all
	// software asks.
	IDTokenClaims bool `json:"id_token_claims,omitempty" doc:"Its ID tokens tell what userinfo tells by their scopes, for software that reads these alone"`
	// Lifetimes, in seconds; 0 for the server's.
	AccessTTL  int64 `json:"access_token_ttl,omitempty" minimum:"0" maximum:"86400" doc:"How many seconds an access token lives at the most"`
	RefreshTTL int64 `json:"refresh_token_ttl,omitempty" minimum:"0" maximum:"31536000" doc:"How many seconds a family of refresh tokens lives; the server's setting if it is absent"`
	// Rotation is what becomes of a refresh token that is used.
	Rotation      Rotation `json:"refresh_token_rotation,omitempty" enum:"rotate,bound" doc:"rotate if it is absent: each use gives another. bound, for confidential clients alone: it stays the same"`
	RotationGrace int64    `json:"rotation_grace,omitempty" minimum:"0" maximum:"30" doc:"For how many seconds the retry of a spent refresh token is given the same successor"`

	// What proves a client by its keys, private_key_jwt: they are given, or where it
	// publishes them.
	JWKS              *KeySet           `json:"jwks,omitempty" doc:"The public keys that it proves itself by (RFC 7517)"`
	JWKSURI           string            `json:"jwks_uri,omitempty" doc:"Where it publishes them, by https: then it may change them itself"`
	AssertionAlg      jose.Algorithm    `json:"token_endpoint_auth_signing_alg,omitempty" enum:"RS256,PS256,ES256,EdDSA" doc:"What it signs its assertions by; any of them if it is absent"`
	AssertionAudience AssertionAudience `json:"assertion_audience,omitempty" enum:"issuer,token_endpoint" doc:"Whom its assertions are for (aud): the issuer alone if it is absent. token_endpoint is for software that names the token endpoint, or where it pushes requests"`

	// Workloads are what may act as the client by what its platform signs.
	Workloads []Workload `json:"workloads,omitempty" doc:"Programs that may act as the client by what their platform signs: the grant urn:ietf:params:oauth:grant-type:jwt-bearer"`

	ClientURI string `json:"client_uri,omitempty" doc:"Its home page, as the consent page links it"`
	PolicyURI string `json:"policy_uri,omitempty" doc:"What it says of people's data"`
	TermsURI  string `json:"tos_uri,omitempty" doc:"Its terms"`
	// No page here shows it: it would tell whoever keeps it who looks at which page.
	LogoURI string `json:"logo_uri,omitempty" doc:"Its logo. It is kept, and shown nowhere"`
	// Where the application itself begins a sign-in (OpenID Connect Core 1.0, Section 4).
	InitiateLoginURI string   `json:"initiate_login_uri,omitempty" doc:"Where people are sent who begin at /account: the application then begins the sign-in"`
	Contacts         []string `json:"contacts,omitempty" doc:"Whom to write to about it; at most 10"`
	SoftwareID       string   `json:"software_id,omitempty" doc:"Which program it is, the same for all its clients"`
	SoftwareVersion  string   `json:"software_version,omitempty"`

	SubjectType SubjectType `json:"subject_type,omitempty" enum:"public,pairwise" doc:"public if it is absent: sub is the account's id. pairwise: sub is another for each sector"`
	SectorURI   string      `json:"sector_identifier_uri,omitempty" doc:"Where the redirect URIs of all clients of a sector are listed, by https; its host is the sector"`
	// UserinfoAlg signs what the userinfo endpoint tells (OpenID Connect Core 1.0, Section
	// 5.3.2).
	UserinfoAlg jose.Algorithm `json:"userinfo_signed_response_alg,omitempty" enum:"RS256,PS256,ES256,EdDSA" doc:"By what userinfo is signed, as a JWT; it is plain JSON if it is absent"`

	DefaultMaxAge   *int64 `json:"default_max_age,omitempty" minimum:"0" doc:"max_age, in seconds, where a request names none"`
	RequireAuthTime bool   `json:"require_auth_time,omitempty"`
	// What is reached, the tokens say: a class that is only wanted refuses nobody.
	DefaultACR []string `json:"default_acr_values,omitempty" doc:"acr_values, the classes of authentication that are wanted, where a request names none; the first is wanted most"`
}

// ApplicationType is where an application runs.
type ApplicationType string

// The types.
const (
	Web    ApplicationType = "web"
	Native ApplicationType = "native"
)

// Rotation is what becomes of a refresh token that is used.
type Rotation string

// The policies.
const (
	Rotate Rotation = "rotate" // each use gives another, and a spent one ends the family
	Bound  Rotation = "bound"  // it stays, bound to a client that proves itself
)

const (
	mostRedirects = 10
	mostGrace     = 30
	mostLines     = 10 // of what a client says of itself more than once
	mostClasses   = 10
)

// Public reports whether anybody can be the client: it has nothing to prove itself by.
func (c Client) Public() bool { return c.Method == oauth.NoAuth }

// Native reports whether the application runs on people's own devices.
func (c Client) Native() bool { return c.ApplicationType == Native }

// NeedsPKCE reports whether each of the client's requests brings a code challenge.
func (c Client) NeedsPKCE() bool { return c.Public() || c.RequirePKCE == nil || *c.RequirePKCE }

// SignsIDTokensWith returns the algorithm of the client's ID tokens.
func (c Client) SignsIDTokensWith() jose.Algorithm {
	if c.IDTokenAlg == "" {
		return jose.RS256
	}
	return c.IDTokenAlg
}

// AccessLasts returns how long an access token of the client lives, where the server's
// live ttl: not longer.
func (c Client) AccessLasts(ttl time.Duration) time.Duration {
	return min(orSeconds(c.AccessTTL, ttl), ttl)
}

// RefreshLasts is AccessLasts for a family of refresh tokens.
func (c Client) RefreshLasts(ttl time.Duration) time.Duration {
	return orSeconds(c.RefreshTTL, ttl)
}

func orSeconds(n int64, d time.Duration) time.Duration {
	if n == 0 {
		return d
	}
	return time.Duration(n) * time.Second
}

// checkRegistration is the part of Check that is about these.
func (c *Client) checkRegistration() error {
	if c.ApplicationType != "" && c.ApplicationType != Web && c.ApplicationType != Native {
		return fault.At("application_type", "it is web or native")
	}
	if len(c.RedirectURIs) > mostRedirects {
		return fault.At("redirect_uris", "there are at most %d", mostRedirects)
	}
	for _, uri := range c.RedirectURIs {
		if err := oauth.CheckRedirectURI(uri, c.Native()); err != nil {
			return fault.At("redirect_uris", "%s", oauth.Describe(err)).Because(err)
		}
	}
	if len(c.PostLogoutRedirectURIs) > mostRedirects {
		return fault.At("post_logout_redirect_uris", "there are at most %d", mostRedirects)
	}
	for _, uri := range c.PostLogoutRedirectURIs {
		if err := oauth.CheckRedirectURI(uri, c.Native()); err != nil {
			return fault.At("post_logout_redirect_uris", "%s", oauth.Describe(err)).Because(err)
		}
	}
	if err := cmp.Or(c.checkKeys(), c.checkLogout(), c.checkAbout(), c.checkWanted(), c.checkSubjects()); err != nil {
		return err
	}
	switch {
	case c.May(oauth.AuthorizationCode) && len(c.RedirectURIs) == 0:
		return fault.At("redirect_uris", "the grant authorization_code needs one")
	case c.Public() && c.May(oauth.ClientCredentials):
		return fault.At("grant_types", "a client that proves nothing does not act for itself")
	case c.Public() && c.May(oauth.TokenExchange):
		return fault.At("grant_types", "a client that proves nothing exchanges no tokens")
	case c.May(oauth.RefreshToken) && !slices.ContainsFunc(c.Grants, begins):
		return fault.At("grant_types", "refresh_token continues what another grant begins")
	case c.Public() && c.RequirePKCE != nil && !*c.RequirePKCE:
		return fault.At("require_pkce", "a client that proves nothing needs it")
	case c.Rotation != "" && c.Rotation != Rotate && c.Rotation != Bound:
		return fault.At("refresh_token_rotation", "it is rotate or bound")
	case c.Rotation == Bound && c.Public():
		return fault.At("refresh_token_rotation", "a client that proves nothing is bound to nothing")
	case c.RotationGrace < 0 || c.RotationGrace > mostGrace:
		return fault.At("rotation_grace", "it is at most %d seconds", mostGrace)
	case c.AccessTTL < 0 || c.AccessTTL > int64(24*time.Hour/time.Second):
		return fault.At("access_token_ttl", "it is at most a day")
	case c.RefreshTTL < 0 || c.RefreshTTL > int64(365*24*time.Hour/time.Second):
		return fault.At("refresh_token_ttl", "it is at most a year")
	}
	return nil
}

// checkWanted is the part of Check that is about what a request wants that does not say.
func (c *Client) checkWanted() error {
	switch {
	case len(c.DefaultACR) > mostClasses || slices.ContainsFunc(c.DefaultACR, oddClass):
		return fault.At("default_acr_values", "they are at most %d words of visible ASCII", mostClasses)
	case c.DefaultMaxAge != nil && *c.DefaultMaxAge < 0:
		return fault.At("default_max_age", "it is a number of seconds")
	}
	return nil
}

// checkAbout is the part of it that is about what the client says of itself, and what
// others tell it.
func (c *Client) checkAbout() error {
	for _, p := range []struct{ field, uri string }{
		{"client_uri", c.ClientURI}, {"policy_uri", c.PolicyURI}, {"tos_uri", c.TermsURI}, {"logo_uri", c.LogoURI}, {"initiate_login_uri", c.InitiateLoginURI},
	} {
		if p.uri != "" && oauth.CheckPageURI(p.uri) != nil {
			return fault.At(p.field, "it is an https URI")
		}
	}
	for _, a := range []struct {
		field string
		alg   jose.Algorithm
	}{{"id_token_signed_response_alg", c.IDTokenAlg}, {"userinfo_signed_response_alg", c.UserinfoAlg}} {
		if a.alg != "" && !slices.Contains(idTokenAlgs, a.alg) {
			return fault.At(a.field, "it is RS256, PS256, ES256 or EdDSA")
		}
	}
	for _, l := range []struct {
		field string
		lines []string
	}{{"contacts", c.Contacts}, {"software_id", []string{c.SoftwareID}}, {"software_version", []string{c.SoftwareVersion}}} {
		if len(l.lines) > mostLines {
			return fault.At(l.field, "there are at most %d", mostLines)
		}
		for _, line := range l.lines {
			if !utf8.ValidString(line) || len(line) > mostName || !printable(line) {
				return fault.At(l.field, "it is a line of at most %d bytes", mostName)
			}
		}
	}
	return nil
}

var idTokenAlgs = []jose.Algorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

// oddClass reports whether a class of authentication cannot stand in a list of them (OpenID
// Connect Core 1.0, Section 3.1.2.1).
func oddClass(class string) bool {
	return class == "" || len(class) > 200 || strings.ContainsFunc(class, func(r rune) bool { return r <= ' ' || r > '~' })
}

// IDTokenAlgs returns the algorithms by which what a client is told of people can be
// signed.
func IDTokenAlgs() []jose.Algorithm { return slices.Clone(idTokenAlgs) }

// begins reports whether a grant gives refresh tokens.
func begins(g oauth.GrantType) bool { return g == oauth.AuthorizationCode || g == oauth.DeviceCode }
