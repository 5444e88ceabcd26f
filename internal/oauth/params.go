package oauth

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// Params are the parameters of a request, each at most once but for those that
// may repeat. An empty value is an omitted one (RFC 6749, Section 3.2).
type Params map[string][]string

// Get returns the value of a parameter, or "".
func (p Params) Get(name string) string {
	if v := p[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Encode returns the parameters as a form.
func (p Params) Encode() string { return url.Values(p).Encode() }

const mostParams = 64

// repeatable are the parameters that may be sent more than once (RFC 8707,
// Section 2; RFC 8693, Section 2.1).
var repeatable = map[string]bool{"resource": true, "audience": true}

// ParseForm reads a body of the type application/x-www-form-urlencoded, whole
// or not at all: what the standard parser would skip is an error.
func ParseForm(body string) (Params, error) {
	p, repeated, err := parseForm(body)
	if err == nil && len(repeated) > 0 {
		err = invalid("a parameter is repeated")
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// parseForm reads a form, of a parameter that is repeated the first, and tells which
// are.
func parseForm(body string) (p Params, repeated []string, err error) {
	p = Params{}
	if body == "" {
		return p, nil, nil
	}
	n := 0
	for pair := range strings.SplitSeq(body, "&") {
		if n++; n > mostParams {
			return nil, nil, invalid("there are too many parameters")
		}
		if strings.Contains(pair, ";") {
			return nil, nil, invalid("a semicolon does not separate parameters")
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, nil, invalid("the body is not a form")
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, nil, invalid("the body is not a form")
		}
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, nil, invalid("the body is not UTF-8")
		}
		// "Request and response parameters MUST NOT be included more than once."
		if _, seen := p[name]; seen && !repeatable[name] {
			repeated = append(repeated, name)
			continue
		}
		if value == "" {
			p[name] = append(p[name], nil...)
			continue
		}
		p[name] = append(p[name], value)
	}
	return p, repeated, nil
}
