package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// Cookie is a cookie of this site by its short name.
type Cookie struct {
	name     string
	sameSite http.SameSite
}

// The cookies. What only scripts of this site's own pages and of its applications
// need is Strict; what must come along when somebody follows a link is Lax.
var (
	SessionCookie = Cookie{"session", http.SameSiteLaxMode}
	AccessCookie  = Cookie{"access", http.SameSiteStrictMode}
	RefreshCookie = Cookie{"refresh", http.SameSiteStrictMode}
	DeviceCookie  = Cookie{"device", http.SameSiteLaxMode}
	PreCookie     = Cookie{"pre", http.SameSiteLaxMode}
	FlowCookie    = Cookie{"flow", http.SameSiteLaxMode} // ties authorization requests to the browser that began them
)

// DeviceLasts is how long a browser is known: the longest that browsers keep a
// cookie (draft-ietf-httpbis-rfc6265bis, Section 5.5).
const DeviceLasts = 400 * 24 * time.Hour

// Cookies reads and writes the cookies of a site. Secure gives them the prefix
// __Host-, with which a browser takes them from this host over HTTPS alone
// (draft-ietf-httpbis-rfc6265bis, Section 4.1.3.2); without it, which is for an
// http issuer on loopback, they have the same names without the prefix.
type Cookies struct{ Secure bool }

// Name returns a cookie's whole name.
func (c Cookies) Name(k Cookie) string {
	if c.Secure {
		return "__Host-doorward_" + k.name
	}
	return "doorward_" + k.name
}

// Get returns what a request's cookie holds. One that comes twice was put there
// by somebody else: it counts as none, and twice is true.
func (c Cookies) Get(r *http.Request, k Cookie) (value secret.Text, twice bool) {
	switch found := r.CookiesNamed(c.Name(k)); len(found) {
	case 0:
		return secret.Text{}, false
	case 1:
		return secret.From(found[0].Value), false
	default:
		return secret.Text{}, true
	}
}

// Set gives the browser a cookie for a time.
func (c Cookies) Set(w http.ResponseWriter, k Cookie, value secret.Text, lasts time.Duration) {
	c.write(w, k, value, max(int(lasts/time.Second), 1))
}

// Line returns what Set writes, where a header is written otherwise; empty if the
// value is.
func (c Cookies) Line(k Cookie, value secret.Text, lasts time.Duration) string {
	if value.IsZero() {
		return ""
	}
	return c.cookie(k, value, max(int(lasts/time.Second), 1)).String()
}

// Hold gives the browser a cookie until it is closed.
func (c Cookies) Hold(w http.ResponseWriter, k Cookie, value secret.Text) {
	c.write(w, k, value, 0)
}

// Expire takes cookies back.
func (c Cookies) Expire(w http.ResponseWriter, list ...Cookie) {
	for _, k := range list {
		c.write(w, k, secret.Text{}, -1)
	}
}

func (c Cookies) write(w http.ResponseWriter, k Cookie, value secret.Text, seconds int) {
	http.SetCookie(w, c.cookie(k, value, seconds))
}

func (c Cookies) cookie(k Cookie, value secret.Text, seconds int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure is missing for an http issuer on loopback alone
		Name: c.Name(k), Value: value.Reveal(), Path: "/", MaxAge: seconds, Secure: c.Secure, HttpOnly: true, SameSite: k.sameSite,
	}
}

// Beside reports whether a request brings a credential in a header. Beside one,
// cookies are ignored.
func Beside(r *http.Request) bool {
	return len(r.Header["Authorization"]) > 0 || len(r.Header["X-Api-Key"]) > 0
}

// CrossOrigin refuses what another origin makes a browser send with its cookies
// (CSRF). It stands before everything that a cookie lets happen.
type CrossOrigin struct {
	protection *http.CrossOriginProtection
	own        string   // what the site's own origins begin with
	origins    []string // others that may send too
}

// NewCrossOrigin returns a rule by which the listed origins, besides the site's
// own, may send what changes something. The site is reached by scheme.
func NewCrossOrigin(scheme string, origins []string) (*CrossOrigin, error) {
	p := http.NewCrossOriginProtection()
	for _, o := range origins {
		if err := p.AddTrustedOrigin(o); err != nil {
			return nil, err
		}
	}
	return &CrossOrigin{p, scheme + "://", origins}, nil
}

// Check returns a Refused with 403 for a request that another origin began. An
// Origin header that is not one, like null, is another's, and so is this host by
// another scheme, where whoever sits on the line may be it; the protection itself
// compares hosts alone. But browsers write null also where a page of ours, which
// lets nobody know whence (no-referrer), sends a form, and then say in
// Sec-Fetch-Site that it is ours (Fetch, Section 3.2).
func (c *CrossOrigin) Check(r *http.Request) error {
	given := r.Header.Values("Origin")
	strange := len(given) == 1 && !strings.HasPrefix(given[0], c.own) && !slices.Contains(c.origins, given[0]) &&
		r.Header.Get("Sec-Fetch-Site") != "same-origin"
	if len(given) > 1 || strange || c.protection.Check(r) != nil {
		return &Refused{Status: http.StatusForbidden, Message: "the request came from another site"}
	}
	return nil
}
