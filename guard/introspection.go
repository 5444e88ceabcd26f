package guard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// tokenTypeKey is what introspection calls an API key.
const tokenTypeKey = "api_key"

var errInactive = errors.New("the issuer does not know the key, or it has ended")

// introspection is what an issuer says of a key (RFC 7662, Section 2.2). Its members
// have the names of a token's claims.
type introspection struct {
	claims
	active    bool
	hasActive bool
	hasIssuer bool
	tokenType string
}

// ended reports whether a key has come to its end, if it has one. There is no leeway:
// the issuer, whose clock counts, called it active a moment ago.
func ended(p *Principal, now time.Time) bool { return !p.Expires.IsZero() && !now.Before(p.Expires) }

// introspect asks the endpoint about a key that came from an address.
func (i *introspector) introspect(ctx context.Context, endpoint, key, address string) (*introspection, error) {
	form := url.Values{"token": {key}}
	if address != "" {
		form.Set("address", address)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// A question asked twice does no harm: net/http may ask again where the issuer
	// closed a kept connection at that moment. The empty list is not sent.
	req.Header["Idempotency-Key"] = []string{}
	// "The client identifier is encoded using the
	// "application/x-www-form-urlencoded" encoding algorithm …, and the encoded value
	// is used as the username; the client password is encoded using the same
	// algorithm and used as the password." (RFC 6749, Section 2.3.1)
	req.SetBasicAuth(url.QueryEscape(i.id), url.QueryEscape(i.secret))
	d, err := i.do(req)
	if err != nil {
		return nil, err
	}
	said, err := parseIntrospection(d.text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", endpoint, err)
	}
	return said, nil
}

// parseIntrospection reads the answer about a key. A member of the wrong type is an
// error even where the member itself may be missing.
func parseIntrospection(text string) (*introspection, error) {
	said := &introspection{claims: claims{expires: -1}}
	said.payload = text
	err := readObject(text, func(s *scanner, name string) {
		switch name {
		case "active":
			said.active, said.hasActive = s.boolean(), true
		case "token_type":
			said.tokenType = s.str()
		case "key_id":
			said.KeyID = s.str()
		case "iss":
			said.hasIssuer = true
			said.read(s, name)
		default:
			said.read(s, name)
		}
	})
	switch {
	case err != nil:
		return nil, err
	case !said.hasActive:
		return nil, errors.New("it does not say active")
	}
	if said.expires >= 0 {
		said.Expires = time.Unix(said.expires, 0)
	}
	return said, nil
}

// holder returns whom the key belongs to, if it is good here and now.
func (i *introspector) holder(key string, said *introspection, now time.Time) (*Principal, error) {
	meant := func(a string) bool { return slices.Contains(i.audiences, a) }
	switch {
	case !said.active:
		return nil, errInactive
	case said.tokenType != tokenTypeKey:
		return nil, ErrType
	case said.Subject == "":
		return nil, fmt.Errorf("%w: sub", ErrClaims)
	case said.KeyID != key[len(apiKeyPrefix):len(apiKeyPrefix)+apiKeyID]: // nor may it be of another key
		return nil, fmt.Errorf("%w: key_id", ErrClaims)
	case said.hasIssuer && said.issuer != i.issuer:
		return nil, ErrIssuer
	case said.Audience != nil && !slices.ContainsFunc(said.Audience, meant):
		return nil, ErrAudience
	case ended(&said.Principal, now):
		return nil, ErrExpired
	case said.bound:
		return nil, ErrBound
	}
	return &said.Principal, nil
}
