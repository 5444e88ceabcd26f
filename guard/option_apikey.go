package guard

import (
	"context"
	"net"
	"net/http"
	"time"
)

// APIKeys accepts API keys, as Authorization: Bearer or X-API-Key, that this process
// itself knows. f is called at every request with a key whose form and checksum are
// right, and returns whose it is, with KeyID; the principal is the request's own
// from then on, and Revocation is asked about it too. An error, or no principal,
// refuses the key with 401; a *Limited answers 429, and ErrUnavailable, or an error
// that wraps it, 503.
func APIKeys(f func(ctx context.Context, key string) (*Principal, error)) Option {
	return func(s *settings) {
		s.apiKeys = f
		s.must(f != nil, "APIKeys")
	}
}

// Credentials accepts API keys, as Authorization: Bearer or X-API-Key, that the issuer
// knows: it is asked about them (RFC 7662) as the client of this id and secret, which
// is this API itself. While it cannot be asked, keys are refused with 503.
func Credentials(id, secret string) Option {
	return func(s *settings) { s.credentials, s.clientID, s.clientSecret = true, id, secret }
}

// IntrospectionURL is where the issuer is asked about API keys. With it, the issuer's
// metadata is not read for them.
func IntrospectionURL(url string) Option {
	return func(s *settings) { s.introspectionURL = url }
}

// KeyCache is for how long the issuer's answer about an API key counts, 0 to 60
// seconds, and how many answers are remembered, at least 1: of keys that are good so
// many, and of others as many again. A revoked key is refused after that time at the
// latest; with 0 the issuer is asked at every request. Default: one second and 10,000.
func KeyCache(ttl time.Duration, size int) Option {
	return func(s *settings) { s.keyTTL, s.keyCacheSize = ttl, size }
}

// CallerAddress has f tell from which address a request comes, for an API behind a
// proxy: the issuer is told it, since a key may be bound to networks, and so is
// OnDecision. It must believe no header that a caller can set. Default: the other end
// of the connection.
func CallerAddress(f func(*http.Request) string) Option {
	return func(s *settings) {
		s.address = f
		s.must(f != nil, "CallerAddress")
	}
}

// remoteHost returns the other end of the connection.
func remoteHost(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

// checkKeys tells the mistakes in what is said of API keys.
func (s *settings) checkKeys(wrong func(format string, args ...any)) {
	if s.credentials && (s.clientID == "" || s.clientSecret == "") {
		wrong("Credentials lack the id or the secret")
	}
	if s.credentials && s.apiKeys != nil {
		wrong("both APIKeys and Credentials: say who knows the API keys")
	}
	if s.introspectionURL != "" && !s.credentials {
		wrong("the introspection URL needs Credentials")
	}
	if s.keyTTL < 0 || s.keyTTL > maxKeyTTL {
		wrong("the time %v of the key cache is not 0 to 60 seconds", s.keyTTL)
	}
	if s.keyCacheSize < 1 {
		wrong("the size %d of the key cache is not at least 1", s.keyCacheSize)
	}
}
