package apikey

import (
	"strings"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// A key is "dwk_", its public id, "_", 256 random bits and the CRC-32 of all before,
// all in letters and digits.
const (
	// Prefix begins every key, so that people and scanners know one when they see it.
	Prefix = "dwk_"
	// Pattern is the regular expression that scanners look for.
	Pattern = `dwk_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}`

	idWidth    = 16
	secretSize = 32
	label      = "doorward API key"
)

// The places of a key's parts.
var (
	idEnd       = len(Prefix) + idWidth
	secretStart = idEnd + len("_")
	secretEnd   = secretStart + secret.Width62(secretSize)
	width       = secretEnd + secret.ChecksumWidth
)

// Secret is an API key as its holder has it.
type Secret struct{ text string }

// newID makes a public id: 95 random bits, which nobody meets twice.
func newID() string { return secret.Base62(secret.Random(12))[1:] }

// newSecret makes a key with a public id.
func newSecret(id string) Secret {
	body := Prefix + id + "_" + secret.Base62(secret.Random(secretSize))
	return Secret{body + secret.Checksum(body)}
}

// Like reports whether a text can only be meant to be an API key.
func Like(text string) bool { return strings.HasPrefix(text, Prefix) }

// Parse reads a key, and reports whether it is one by its form and its checksum. What
// is none, no database need be asked about.
func Parse(s string) (Secret, bool) {
	if len(s) != width || !Like(s) || s[idEnd] != '_' || s[secretEnd:] != secret.Checksum(s[:secretEnd]) || !known(s[len(Prefix):idEnd]) {
		return Secret{}, false
	}
	if _, err := secret.ParseBase62(s[secretStart:secretEnd], secretSize); err != nil {
		return Secret{}, false
	}
	return Secret{s}, true
}

// known reports whether a text has the form of a public id.
func known(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return len(id) == idWidth
}

// ID returns the public id.
func (s Secret) ID() string { return s.text[len(Prefix):idEnd] }

// Text returns the key as its holder keeps it.
func (s Secret) Text() secret.Text { return secret.From(s.text) }

// Keep returns s as it is kept.
func (s Secret) Keep(p secret.Pepper) secret.Kept { return p.Keep(label, []byte(s.text)) }

// Credential is what proves a key.
type Credential struct {
	Key      Key
	Present  secret.Kept
	Previous secret.Kept // works until Key.Previous
}

// Proves reports whether a secret is the key's now. Nothing that it does tells how much
// of a secret was right.
func (c Credential) Proves(s Secret, peppers secret.Peppers, now time.Time) bool {
	right, before := c.Present.Is(peppers, label, []byte(s.text)), c.Previous.Is(peppers, label, []byte(s.text))
	return right || before && now.Before(c.Key.Previous)
}
