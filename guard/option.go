package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// An Option changes what New makes.
type Option func(*settings)

type settings struct {
	audiences    []string
	named        func(string) bool
	algorithms   []string
	leeway       time.Duration
	realm        string
	resource     string
	cacheSize    int
	keys         func() *KeySet
	client       *http.Client
	log          *slog.Logger
	discoveryURL string
	jwksURL      string
	pause        time.Duration
	now          func() time.Time
	revoked      func(context.Context, *Principal) error
	answer       func(http.ResponseWriter, *http.Request, Refusal)
	decided      func(context.Context, Decision)
	mistakes     []error
	ignoreStatus bool
	staleAfter   time.Duration

	apiKeys                func(context.Context, string) (*Principal, error)
	credentials            bool
	clientID, clientSecret string
	introspectionURL       string
	keyTTL                 time.Duration
	keyCacheSize           int
	address                func(*http.Request) string
}

// must notes a mistake: an option that was given nothing would otherwise be
// taken for one that was not given.
func (s *settings) must(ok bool, option string) {
	if !ok {
		s.mistakes = append(s.mistakes, fmt.Errorf("%s was given nil", option))
	}
}

func defaults() settings {
	return settings{
		algorithms: supported,
		leeway:     30 * time.Second,
		cacheSize:  10_000,
		log:        slog.Default(),
		pause:      time.Minute,
		now:        time.Now,
		answer:     answerJSON,
		address:    remoteHost,
		staleAfter: 10 * time.Second,

		keyTTL:       time.Second,
		keyCacheSize: 10_000,
	}
}

// Audience names this API as tokens do in "aud", byte for byte. One name is
// enough for a token to pass. At least one is mandatory: a guard that takes
// tokens meant for others lets each of those others in here (RFC 9068, Section 4).
func Audience(names ...string) Option {
	return func(s *settings) { s.audiences = append(s.audiences, names...) }
}

// AudienceFunc asks f about names in "aud" that are not an Audience: for an API that
// answers to names which come and go, like one for each of its customers. It is asked
// once for each token that is not in the cache. Whatever f says yes to, this API
// takes: a token that was meant for another one, too.
func AudienceFunc(f func(name string) bool) Option {
	return func(s *settings) {
		s.must(f != nil, "AudienceFunc")
		s.named = f
	}
}

// Keys takes the issuer's keys from this process instead of the network.
// current is called for every request; it should return the same *KeySet until
// the keys change. While it returns nil all requests are answered 503.
func Keys(current func() *KeySet) Option {
	return func(s *settings) {
		s.keys = current
		s.must(current != nil, "Keys")
	}
}

// Algorithms narrows the signature algorithms. Default: ES256, EdDSA, RS256 and
// PS256, which are all that guard can verify.
func Algorithms(names ...string) Option {
	return func(s *settings) { s.algorithms = names }
}

// Leeway is how far the issuer's clock may be from this one's, 0 to 60 seconds.
// Default: 30 seconds.
func Leeway(d time.Duration) Option {
	return func(s *settings) { s.leeway = d }
}

// Revocation has f asked at every request, whether or not the token was seen
// before. An error refuses the token with 401; ErrUnavailable, or an error that
// wraps it, answers 503.
func Revocation(f func(ctx context.Context, p *Principal) error) Option {
	return func(s *settings) {
		s.revoked = f
		s.must(f != nil, "Revocation")
	}
}

// IgnoreStatus lets tokens be good until they expire, whatever their issuer says
// meanwhile: it is not asked. By default a token that names a status list
// (draft-ietf-oauth-status-list) is refused once it was revoked: within a second where
// the issuer tells of it, else within the time that its list may be kept.
func IgnoreStatus() Option {
	return func(s *settings) { s.ignoreStatus = true }
}

// StaleAfter is how long the issuer's stream of revocations may be silent, 3 seconds to 5
// minutes, until it is not believed any more; then the token's status list is read.
// Default: 10 seconds. It says something every other second.
func StaleAfter(d time.Duration) Option {
	return func(s *settings) { s.staleAfter = d }
}

// OnDecision has f told of every request that Require decided about, before the
// answer is written and before the handler runs. It is called in the request's
// goroutine, by many at once. DecisionLog makes one that writes lines.
func OnDecision(f func(ctx context.Context, d Decision)) Option {
	return func(s *settings) {
		s.decided = f
		s.must(f != nil, "OnDecision")
	}
}

// Resource is the URL that identifies this API (RFC 8707). It is what Metadata
// publishes, and challenges point there. Default: the first audience, if that
// is a URL.
func Resource(url string) Option {
	return func(s *settings) { s.resource = url }
}

// Realm is the realm of challenges. Default: the first audience.
func Realm(name string) Option {
	return func(s *settings) { s.realm = name }
}

// Errors has f write the status and the body of refusals. The headers
// WWW-Authenticate, Cache-Control and Retry-After are set before it is called.
func Errors(f func(w http.ResponseWriter, r *http.Request, refusal Refusal)) Option {
	return func(s *settings) {
		s.answer = f
		s.must(f != nil, "Errors")
	}
}

// HTTPClient asks the issuer, for its metadata and keys and about API keys, through c, for a proxy or a
// private certificate authority. Its redirects, cookies and time-out are not
// used.
func HTTPClient(c *http.Client) Option {
	return func(s *settings) {
		s.client = c
		s.must(c != nil, "HTTPClient")
	}
}

// Logger is told when keys cannot be fetched, when a published key is refused, and
// when the issuer does not answer about API keys. Default: slog.Default().
func Logger(l *slog.Logger) Option {
	return func(s *settings) {
		s.log = l
		s.must(l != nil, "Logger")
	}
}

// DiscoveryURL is where the issuer's metadata is, when that is not where
// RFC 8414 or OpenID Connect Discovery puts it.
func DiscoveryURL(url string) Option {
	return func(s *settings) { s.discoveryURL = url }
}

// JWKSURL is where the issuer's keys are. With it, the issuer's metadata is not
// read.
func JWKSURL(url string) Option {
	return func(s *settings) { s.jwksURL = url }
}

// UnknownKeyInterval is the least time between two fetches of the keys that
// tokens with unknown keys cause, so that such tokens cannot be turned into
// load on the issuer. Default: one minute.
func UnknownKeyInterval(d time.Duration) Option {
	return func(s *settings) { s.pause = d }
}

// CacheSize bounds how many verified tokens are remembered, at least 1. It is
// rounded up to a multiple of 8. Default: 10,000.
func CacheSize(tokens int) Option {
	return func(s *settings) { s.cacheSize = tokens }
}

// Now tells the time. Default: time.Now.
func Now(f func() time.Time) Option {
	return func(s *settings) {
		s.now = f
		s.must(f != nil, "Now")
	}
}

// check returns all mistakes in s and in the issuer.
func (s *settings) check(issuer string) error {
	errs := s.mistakes
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	mustBeURL := func(what, text string) {
		if err := checkURL(text); err != nil {
			wrong("%s %q %w", what, text, err)
		}
	}
	mustBeURL("the issuer", issuer)
	if strings.Contains(issuer, "?") {
		wrong("the issuer %q has a query", issuer)
	}
	if len(s.audiences) == 0 {
		wrong("no Audience: say which tokens are meant for this API")
	}
	for _, a := range s.audiences {
		if !quotable(a) {
			wrong("the audience %q is empty or has characters that no header may carry", a)
		}
	}
	if s.realm != "" && !quotable(s.realm) {
		wrong("the realm %q has characters that no header may carry", s.realm)
	}
	for what, text := range map[string]string{"the resource": s.resource, "the discovery URL": s.discoveryURL, "the JWKS URL": s.jwksURL, "the introspection URL": s.introspectionURL} {
		if text != "" {
			mustBeURL(what, text)
		}
	}
	if len(s.algorithms) == 0 {
		wrong("Algorithms is empty")
	}
	for _, a := range s.algorithms {
		if !slices.Contains(supported, a) {
			wrong("the algorithm %q is not one of %s", a, strings.Join(supported, ", "))
		}
	}
	if s.leeway < 0 || s.leeway > time.Minute {
		wrong("the leeway %v is not 0 to 60 seconds", s.leeway)
	}
	if s.staleAfter < 3*time.Second || s.staleAfter > 5*time.Minute {
		wrong("StaleAfter %v is not 3 seconds to 5 minutes", s.staleAfter)
	}
	if s.cacheSize < 1 {
		wrong("the cache size %d is not at least 1", s.cacheSize)
	}
	s.checkKeys(wrong)
	return errors.Join(errs...)
}

var (
	errNotURL    = errors.New("is not an absolute URL of a host")
	errFragment  = errors.New("has a fragment or a user name")
	errPlainHTTP = errors.New("is not https, and its host is not loopback")
)

// checkURL accepts absolute https URLs, and http ones of this machine. What it
// accepts can stand in a quoted string.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || !u.IsAbs() || u.Hostname() == "" || u.Opaque != "" || !quotable(text) {
		return errNotURL
	}
	if u.User != nil || strings.Contains(text, "#") {
		return errFragment
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return errPlainHTTP
	}
	return nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// quotable reports whether s is not empty and can stand in a quoted string
// without escapes: printable ASCII but for the quote and the backslash.
func quotable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return s != ""
}
