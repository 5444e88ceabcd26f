package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// MAC returns HMAC-SHA-256 under key over a label and parts, each preceded by
// its length in eight bytes, so that no two different lists are encoded alike.
// The label names the purpose: one key serves one purpose for each label. It
// panics at a key under 32 bytes, which nothing that makes keys here returns.
func MAC(key []byte, label string, parts ...[]byte) Hash {
	if len(key) < sha256.Size {
		panic("secret: a MAC key is shorter than its hash")
	}
	m := hmac.New(sha256.New, key)
	var length [8]byte
	write := func(p []byte) {
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		m.Write(length[:])
		m.Write(p)
	}
	write([]byte(label))
	for _, p := range parts {
		write(p)
	}
	var h Hash
	m.Sum(h[:0])
	return h
}
