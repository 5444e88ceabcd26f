package ssf

import (
	"crypto/sha256"
	"encoding/json"

	"github.com/doorward/doorward/internal/fault"
)

// Format is how a subject is named (RFC 9493, Section 3.2).
type Format string

// The formats that are served.
const (
	IssSub  Format = "iss_sub"
	Opaque  Format = "opaque"
	Email   Format = "email"
	Complex Format = "complex" // SSF 1.0, Section 3.3: of such a subject the person counts
)

// Identifier is a simple subject: a person, a session or a stream.
type Identifier struct {
	Format Format `json:"format"`
	Issuer string `json:"iss,omitempty"`
	Sub    string `json:"sub,omitempty"`
	ID     string `json:"id,omitempty"`
	Email  string `json:"email,omitempty"`
}

// Key returns what an identifier is looked up by: a digest, so that the list of a stream
// names nobody.
func (i Identifier) Key() [sha256.Size]byte {
	text, _ := json.Marshal(i) // strings alone cannot fail
	return sha256.Sum256(text)
}

// About returns the subject of an event about a person, and about one of his sessions if
// that is named (SSF 1.0, Section 3.3).
func About(person Identifier, session string) (string, error) {
	var subject any = person
	if session != "" {
		subject = struct {
			Format  Format     `json:"format"`
			User    Identifier `json:"user"`
			Session Identifier `json:"session"`
		}{Complex, person, Identifier{Format: Opaque, ID: session}}
	}
	text, err := json.Marshal(subject)
	return string(text), err
}

// parseSubject reads whom a receiver wants to hear of. A complex subject is taken that
// names a person and nothing else: it would promise to be narrower than it is.
func parseSubject(text json.RawMessage, within bool) (Identifier, error) {
	var given struct {
		Identifier
		User json.RawMessage `json:"user"`
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(text, &all) != nil || json.Unmarshal(text, &given) != nil {
		return Identifier{}, fault.At("subject", "it is an object with a format (RFC 9493)")
	}
	if given.Format == Complex {
		if within || len(all) != 2 || len(given.User) == 0 {
			return Identifier{}, fault.At("subject", "a complex subject names a user by a simple one, and nothing else")
		}
		return parseSubject(given.User, true)
	}
	i := Identifier{Format: given.Format}
	var parts []string
	switch given.Format {
	case IssSub:
		i.Issuer, i.Sub, parts = given.Issuer, given.Sub, []string{given.Issuer, given.Sub}
	case Opaque:
		i.ID, parts = given.ID, []string{given.ID}
	case Email:
		i.Email, parts = given.Email, []string{given.Email}
	default:
		return i, fault.At("subject", "its format is iss_sub, email, opaque, or complex with a user")
	}
	for _, p := range parts {
		if p == "" || len(p) > longestName {
			return i, fault.At("subject", "it lacks a member of its format, or has one that is longer than %d bytes", longestName)
		}
	}
	return i, nil
}
