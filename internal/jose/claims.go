package jose

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Claims are what a JWT says (RFC 7519, Section 4.1). A claim that is not there is
// zero.
type Claims struct {
	Issuer    string
	Subject   string
	ID        string
	Audience  []string
	Sole      bool // the audience is written as a string, not as an array
	Expires   time.Time
	NotBefore time.Time
	IssuedAt  time.Time
	All       map[string]json.RawMessage // with those above, as they are written
}

// ParseClaims reads the payload of a JWT. Of the claims that it knows, each has its
// type; in what they say nothing is judged.
func ParseClaims(payload []byte) (Claims, error) {
	o, err := parseObject(payload)
	if err != nil {
		return Claims{}, fmt.Errorf("its claims: %w", err)
	}
	c := Claims{All: o}
	err = errors.Join(
		o.text("iss", &c.Issuer), o.text("sub", &c.Subject), o.text("jti", &c.ID), o.audience(&c),
		o.date("exp", &c.Expires), o.date("nbf", &c.NotBefore), o.date("iat", &c.IssuedAt),
	)
	if err != nil {
		return Claims{}, fmt.Errorf("its claims: %w", err)
	}
	return c, nil
}

func (o object) audience(c *Claims) error {
	raw := o["aud"]
	if raw == nil {
		return nil
	}
	if raw[0] == '"' {
		c.Sole, c.Audience = true, make([]string, 1)
		return o.text("aud", &c.Audience[0])
	}
	var list []*string // so that null is not ""
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return errors.New("aud is neither a string nor an array of strings")
	}
	for _, a := range list {
		if a == nil {
			return errors.New("aud is neither a string nor an array of strings")
		}
		c.Audience = append(c.Audience, *a)
	}
	return nil
}

// latest is the last second that a claim may name: the year 36812.
const latest = 1 << 40

// date reads a NumericDate (RFC 7519, Section 2). The bounds come before the
// conversion: int64 of a large float is the smallest int64.
func (o object) date(name string, into *time.Time) error {
	raw := o[name]
	if raw == nil {
		return nil
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || raw[0] < '0' || raw[0] > '9' || seconds > latest {
		return fmt.Errorf("%s is not a time in seconds since 1970", name)
	}
	*into = time.Unix(int64(seconds), 0)
	return nil
}
