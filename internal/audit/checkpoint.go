package audit

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/doorward/doorward/internal/fault"
)

// Checkpoint is what a log says of itself at a moment: which log it is, how many
// leaves it has, and the hash of its tree. It says nothing until it is signed.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   Hash
}

// Origin returns the origin line of the log of an issuer.
func Origin(issuer *url.URL) string {
	if issuer == nil {
		return ""
	}
	return issuer.Host + "/audit"
}

// maxCheckpoint bounds what is read as a checkpoint.
const maxCheckpoint = 64 << 10

// Text returns the checkpoint as it is signed (C2SP tlog-checkpoint).
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + c.Root.String() + "\n"
}

// parseCheckpoint reads the text of a checkpoint. Lines after the third are
// somebody's extensions.
func parseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 {
		return c, errors.New("a checkpoint has three lines")
	}
	c.Origin = lines[0]
	if c.Origin == "" || strings.ContainsFunc(c.Origin, unicode.IsControl) {
		return c, errors.New("a checkpoint begins with its origin")
	}
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 0 || strconv.FormatInt(c.Size, 10) != lines[1] {
		return c, errors.New("the second line of a checkpoint is a size")
	}
	if c.Root, err = tlog.ParseHash(lines[2]); err != nil || c.Root.String() != lines[2] {
		return c, errors.New("the third line of a checkpoint is a hash in base64")
	}
	return c, nil
}

// Signer signs checkpoints, and verifies what it signed.
type Signer struct {
	note.Verifier
	key crypto.Signer
}

// NewSigner returns who signs the checkpoints of an origin with an Ed25519 key.
func NewSigner(origin string, key crypto.Signer) (Signer, error) {
	_, v, err := NewVerifierKey(origin, key.Public())
	return Signer{v, key}, err
}

// Sign returns the signature of a note's text.
func (s Signer) Sign(text []byte) ([]byte, error) { return s.key.Sign(nil, text, crypto.Hash(0)) }

// NewVerifierKey returns a public key as verifiers of signed notes take it: name,
// hash and key with + between them.
func NewVerifierKey(origin string, public crypto.PublicKey) (text string, v note.Verifier, err error) {
	key, ok := public.(ed25519.PublicKey)
	if !ok {
		return "", nil, errors.New("a checkpoint is signed with Ed25519")
	}
	if text, err = note.NewEd25519VerifierKey(origin, key); err != nil {
		return "", nil, err
	}
	v, err = note.NewVerifier(text)
	return text, v, err
}

// ParseVerifierKey reads a public key as doorward audit key prints it.
func ParseVerifierKey(text string) (note.Verifier, error) {
	v, err := note.NewVerifier(strings.TrimSpace(text))
	if err != nil {
		return nil, fault.New(fault.Invalid, "it is not a verifier key, like auth.example.com/audit+1a2b3c4d+AZ…").Because(err)
	}
	return v, nil
}

// Sign returns the checkpoint as a signed note.
func (c Checkpoint) Sign(signers ...note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.Text()}, signers...)
}

// Signed is a checkpoint whose signature was verified, and by which keys.
type Signed struct {
	Checkpoint
	Keys []note.Signature
}

var errUnknownKey = errors.New("none of the known keys signed it")

// OpenCheckpoint reads a signed note and verifies it: at least one of the keys
// signed it, and no signature that says to be of one of them is wrong. The name
// of a key that counts is the origin.
func OpenCheckpoint(text []byte, keys []note.Verifier) (s Signed, err error) {
	if len(text) > maxCheckpoint {
		return s, errors.New("it is too long for a checkpoint")
	}
	n, err := note.Open(text, note.VerifierList(keys...))
	if _, unknown := errors.AsType[*note.UnverifiedNoteError](err); unknown {
		return s, errUnknownKey
	} else if err != nil {
		return s, fmt.Errorf("its signature: %w", err)
	}
	if s.Checkpoint, err = parseCheckpoint(n.Text); err != nil {
		return s, err
	}
	s.Keys = n.Sigs
	for _, k := range n.Sigs {
		if k.Name != s.Origin {
			return s, fmt.Errorf("the key %s signed a checkpoint of %s", k.Name, s.Origin)
		}
	}
	return s, nil
}

// ReadCheckpoint reads a signed note without verifying it: for a log that is
// about to be held against it anyway.
func ReadCheckpoint(text []byte) (Checkpoint, error) {
	body, _, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok || len(text) > maxCheckpoint {
		return Checkpoint{}, errors.New("it is not a signed note")
	}
	return parseCheckpoint(string(body) + "\n")
}
