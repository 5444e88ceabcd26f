package config

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
)

// MasterKey is the key that seals what the database keeps, or the file that
// holds it. The zero MasterKey is none.
type MasterKey struct {
	Text secret.Text // from DOORWARD_MASTER_KEY, as secret.ParseSealer reads it
	Path string      // of the file, if Text is zero
}

// IsZero reports whether no key was given.
func (k MasterKey) IsZero() bool { return k.Text.IsZero() && k.Path == "" }

// masterKey takes the key itself from the environment alone: a configuration
// file is copied and shown around, and arguments are seen by everybody.
func masterKey(field func(*Config) *MasterKey) form {
	return form{
		allowed: "the path of a file with 32 bytes in base64; DOORWARD_MASTER_KEY alone holds the base64 itself",
		lines:   true, keepsPath: true,
		set: func(c *Config, g given) []error {
			it := g.items[0]
			if g.at.from == byVariable {
				text := secret.From(it.text)
				if _, err := secret.ParseSealer(text); err != nil {
					return []error{fault.At(it.where, "%v", err)}
				}
				*field(c) = MasterKey{Text: text}
				return nil
			}
			if holdsKey(it.text) {
				return []error{fault.At(it.where, "is a key, not the path of a file that holds it; replace the key, for others may have seen it, and give it as DOORWARD_MASTER_KEY or in a file")}
			}
			*field(c) = MasterKey{Path: g.path(it.text)}
			return nil
		},
		get: func(c *Config) string {
			if k := field(c); k.Text.IsZero() {
				return k.Path
			}
			return field(c).Text.String()
		},
	}
}

// holdsKey reports whether text has the looks of 32 bytes in base64 or hex, or
// of several such.
func holdsKey(text string) bool {
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(", \r\n", r) }) {
		bare := strings.TrimRight(part, "=")
		for _, decode := range []func(string) ([]byte, error){
			base64.RawStdEncoding.DecodeString, base64.RawURLEncoding.DecodeString, hex.DecodeString,
		} {
			// A path of 43 letters and slashes from the root is a path.
			if b, err := decode(bare); err == nil && len(b) == 32 && (part != bare || part[0] != '/') {
				return true
			}
		}
	}
	return false
}

// Load returns the text of the key, reading its file if it is in one. A file that
// others may read or its group may write is refused, and so is one that its
// group may read unless root owns it: that is how orchestrators mount secrets.
func (k MasterKey) Load() (secret.Text, error) {
	if !k.Text.IsZero() || k.Path == "" {
		return k.Text, nil
	}
	f, err := os.Open(k.Path)
	if err != nil {
		return secret.Text{}, fmt.Errorf("master key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat() // of what is open: the name may mean another file by now
	if err != nil {
		return secret.Text{}, fmt.Errorf("master key: %w", err)
	}
	if err := checkMode(info); err != nil {
		return secret.Text{}, fmt.Errorf("master key: %s %w", k.Path, err)
	}
	text, err := readSecret(f)
	if err != nil {
		return secret.Text{}, fmt.Errorf("master key: %s %w", k.Path, err)
	}
	return secret.From(text), nil
}

func checkMode(info fs.FileInfo) error {
	mode := info.Mode()
	switch {
	case !mode.IsRegular():
		return errors.New("is not a file")
	case mode&0o006 != 0:
		return errors.New("can be read or written by everybody; chmod 600 it")
	case mode&0o020 != 0:
		return errors.New("can be written by its group; chmod 600 it")
	case mode&0o040 != 0 && !ownedByRoot(info):
		return errors.New("can be read by its group and is not root's; chmod 600 it")
	}
	return nil
}

const mostSecret = 64 << 10

// readSecret reads a small text without the line break at its end.
func readSecret(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, mostSecret+1))
	switch {
	case err != nil:
		return "", errors.New("cannot be read")
	case len(b) > mostSecret:
		return "", errors.New("is longer than 64 KiB")
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}
