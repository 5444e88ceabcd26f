package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
)

// Workload is a program that may act as a client by what the platform signs that runs it:
// a pod, a build (RFC 7523, Section 2.1). Neither it nor the client then keeps a secret.
type Workload struct {
	Issuer   string  `json:"issuer" doc:"The platform: iss of what it signs, exactly"`
	Subject  string  `json:"subject" doc:"The program: sub, exactly, or up to a * behind a colon or a slash"`
	Audience string  `json:"audience,omitempty" doc:"Whom it is signed for (aud): this server's issuer if it is absent"`
	JWKS     *KeySet `json:"jwks,omitempty" doc:"The platform's public keys"`
	JWKSURI  string  `json:"jwks_uri,omitempty" doc:"Where the platform publishes them"`
}

const (
	mostWorkloads = 10
	// What a platform signs is shown more than once, for as long as it lasts.
	mostPlatformLife = 24 * time.Hour
)

// is reports whether a workload is the one that an issuer calls a subject.
func (w Workload) is(issuer, subject string) bool {
	if prefix, any := strings.CutSuffix(w.Subject, "*"); any {
		return w.Issuer == issuer && len(subject) > len(prefix) && strings.HasPrefix(subject, prefix)
	}
	return w.Issuer == issuer && w.Subject == subject
}

// String returns the workload as the audit log names it.
func (w Workload) String() string { return w.Issuer + " " + w.Subject }

// ProveWorkload returns the workload of c, by its own name, that an assertion is of. The
// fault is Unauthenticated whatever is wrong with it.
func (s *Service) ProveWorkload(ctx context.Context, c Client, assertion secret.Text) (Workload, error) {
	text := assertion.Reveal()
	claimed, err := jose.Peek(text)
	if err != nil {
		return Workload{}, unproved(err.Error())
	}
	why := errors.New("it is of no workload of the client")
	for _, w := range c.Workloads {
		if !w.is(claimed.Issuer, claimed.Subject) {
			continue
		}
		if why = s.ofWorkload(ctx, w, text); why == nil {
			w.Subject = claimed.Subject
			return w, nil
		}
	}
	return Workload{}, unproved(why.Error())
}

// ofWorkload returns an error unless a token was signed for w, by its platform (RFC 7523,
// Section 3). Whom it names, the caller looked at.
func (s *Service) ofWorkload(ctx context.Context, w Workload, text string) error {
	token, err := s.verify(ctx, proof{w.JWKS, w.JWKSURI, assertionAlgs}, text)
	if err != nil {
		return err
	}
	claims, err := jose.ParseClaims(token.Payload)
	if err != nil {
		return err
	}
	audience, now := w.Audience, s.clock.Now()
	if audience == "" {
		audience = s.assertions.Issuer
	}
	switch {
	case !token.Is("", "jwt"):
		return errors.New("it is a token of another kind")
	case !slices.Contains(claims.Audience, audience):
		return errors.New("aud is not this server")
	case claims.Expires.After(now.Add(mostPlatformLife)):
		return errors.New("it lasts longer than a day")
	}
	return current(claims, now)
}

// checkWorkloads is the part of Check that is about these.
func (c *Client) checkWorkloads() error {
	switch {
	case c.May(oauth.JWTBearer) && len(c.Workloads) == 0:
		return fault.At("workloads", "the grant %s needs one", oauth.JWTBearer)
	case len(c.Workloads) > mostWorkloads:
		return fault.At("workloads", "there are at most %d", mostWorkloads)
	}
	for _, w := range c.Workloads {
		switch {
		case !word(w.Issuer) || w.Audience != "" && !word(w.Audience):
			return fault.At("workloads", "each has an issuer, which is a URL, and an audience of that kind or none")
		case !word(w.Subject) || !narrow(w.Subject):
			return fault.At("workloads", "each has a subject; one that ends in * has a colon or a slash before that, and there is no other *")
		case (w.JWKS == nil) == (w.JWKSURI == ""):
			return fault.At("workloads", "each has its platform's keys as jwks or where they are as jwks_uri, one of the two")
		}
		if err := checkPublished("workloads", w.JWKS, w.JWKSURI); err != nil {
			return err
		}
	}
	return nil
}

// word reports whether a text may be compared with a claim: something that shows, without
// spaces.
func word(s string) bool {
	return s != "" && len(s) <= longestURI && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// narrow reports whether a subject names one program, or those below a place in the
// platform: "repo:shop/*" and not "repo:shop*", which others could be called like.
func narrow(subject string) bool {
	prefix, any := strings.CutSuffix(subject, "*")
	return !strings.Contains(prefix, "*") && (!any || len(prefix) > 1 && strings.ContainsAny(prefix[len(prefix)-1:], ":/"))
}

// current returns an error for claims whose time has passed, or has not come.
func current(claims jose.Claims, now time.Time) error {
	switch {
	case claims.Expires.IsZero():
		return errors.New("exp is missing")
	case !now.Before(claims.Expires.Add(clock.Leeway)):
		return errors.New("it is expired")
	case claims.NotBefore.After(now.Add(clock.Leeway)), claims.IssuedAt.After(now.Add(clock.Leeway)):
		return errors.New("it is from the future")
	}
	return nil
}
