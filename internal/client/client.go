// Package client keeps the applications that get tokens.
//
// For now there is one: the built-in first-party application that /auth/login
// serves. Registered applications come with the OAuth endpoints.
package client

import "github.com/doorward/doorward/internal/fault"

// Client is an application.
type Client struct {
	ID string
	// FirstParty applications belong to whoever runs the server: they may show
	// the password form, and ask for any permission.
	FirstParty bool
	// Public applications have no secret (RFC 6749, Section 2.1).
	Public bool
}

// Builtin is the application that stands in where a request names none. Its
// default scopes are all permissions that the user holds.
var Builtin = Client{ID: "doorward", FirstParty: true, Public: true}

// ByID returns the application with an id, or a NotFound. An empty id stands
// for the built-in one.
func ByID(id string) (Client, error) {
	if id == "" || id == Builtin.ID {
		return Builtin, nil
	}
	return Client{}, fault.New(fault.NotFound, "there is no such client")
}
