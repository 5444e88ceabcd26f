package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

func issuer(field func(*Config) **url.URL) form {
	return one("an https URL of a host, without path or a slash at its end; http only if its host is loopback", field, parseIssuer,
		func(u *url.URL) string {
			if u == nil {
				return ""
			}
			return u.String()
		})
}

// parseIssuer accepts an issuer in the one form that String writes: clients
// compare it byte for byte (RFC 8414, Sections 2 and 3.3). Whether it must be
// https is for check to say.
func parseIssuer(s string) (*url.URL, error) {
	const like = "write it like https://auth.example.com"
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("is not an http or https URL; " + like) // not shown: it may hold a password
	}
	switch {
	case u.User != nil || strings.Contains(s, "@"):
		return nil, errors.New("has a user name or password in it; " + like)
	case strings.Contains(s, "?"):
		return nil, errors.New("has a query; an issuer has none (RFC 8414, Section 2)")
	case strings.Contains(s, "#"):
		return nil, errors.New("has a fragment; an issuer has none (RFC 8414, Section 2)")
	case strings.HasSuffix(s, "/"):
		return nil, fmt.Errorf("ends with a slash, and clients compare it byte for byte; write %s", quote(strings.TrimRight(s, "/")))
	}
	if err := checkAuthority(u); err != nil {
		return nil, err
	}
	if ip := u.Hostname(); ip == "0.0.0.0" || ip == "::" {
		return nil, fmt.Errorf("%s is no address that a client can reach; %s", quote(ip), like)
	}
	if u.Path != "" {
		return nil, errors.New("has a path; Doorward answers at the root of its host. Give it a host of its own, like https://auth.example.com")
	}
	if u.String() != s {
		return nil, fmt.Errorf("is not in its normal form; write %s", quote(u.String()))
	}
	return u, nil
}
