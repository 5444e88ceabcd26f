// Package org keeps organizations and who is a member of them.
//
// A member may be given roles within an organization. What those allow holds there
// alone: a token for an organization carries them and nothing else, and what somebody
// may do on the server as a whole does not count within one.
package org

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
)

// Organization is a group of accounts and clients with roles of their own.
type Organization struct {
	ID          string // never used again; tokens and grants name it by this
	Name        string // chosen, and then never changed
	DisplayName string // for people
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64 // 1 at first, one more with every change
}

// Target returns the organization as the audit log names it.
func (o Organization) Target() string { return "organization:" + o.ID }

// Member is an account or a client that belongs to an organization.
type Member struct {
	Organization string         // its id
	Kind         principal.Kind // User, or Service for a client
	Principal    string         // its id
	By           string         // who added it, as principal.Principal prints itself
	At           time.Time
}

// Target returns the member as the audit log names it.
func (m Member) Target() string {
	if m.Kind == principal.Service {
		return "client:" + m.Principal
	}
	return "user:" + m.Principal
}

// names are what an organization may be called.
var names = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

const mostText = 200 // bytes of a name for people

// check returns a fault for what no organization can be.
func (o Organization) check() error {
	if !names.MatchString(o.Name) {
		return fault.At("name", "it is 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit")
	}
	if len(o.DisplayName) > mostText || !utf8.ValidString(o.DisplayName) || strings.ContainsFunc(o.DisplayName, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029'
	}) {
		return fault.At("display_name", "it is a line of at most %d bytes", mostText)
	}
	return nil
}

// Absent is the fault for an organization that is not there, or that whoever asks is
// not a member of.
func Absent() error { return fault.New(fault.NotFound, "there is no such organization") }
