// Package client keeps applications: who they are, how they prove it, and what
// they may ask for.
//
// A client that acts for itself is a principal: what it may do is what both its
// roles and its scopes allow. The invariant: a client's secret is shown once, when
// it is made, and kept as a MAC alone; of one that proves itself by a key, the public
// part alone is known.
package client

import (
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/oauth"
)

// Status is whether a client may be used.
type Status string

// The states of a client.
const (
	Active   Status = "active"
	Disabled Status = "disabled"
)

// Client is an application.
type Client struct {
	ID     string // chosen when it was made, and then never of the form of an account's id; or made for it
	Name   string // for people
	Status Status
	// FirstParty applications belong to whoever runs the server: they may show
	// the password form, and ask for any permission.
	FirstParty bool
	Method     oauth.AuthMethod
	Grants     []oauth.GrantType // by which it may get tokens, sorted
	Scopes     []string          // that it may ask for, sorted
	Default    []string          // what it gets that asks for none, sorted; empty: all of Scopes
	Audiences  []string          // whose tokens it may have judged by introspection, sorted
	SecretAt   time.Time         // when its secret was made
	Previous   time.Time         // until when the secret before works too; zero for none
	CreatedAt  time.Time
	UpdatedAt  time.Time
	Registration
	Version int64 // 1 at first, one more with every change
}

// Builtin is the application that stands in where a request names none. Its
// default scopes are all permissions that the user holds.
var Builtin = Client{ID: "doorward", Name: "Doorward", Status: Active, FirstParty: true, Method: oauth.NoAuth}

// ReferenceID is the id of the application that the reference of the API is, where the
// server has one.
const ReferenceID = "doorward-docs"

// Reference returns that application: it is public, signs people in by codes, and is given
// no refresh token. People are asked whether they let it, as any other, and it is let do
// what they choose of the permissions that the API asks for.
func Reference(redirectURI string, permissions []string, alg jose.Algorithm) Client {
	c := Client{
		ID: ReferenceID, Name: "Doorward API reference", Status: Active, Method: oauth.NoAuth, Grants: []oauth.GrantType{oauth.AuthorizationCode},
		Scopes: append(slices.Clone(permissions), "email", "openid", "profile"), Version: 1,
	}
	slices.Sort(c.Scopes)
	c.RedirectURIs, c.IDTokenAlg = []string{redirectURI}, alg
	return c
}

// FirstParty returns the application of whoever runs the server with an id, or a
// NotFound. An empty id stands for the built-in one.
func FirstParty(id string) (Client, error) {
	if id == "" || id == Builtin.ID {
		return Builtin, nil
	}
	return Client{}, absent()
}

func absent() error { return fault.New(fault.NotFound, "there is no such client") }

// Target returns the client as the audit log names it.
func (c Client) Target() string { return "client:" + c.ID }

// May reports whether a client may use a grant.
func (c Client) May(g oauth.GrantType) bool { return slices.Contains(c.Grants, g) }

// Beyond returns those of some scopes that a client is not registered for.
func (c Client) Beyond(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return slices.Contains(c.Scopes, s) })
}

// Asks returns what a request of the client stands for: the scopes that it names,
// or else those that it gets by default.
func (c Client) Asks(requested []string) []string {
	switch {
	case len(requested) > 0:
		return requested
	case len(c.Default) > 0:
		return c.Default
	}
	return c.Scopes
}

// Grants that a client can be registered for.
var grants = []oauth.GrantType{oauth.AuthorizationCode, oauth.ClientCredentials, oauth.DeviceCode, oauth.JWTBearer, oauth.RefreshToken, oauth.TokenExchange}

const (
	mostScopes = 1000
	mostName   = 200 // bytes
)

// ids are what a client's id may be chosen as.
var ids = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// parseID returns a fault for what a client cannot be called.
func parseID(s string) error {
	switch {
	case !ids.MatchString(s):
		return fault.At("client_id", "it is 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit")
	case s == Builtin.ID || s == ReferenceID:
		return (&fault.Error{Kind: fault.Conflict, Field: "client_id", Message: "it is that of the built-in client"})
	case id.Valid(s): // tokens name clients and accounts in one place
		return fault.At("client_id", "it has the form of an account's id; choose another")
	}
	return nil
}

// Check returns a fault for what no client can be, and puts its lists in order.
// permission says what a scope must be.
func (c *Client) Check(permission func(string) error) error {
	if !known(c.ID) {
		return parseID(c.ID)
	}
	if !utf8.ValidString(c.Name) || len(c.Name) > mostName || !printable(c.Name) {
		return fault.At("client_name", "it is a line of at most %d bytes", mostName)
	}
	if c.Status != Active && c.Status != Disabled {
		return fault.At("status", "it is active or disabled")
	}
	if !c.HasSecret() && c.Method != oauth.PrivateKeyJWT && c.Method != oauth.NoAuth {
		return fault.At("token_endpoint_auth_method", "it is client_secret_basic, client_secret_post, private_key_jwt or none")
	}
	for _, g := range c.Grants {
		if !slices.Contains(grants, g) {
			return fault.At("grant_types", "a client can be registered for authorization_code, refresh_token, client_credentials, %s, %s and %s", oauth.DeviceCode, oauth.JWTBearer, oauth.TokenExchange)
		}
	}
	if err := c.checkRegistration(); err != nil {
		return err
	}
	for _, list := range []struct {
		field  string
		scopes []string
	}{{"scope", c.Scopes}, {"default_scope", c.Default}} {
		if len(list.scopes) > mostScopes {
			return fault.At(list.field, "it has at most %d scopes", mostScopes)
		}
		for _, s := range list.scopes {
			if err := permission(s); err != nil {
				return fault.At(list.field, "each is a permission, like orders:read")
			}
		}
	}
	for _, s := range c.Default {
		if !slices.Contains(c.Scopes, s) {
			return fault.At("default_scope", "each is one of scope")
		}
	}
	for _, a := range c.Audiences {
		if err := oauth.CheckResource(a); err != nil {
			return fault.At("audiences", "each is an absolute URI without a fragment")
		}
	}
	c.Grants, c.Scopes, c.Default, c.Audiences = sorted(c.Grants), sorted(c.Scopes), sorted(c.Default), sorted(c.Audiences)
	return nil
}

// sorted returns a list in order, each once.
func sorted[T ~string](list []T) []T { return slices.Compact(slices.Sorted(slices.Values(list))) }

func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}
