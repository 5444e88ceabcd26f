package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// A Sealer encrypts what the database keeps, with the master key. It holds one
// key that seals and any number of older ones that still open, so that the
// master key can be replaced while servers run.
//
// A sealed blob is the key's 8-byte id, a 12-byte nonce and AES-256-GCM
// ciphertext; the place it is kept at (table, row, column) is authenticated
// with it, so that a blob copied to another row does not open there.
type Sealer struct {
	current string
	aeads   map[string]cipher.AEAD
}

const (
	keySize = 32
	idSize  = 8
)

// ErrUnknownMaster is returned for a blob that none of the Sealer's keys made.
var ErrUnknownMaster = errors.New("sealed under another master key")

var errSealed = errors.New("sealed data is damaged or was moved")

// ParseSealer reads master keys, one a line or separated by commas, each 32
// bytes in base64. The first seals; all open. Lines that begin with # are
// comments.
func ParseSealer(text Text) (*Sealer, error) {
	s := &Sealer{aeads: map[string]cipher.AEAD{}}
	for line := range strings.FieldsFuncSeq(stripComments(text.Reveal()), func(r rune) bool { return r == '\n' || r == ',' }) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		key, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(key) != keySize {
			return nil, fmt.Errorf("a master key is not 32 bytes in base64 (make one with: openssl rand -base64 32)")
		}
		if err := s.add(key); err != nil {
			return nil, err
		}
	}
	if s.current == "" {
		return nil, errors.New("there is no master key in it")
	}
	return s, nil
}

func stripComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// NewMaster returns a new random master key as its file holds it.
func NewMaster() Text { return From(base64.StdEncoding.EncodeToString(Random(keySize))) }

func (s *Sealer) add(key []byte) error {
	id, err := hkdf.Key(sha256.New, key, nil, "doorward master key id", idSize)
	if err != nil {
		return err
	}
	sealing, err := hkdf.Key(sha256.New, key, nil, "doorward seal", keySize)
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return err
	}
	s.aeads[string(id)] = aead
	if s.current == "" {
		s.current = string(id)
	}
	return nil
}

// Current returns the id of the key that seals, in hex.
func (s *Sealer) Current() string { return hex.EncodeToString([]byte(s.current)) }

// Keys returns how many keys s holds.
func (s *Sealer) Keys() int { return len(s.aeads) }

// KeyOf returns the id of the key that a blob is sealed under, in hex.
func KeyOf(blob []byte) string {
	return hex.EncodeToString(blob[:min(idSize, len(blob))])
}

// Seal encrypts plain for the place where it will be kept.
func (s *Sealer) Seal(plain []byte, place string) []byte {
	nonce := Random(12)
	blob := append([]byte(s.current), nonce...)
	return s.aeads[s.current].Seal(blob, nonce, plain, []byte(place))
}

// Open decrypts a blob that was sealed for place.
func (s *Sealer) Open(blob []byte, place string) ([]byte, error) {
	if len(blob) < idSize+12 {
		return nil, errSealed
	}
	aead, ok := s.aeads[string(blob[:idSize])]
	if !ok {
		return nil, fmt.Errorf("%w (%s)", ErrUnknownMaster, KeyOf(blob))
	}
	plain, err := aead.Open(nil, blob[idSize:idSize+12], blob[idSize+12:], []byte(place))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}
