package guard

import (
	"net/http"
	"net/url"
	"strings"
)

// credential is what a request proves itself with.
type credential struct {
	text   string
	apiKey bool
}

// credentialOf returns the one credential of a request. It is in the header
// Authorization (RFC 6750, Section 2.1) or in X-API-Key; bodies and cookies are
// not read. A request with two is refused, since a proxy and this server might
// each believe another of them; so is a token in the query, where logs and
// histories keep it.
func credentialOf(r *http.Request) (credential, error) {
	authorization, key := r.Header["Authorization"], r.Header["X-Api-Key"]
	if len(authorization)+len(key) > 1 {
		return credential{}, ErrTwoCredentials
	}
	if tokenInQuery(r.URL.RawQuery) {
		return credential{}, ErrTokenInQuery
	}
	if len(key) == 1 {
		return credential{key[0], true}, nil
	}
	if len(authorization) == 0 {
		return credential{}, ErrNoCredential
	}
	token, ok, err := parseAuthorization(authorization[0])
	switch {
	case err != nil:
		return credential{}, err
	case !ok:
		return credential{}, ErrNoCredential
	}
	return credential{token, strings.HasPrefix(token, apiKeyPrefix)}, nil
}

// parseAuthorization returns the token of the scheme Bearer, and whether the
// header is of that scheme. One space separates the two (RFC 6750, Section 2.1).
func parseAuthorization(value string) (token string, ok bool, err error) {
	scheme, token, _ := strings.Cut(value, " ")
	// EqualFold folds non-ASCII letters to k and s alone: Bearer has neither.
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false, nil
	}
	// No token has a comma: a proxy joined two headers into one.
	if strings.Contains(token, ",") {
		return "", true, ErrTwoCredentials
	}
	if token == "" || strings.ContainsAny(token, " \t") {
		return "", true, ErrMalformed
	}
	return token, true, nil
}

// tokenInQuery reports whether a query has the parameter access_token, in any
// spelling that some parser of queries reads so.
func tokenInQuery(query string) bool {
	for query != "" {
		end := strings.IndexAny(query, "&;")
		pair := query
		if end < 0 {
			query = ""
		} else {
			pair, query = query[:end], query[end+1:]
		}
		name, _, _ := strings.Cut(pair, "=")
		if strings.Contains(name, "%") {
			if plain, err := url.QueryUnescape(name); err == nil {
				name = plain
			}
		}
		if name == "access_token" {
			return true
		}
	}
	return false
}
