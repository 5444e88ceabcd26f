package oauth

import (
	"encoding/base64"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/secret"
)

// AuthMethod is how a client proves who it is (RFC 7591, Section 2).
type AuthMethod string

// The methods.
const (
	NoAuth AuthMethod = "none"                // it does not: anybody can be it
	Basic  AuthMethod = "client_secret_basic" // a secret in the header
	Post   AuthMethod = "client_secret_post"  // a secret in the body
	// It signs that it is the client (RFC 7523, Section 2.2; OpenID Connect Core 1.0,
	// Section 9).
	PrivateKeyJWT AuthMethod = "private_key_jwt"
)

// Secret reports whether the method is to show a secret that the server keeps, too.
func (m AuthMethod) Secret() bool { return m == Basic || m == Post }

// jwtAssertion is the type of such an assertion (RFC 7523, Section 2.2).
const jwtAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// GrantType is a way to earn a token.
type GrantType string

// The grants.
const (
	ClientCredentials GrantType = "client_credentials" // a client acts for itself (RFC 6749, Section 4.4)
	AuthorizationCode GrantType = "authorization_code" // a person let it act (RFC 6749, Section 4.1)
	RefreshToken      GrantType = "refresh_token"      // it goes on doing so (RFC 6749, Section 6)
	// A platform vouches for who acts as the client (RFC 7523, Section 2.1).
	JWTBearer  GrantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	DeviceCode GrantType = "urn:ietf:params:oauth:grant-type:device_code" // a person let it act, on another device (RFC 8628)
)

// Credentials are how a request says which client it comes from. None of it is
// proved yet.
type Credentials struct {
	ID        string
	Method    AuthMethod
	Secret    secret.Text // with Basic and Post
	Assertion secret.Text // with PrivateKeyJWT: a JWT
}

// unproved is the one answer to a client that did not prove who it is, whatever
// was wrong (RFC 6749, Section 5.2). Who used the header is answered with its
// scheme.
func unproved(header bool) *Error {
	return &Error{Code: InvalidClient, Description: "client authentication failed", Basic: header}
}

// Unproved is the error of a client whose credentials are wrong.
func (c Credentials) Unproved() *Error { return unproved(c.Method == Basic) }

// ParseCredentials reads a client's credentials from the values of the header
// Authorization and the parameters of the body (RFC 6749, Section 2.3.1). Errors:
// InvalidRequest for more than one credential, InvalidClient for none or one that
// cannot be read.
func ParseCredentials(header []string, p Params) (Credentials, error) {
	inBody := p.Get("client_secret") != ""
	asserted := p.Get("client_assertion") != "" || p.Get("client_assertion_type") != ""
	if len(header) > 1 || len(header) == 1 && (inBody || asserted) || inBody && asserted {
		return Credentials{}, invalid("the request carries more than one credential of a client")
	}
	if len(header) == 1 {
		c, ok := parseBasic(header[0])
		switch {
		case !ok:
			return Credentials{}, unproved(true)
		case p.Get("client_id") != "" && p.Get("client_id") != c.ID:
			return Credentials{}, invalid("client_id is not the client of the header")
		}
		return c, nil
	}
	if asserted {
		return parseAssertion(p)
	}
	c := Credentials{ID: p.Get("client_id"), Method: NoAuth}
	if c.ID == "" {
		return Credentials{}, unproved(false)
	}
	if inBody {
		c.Method, c.Secret = Post, secret.From(p.Get("client_secret"))
	}
	return c, nil
}

// parseAssertion reads an assertion. A request may leave out client_id, since the assertion
// says whose it is (RFC 7521, Section 4.2): that it says so proves nothing yet.
func parseAssertion(p Params) (Credentials, error) {
	text := p.Get("client_assertion")
	c := Credentials{ID: p.Get("client_id"), Method: PrivateKeyJWT, Assertion: secret.From(text)}
	if c.ID == "" {
		claims, err := jose.Peek(text)
		if err != nil {
			return Credentials{}, unproved(false).Because(err)
		}
		c.ID = claims.Subject
	}
	if p.Get("client_assertion_type") != jwtAssertion || text == "" || c.ID == "" {
		return Credentials{}, unproved(false)
	}
	return c, nil
}

// parseBasic reads the scheme Basic. The id and the secret in it are encoded like
// the values of a form (RFC 6749, Section 2.3.1).
func parseBasic(header string) (c Credentials, ok bool) {
	scheme, text, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") {
		return c, false
	}
	plain, err := base64.StdEncoding.Strict().DecodeString(strings.TrimLeft(text, " "))
	if err != nil {
		return c, false
	}
	id, password, ok := strings.Cut(string(plain), ":")
	if !ok {
		return c, false
	}
	id, err = url.QueryUnescape(id)
	if err != nil {
		return c, false
	}
	if password, err = url.QueryUnescape(password); err != nil {
		return c, false
	}
	if id == "" || password == "" || !utf8.ValidString(id) || !utf8.ValidString(password) || strings.Contains(id+password, "\x00") {
		return c, false
	}
	return Credentials{ID: id, Method: Basic, Secret: secret.From(password)}, true
}
