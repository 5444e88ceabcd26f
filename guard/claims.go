package guard

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// claims is the payload of an access token (RFC 9068, Section 2.2).
type claims struct {
	Principal
	issuer    string
	expires   int64 // -1 if there is none
	notBefore int64
	bound     bool
}

// parseClaims reads a payload. A claim of the wrong type is an error even where
// the claim itself may be missing: what it means cannot be guessed.
func parseClaims(payload string) (*claims, error) {
	c := &claims{expires: -1}
	c.payload = payload
	if err := readObject(payload, func(s *scanner, name string) { c.read(s, name) }); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	switch {
	case c.expires < 0:
		return nil, fmt.Errorf("%w: exp", ErrClaims)
	case c.Subject == "":
		return nil, fmt.Errorf("%w: sub", ErrClaims)
	case c.ClientID == "":
		return nil, fmt.Errorf("%w: client_id", ErrClaims)
	case len(c.Audience) == 0:
		return nil, fmt.Errorf("%w: aud", ErrClaims)
	}
	c.Expires = time.Unix(c.expires, 0)
	return c, nil
}

func (c *claims) read(s *scanner, name string) {
	switch name {
	case "iss":
		c.issuer = s.str()
	case "aud":
		c.Audience = s.oneOrMore()
	case "exp":
		c.expires = s.date()
	case "nbf":
		c.notBefore = s.date()
	case "iat":
		c.Issued = time.Unix(s.date(), 0)
	case "auth_time":
		c.AuthTime = time.Unix(s.date(), 0)
	case "sub":
		c.Subject = s.str()
	case "client_id":
		c.ClientID = s.str()
	case "scope":
		c.Scopes = scopes(s.str())
	case "org":
		c.Organization = s.organization()
	case "roles":
		c.Roles = s.strs()
	case "jti":
		c.ID = s.str()
	case "fam":
		c.Family = s.str()
	case "sid":
		c.Session = s.str()
	case "pv":
		c.PolicyVersion = s.integer()
	case "acr":
		c.ACR = s.str()
	case "amr":
		c.AMR = s.strs()
	default:
		c.readAround(s, name)
	}
}

// readAround reads what says more of a token than whom it speaks for.
func (c *claims) readAround(s *scanner, name string) {
	switch name {
	case "act":
		c.Actor = s.actor()
	case "via":
		c.Via = s.strs()
	case "status":
		c.Status = s.status()
	case "cnf":
		c.bound = true
		s.skip()
	default:
		s.skip()
	}
}

// actor reads who acts for the subject, and who did before him (RFC 8693, Section 4.1).
func (s *scanner) actor() *Actor {
	a := &Actor{}
	s.object(func(s *scanner, name string) {
		switch name {
		case "sub":
			a.Subject = s.str()
		case "client_id":
			a.ClientID = s.str()
		case "act":
			a.Before = s.actor()
		default:
			s.skip()
		}
	})
	return a
}

// organization reads the id of an organization; other issuers mean other things by it.
func (s *scanner) organization() string {
	if s.space(); s.peek() == '"' {
		return s.str()
	}
	s.skip()
	return ""
}

// status reads where a token's status is; nil if it is kept by other means than a list.
func (s *scanner) status() *Status {
	if s.space(); s.peek() != '{' { // other issuers mean other things by it
		s.skip()
		return nil
	}
	var at *Status
	s.object(func(s *scanner, name string) {
		if name != "status_list" {
			s.skip()
			return
		}
		at = &Status{Index: -1}
		s.object(func(s *scanner, name string) {
			switch name {
			case "idx":
				at.Index = s.integer()
			case "uri":
				at.URI = s.str()
			default:
				s.skip()
			}
		})
		if at.Index < 0 || at.URI == "" {
			s.fail(errStatus)
		}
	})
	return at
}

var errStatus = errors.New("a status list needs a uri, and an index of at least 0")

// scopes splits a scope at its spaces, and at nothing else (RFC 6749,
// Section 3.3).
func scopes(scope string) []string {
	list := make([]string, 0, strings.Count(scope, " ")+1)
	for word := range strings.SplitSeq(scope, " ") {
		if word != "" {
			list = append(list, word)
		}
	}
	return list
}

// checkClaims judges claims whose signature was verified.
func (g *Guard) checkClaims(c *claims, now time.Time) error {
	switch {
	case c.issuer != g.issuer:
		return ErrIssuer
	case !slices.ContainsFunc(c.Audience, g.isNamed):
		return ErrAudience
	case g.expired(&c.Principal, now):
		return ErrExpired
	case time.Unix(c.notBefore, 0).After(now.Add(g.leeway)), c.Issued.After(now.Add(g.leeway)):
		return ErrNotYetValid
	case c.bound:
		// Whoever shows a bound token must prove the key (RFC 9449, Section 7.1;
		// RFC 8705, Section 3). Until guard can ask for that, it is no bearer token.
		return ErrBound
	}
	return nil
}

// isNamed reports whether this API goes by a name.
func (g *Guard) isNamed(audience string) bool {
	return slices.Contains(g.audiences, audience) || g.named != nil && g.named(audience)
}

// expired reports whether the end of p has come (RFC 7519, Section 4.1.4).
func (g *Guard) expired(p *Principal, now time.Time) bool {
	return !now.Before(p.Expires.Add(g.leeway))
}
