package client

import (
	"strings"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// SecretPrefix begins every client secret, so that people and scanners know one
// when they see it.
const SecretPrefix = "dws_"

const secretSize = 32

// Secret is a client's secret.
type Secret struct{ text string }

// NewSecret makes a secret: "dws_" base62(256 random bits) base62(CRC-32 of all
// before).
func NewSecret() Secret {
	body := SecretPrefix + secret.Base62(secret.Random(secretSize))
	return Secret{body + secret.Checksum(body)}
}

// ParseSecret reads what NewSecret makes, and reports whether it is that.
func ParseSecret(s string) (Secret, bool) {
	end := len(SecretPrefix) + secret.Width62(secretSize)
	if len(s) != end+secret.ChecksumWidth || !strings.HasPrefix(s, SecretPrefix) || s[end:] != secret.Checksum(s[:end]) {
		return Secret{s}, false
	}
	_, err := secret.ParseBase62(s[len(SecretPrefix):end], secretSize)
	return Secret{s}, err == nil
}

// Text returns the secret as its holder keeps it.
func (s Secret) Text() secret.Text { return secret.From(s.text) }

// Pepper is a versioned key for the MACs of secrets.
type Pepper struct {
	Version int64
	Key     []byte
}

// Kept is a secret as it is kept.
type Kept struct {
	MAC    secret.Hash
	Pepper int64 // the version of the key that made it
}

// Keep returns s as it is kept.
func (s Secret) Keep(client string, p Pepper) Kept {
	return Kept{secret.MAC(p.Key, "doorward client secret", []byte(client), []byte(s.text)), p.Version}
}

// Credential is what proves a client.
type Credential struct {
	Client   Client
	Present  Kept
	Previous Kept // works until Client.Previous
}

// Proves reports whether a secret is the client's now. peppers returns the key of a
// version. Nothing that it does tells how much of a secret was right.
func (c Credential) Proves(s Secret, peppers func(version int64) (Pepper, bool), now time.Time) bool {
	right := c.Present.is(c.Client.ID, s, peppers)
	before := c.Previous.is(c.Client.ID, s, peppers) && now.Before(c.Client.Previous)
	return right || before
}

func (k Kept) is(client string, s Secret, peppers func(version int64) (Pepper, bool)) bool {
	p, ok := peppers(k.Pepper)
	if !ok || k.Pepper == 0 {
		return false
	}
	return s.Keep(client, p).MAC.Equal(k.MAC)
}
