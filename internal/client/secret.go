package client

import (
	"strings"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// SecretPrefix begins every client secret, so that people and scanners know one
// when they see it.
const SecretPrefix = "dws_"

const (
	secretSize = 32
	label      = "doorward client secret"
)

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

// Keep returns s as it is kept.
func (s Secret) Keep(client string, p secret.Pepper) secret.Kept {
	return p.Keep(label, []byte(client), []byte(s.text))
}

// Credential is what proves a client.
type Credential struct {
	Client   Client
	Present  secret.Kept
	Previous secret.Kept // works until Client.Previous
}

// Proves reports whether a secret is the client's now. Nothing that it does tells how
// much of a secret was right.
func (c Credential) Proves(s Secret, peppers secret.Peppers, now time.Time) bool {
	is := func(k secret.Kept) bool { return k.Is(peppers, label, []byte(c.Client.ID), []byte(s.text)) }
	right, before := is(c.Present), is(c.Previous)
	return right || before && now.Before(c.Client.Previous)
}
