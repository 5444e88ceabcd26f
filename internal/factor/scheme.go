package factor

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
)

// The algorithms that hash passwords.
const (
	Bcrypt   = "bcrypt"
	Argon2id = "argon2id" // RFC 9106
)

// A scheme is an algorithm and what it costs. Hashes made alike have equal
// schemes.
type scheme struct {
	algorithm string

	cost int // bcrypt: the number of rounds, as a power of two

	memory, passes, lanes int // Argon2id: m in KiB, t and p (RFC 9106, Section 3.1)
	salt, tag             int // Argon2id: their lengths in bytes
}

// schemeOf returns what is configured by the name of an algorithm.
func schemeOf(algorithm string) scheme {
	switch algorithm {
	case Bcrypt, "":
		return scheme{algorithm: Bcrypt, cost: 12}
	case Argon2id:
		// The least that the OWASP Password Storage Cheat Sheet recommends.
		return scheme{algorithm: Argon2id, memory: 19456, passes: 2, lanes: 1, salt: 16, tag: 32}
	}
	panic("factor: unknown password hash algorithm " + algorithm)
}

// String says what the scheme is: "bcrypt cost 12" or
// "argon2id m=19456,t=2,p=1".
func (s scheme) String() string {
	if s.algorithm == Bcrypt {
		return fmt.Sprintf("%s cost %d", Bcrypt, s.cost)
	}
	return fmt.Sprintf("%s m=%d,t=%d,p=%d", Argon2id, s.memory, s.passes, s.lanes)
}

// bcryptMax is how much of a password bcrypt reads; it has no place for the
// rest.
const bcryptMax = 72

// fits returns a fault if the algorithm cannot hold the whole password.
func (s scheme) fits(password string) error {
	switch {
	case password == "":
		return fault.At("password", "the password is empty: choose one")
	case s.algorithm == Bcrypt && len(password) > bcryptMax:
		return fault.At("password", "a password has at most %d bytes here, and this one has %d: choose a shorter one", bcryptMax, len(password))
	case s.algorithm == Bcrypt && strings.ContainsRune(password, 0):
		return fault.At("password", "a password cannot contain the character U+0000: leave it out")
	}
	return nil
}

// hash returns a new hash of a password that fits, in the form that parse
// reads.
func (s scheme) hash(password string, a *arena) (string, error) {
	if s.algorithm == Bcrypt {
		text, err := bcrypt.GenerateFromPassword([]byte(password), s.cost)
		return string(text), err
	}
	salt := secret.Random(s.salt)
	return phc(s, salt, a.argon2id(s, password, salt)), nil
}

// dummy returns a hash that costs what the scheme costs and matches nothing
// that is known: its tag is random. Making it costs nothing.
func (s scheme) dummy() stored {
	if s.algorithm == Bcrypt {
		text := fmt.Sprintf("$2a$%02d$%s%s", s.cost, bcrypt64.EncodeToString(secret.Random(16)), bcrypt64.EncodeToString(secret.Random(23)))
		return stored{scheme: s, text: text}
	}
	return stored{scheme: s, salt: secret.Random(s.salt), tag: secret.Random(s.tag)}
}

// matches reports whether the hash is one of the password. The password must
// fit, or the answer means nothing.
func (s stored) matches(password string, a *arena) bool {
	if s.algorithm == Bcrypt {
		return bcrypt.CompareHashAndPassword([]byte(s.text), []byte(password)) == nil
	}
	return subtle.ConstantTimeCompare(a.argon2id(s.scheme, password, s.salt), s.tag) == 1
}

var bcrypt64 = base64.NewEncoding(bcryptAlphabet).WithPadding(base64.NoPadding)

const bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
