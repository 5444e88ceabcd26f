package secret

import "strings"

const tokenSize = 32

// NewToken returns a secret that stands for itself, prefix base62(256 random bits)
// base62(CRC-32 of all before), and the digest that it is kept under. People and scanners
// know one by its prefix when they see it.
func NewToken(prefix string) (Text, Hash) {
	raw := Random(tokenSize)
	body := prefix + Base62(raw)
	return From(body + Checksum(body)), HashOf(raw)
}

// ParseToken returns the digest that such a secret is kept under, or false for what was
// never one.
func ParseToken(prefix, text string) (Hash, bool) {
	end := len(prefix) + Width62(tokenSize)
	if len(text) != end+ChecksumWidth || !strings.HasPrefix(text, prefix) || text[end:] != Checksum(text[:end]) {
		return Hash{}, false
	}
	raw, err := ParseBase62(text[len(prefix):end], tokenSize)
	if err != nil {
		return Hash{}, false
	}
	return HashOf(raw), true
}
