package secret

import (
	"errors"
	"slices"
)

// Pepper is a random key for MACs, and its version. What holds a MAC holds the version
// that made it.
type Pepper struct {
	Version int64
	Key     []byte // 32 bytes
}

// Peppers are the versions of the pepper of one purpose.
type Peppers interface {
	Newest() (Pepper, error)
	// Version returns one of them, and false if there is none.
	Version(version int64) (Pepper, bool)
}

// Versions are peppers, the newest first.
type Versions []Pepper

// Newest returns the first; the error is for none.
func (v Versions) Newest() (Pepper, error) {
	if len(v) == 0 {
		return Pepper{}, errors.New("there is no pepper")
	}
	return v[0], nil
}

// Version returns one of them.
func (v Versions) Version(version int64) (Pepper, bool) {
	i := slices.IndexFunc(v, func(p Pepper) bool { return p.Version == version })
	if i < 0 {
		return Pepper{}, false
	}
	return v[i], true
}

// Kept is a secret of high entropy as it is kept. The zero Kept is no secret.
type Kept struct {
	MAC    Hash
	Pepper int64 // the version that made it
}

// Keep returns what MAC makes of its arguments, as it is kept.
func (p Pepper) Keep(label string, parts ...[]byte) Kept {
	return Kept{MAC(p.Key, label, parts...), p.Version}
}

// Is reports whether k was made of the same by one of the peppers. How long it takes
// tells nothing of how much was the same.
func (k Kept) Is(peppers Peppers, label string, parts ...[]byte) bool {
	p, ok := peppers.Version(k.Pepper)
	return ok && k.Pepper != 0 && p.Keep(label, parts...).MAC.Equal(k.MAC)
}
