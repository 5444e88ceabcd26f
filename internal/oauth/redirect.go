package oauth

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const longestURI = 2048

// reserved are parameters of an authorization response: a registered URI that brings
// one along would have it twice, or in the place of ours.
var reserved = []string{"code", "state", "iss", "error", "error_description", "error_uri", "response", "session_state", "id_token", "access_token", "token_type", "expires_in", "scope"}

// private is the scheme of a native application: a domain name that it has, turned
// round (RFC 8252, Section 7.1).
var private = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z0-9-]+)+$`)

// CheckRedirectURI returns an error for what no client can be registered with: where
// browsers are sent to with a code (RFC 6749, Section 3.1.2; RFC 8252, Section 7; RFC
// 9700, Section 2.1). It is an https URI, or an http one at the loopback interface; a
// native application may have a scheme of its own. There is no fragment in it, no
// user, no wildcard and no parameter of an answer.
func CheckRedirectURI(uri string, native bool) error {
	bad := func(why string) error {
		return &Error{Code: InvalidRedirectURI, Description: "a redirect URI " + why}
	}
	u, err := plainURI(uri)
	switch {
	case err != nil:
		return bad("is an absolute URI without a fragment, a user or characters that must be escaped")
	case strings.Contains(uri, "*"):
		return bad("is matched byte by byte: it has no wildcards")
	case u.Scheme == "https":
	case u.Scheme == "http":
		if !loopback(u.Hostname()) && u.Hostname() != "localhost" {
			return bad("is an https one, but on this machine")
		}
	case !native || !private.MatchString(u.Scheme) || u.Opaque != "":
		return bad("is an https one; a native application may have a scheme like com.example.app")
	}
	if web := u.Scheme == "https" || u.Scheme == "http"; web && u.Hostname() == "" {
		return bad("has a host")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("has a query that can be read")
	}
	for _, name := range reserved {
		if q.Has(name) {
			return bad("has no parameter of the answer in its query")
		}
	}
	return nil
}

// hosts is how a host is spelled: with the characters of names and addresses alone, so
// that it can stand in a header (Content-Security-Policy) without ending what it is in.
var hosts = regexp.MustCompile(`^([a-z0-9._-]*|\[[0-9a-f:.]+\])(:[0-9]+)?$`)

// plainURI parses an absolute URI that is spelled as the parser writes it.
func plainURI(uri string) (*url.URL, error) {
	if len(uri) > longestURI || strings.ContainsAny(uri, "# \"<>\\^`{|}") {
		return nil, invalid("the URI holds what it cannot")
	}
	for i := range len(uri) {
		if uri[i] < 0x21 || uri[i] > 0x7e {
			return nil, invalid("the URI is not of visible ASCII")
		}
	}
	u, err := url.Parse(uri)
	if err != nil || !u.IsAbs() || u.User != nil || u.String() != uri || !hosts.MatchString(u.Host) {
		return nil, invalid("the URI cannot be read, or is spelled in another way than it is usual")
	}
	return u, nil
}

// loopback reports whether a host is the loopback interface, as an address.
func loopback(host string) bool { return host == "127.0.0.1" || host == "::1" }

// MatchRedirectURI returns where an answer goes that a request asks to send to a URI: it
// is one of the registered ones byte by byte, but for the port of a native application
// at the loopback interface, which it is given when it runs (RFC 8252, Section 7.3). A
// request that names none means the only one (RFC 6749, Section 3.1.2.3).
func MatchRedirectURI(registered []string, asked string, native bool) (string, bool) {
	if asked == "" {
		if len(registered) != 1 {
			return "", false
		}
		return registered[0], true
	}
	if slices.Contains(registered, asked) {
		return asked, true
	}
	if !native {
		return "", false
	}
	plain, ok := withoutPort(asked)
	if !ok {
		return "", false
	}
	return asked, slices.ContainsFunc(registered, func(r string) bool {
		known, ok := withoutPort(r)
		return ok && known == plain
	})
}

// withoutPort returns an http URI at a loopback address without its port.
func withoutPort(uri string) (string, bool) {
	u, err := plainURI(uri)
	if err != nil || u.Scheme != "http" || !loopback(u.Hostname()) {
		return "", false
	}
	if port := u.Port(); port != "" {
		if _, err := netip.ParseAddrPort("127.0.0.1:" + port); err != nil {
			return "", false
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return "", false
	}
	u.Host = u.Hostname()
	return u.String(), true
}

// Target is where the answer to an authorization request goes. Only NewTarget makes one,
// of a redirect URI that was matched: without a Target nothing can be redirected.
type Target struct {
	uri    string
	mode   ResponseMode
	state  string
	issuer string
}

// ResponseMode is how an answer travels (OAuth 2.0 Multiple Response Type Encoding
// Practices; OAuth 2.0 Form Post Response Mode).
type ResponseMode string

// The modes.
const (
	Query    ResponseMode = "query"
	FormPost ResponseMode = "form_post"
)

// NewTarget returns the target of a matched redirect URI. state comes back as it came.
func NewTarget(matched string, mode ResponseMode, state, issuer string) Target {
	return Target{matched, mode, state, issuer}
}

// URI returns the redirect URI.
func (t Target) URI() string { return t.uri }

// Mode returns how the answer travels.
func (t Target) Mode() ResponseMode { return t.mode }

// Source returns what a page's policy must let a form's answer go to (Content Security
// Policy Level 3, Section 2.3.1). It cannot name IPv6 addresses: there it is the scheme.
func (t Target) Source() string {
	o := t.Origin()
	if scheme, _, found := strings.Cut(o, "//["); found {
		return scheme
	}
	return o
}

// Origin returns whom the answer goes to: an origin, or the scheme of a native
// application with its colon.
func (t Target) Origin() string {
	u, err := url.Parse(t.uri)
	if err != nil {
		return ""
	}
	if u.Scheme == "https" || u.Scheme == "http" {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}

// Pair is a parameter of an answer.
type Pair struct{ Name, Value string }

// Code returns the answer that brings a code (RFC 6749, Section 4.1.2).
func (t Target) Code(code string) []Pair { return t.with(Pair{"code", code}) }

// Refuse returns the answer that tells an error (RFC 6749, Section 4.1.2.1).
func (t Target) Refuse(e *Error) []Pair {
	return t.with(Pair{"error", string(e.Code)}, Pair{"error_description", e.Description})
}

// Back returns the answer that has nothing to say but the state (OpenID Connect
// RP-Initiated Logout 1.0, Section 3).
func (t Target) Back() []Pair {
	if t.state == "" {
		return nil
	}
	return []Pair{{"state", t.state}}
}

// Begin returns the URI at which a client is told to begin a sign-in (OpenID Connect Core
// 1.0, Section 4).
func (t Target) Begin() string { return t.Location([]Pair{{"iss", t.issuer}}) }

// with adds what every answer has: the state, and who answers (RFC 9207, Section 2).
func (t Target) with(pairs ...Pair) []Pair {
	if t.state != "" {
		pairs = append(pairs, Pair{"state", t.state})
	}
	return append(pairs, Pair{"iss", t.issuer})
}

// Location returns the URI of an answer that travels in the query.
func (t Target) Location(pairs []Pair) string {
	var b strings.Builder
	b.WriteString(t.uri)
	separator := byte('?')
	if _, query, found := strings.Cut(t.uri, "?"); found {
		separator = '&'
		if query == "" || strings.HasSuffix(query, "&") {
			separator = 0
		}
	}
	for _, p := range pairs {
		if separator != 0 {
			b.WriteByte(separator)
		}
		separator = '&'
		b.WriteString(p.Name + "=" + url.QueryEscape(p.Value))
	}
	return b.String()
}

// CheckPageURI returns an error for what people cannot be shown as a link.
func CheckPageURI(uri string) error {
	u, err := plainURI(uri)
	if err == nil && (u.Scheme != "https" || u.Hostname() == "") {
		err = invalid("a page is an https URI")
	}
	return err
}

// frames is the host of what a page may name as a frame: its policy has no form for IPv6
// addresses (Content Security Policy Level 3, Section 2.3.1).
var frames = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?(:[1-9][0-9]{0,4})?$`)

// BesideOneOf reports whether a URI is of the scheme, host and port of a redirect URI
// (OpenID Connect Front-Channel Logout 1.0, Section 2): what a page here may frame.
func BesideOneOf(redirects []string, uri string) bool {
	u, err := plainURI(uri)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || !frames.MatchString(u.Host) {
		return false
	}
	return slices.ContainsFunc(redirects, func(redirect string) bool {
		r, err := plainURI(redirect)
		return err == nil && r.Scheme == u.Scheme && r.Host == u.Host
	})
}

// Frame is what a browser loads to be signed out of a client.
type Frame struct{ URI, Origin string }

// NewFrame returns the frame of a client's URI, as BesideOneOf lets it be registered. If session
// is not empty, it says who signs out, and of which session (OpenID Connect Front-Channel
// Logout 1.0, Section 2).
func NewFrame(uri, issuer, session string) (Frame, error) {
	u, err := plainURI(uri)
	if err != nil {
		return Frame{}, err
	}
	if session != "" {
		more := url.Values{"iss": {issuer}, "sid": {session}}.Encode()
		if u.RawQuery != "" {
			more = u.RawQuery + "&" + more
		}
		u.RawQuery = more
	}
	return Frame{u.String(), u.Scheme + "://" + u.Host}, nil
}
