package grant

import "github.com/doorward/doorward/internal/status"

// Issued are access tokens that may be alive: what all of them say, and their bits. Each
// bit knows the version of the policy; that of Access counts for nothing.
type Issued struct {
	Access
	Held []status.Held
}

// Run are bits that were set apart for tokens of no family which say the same.
type Run struct {
	ID string
	Issued
}

// Owners returns what a run is found by, as Mark.Owner names it: all that its tokens end
// with, but for what ends too many tokens.
func (r Run) Owners() []string {
	var list []string
	r.Names(func(kind Kind, key string, _ int64) bool {
		if name, ok := (Mark{Kind: kind, Key: key}).Owner(); ok && key != "" {
			list = append(list, name)
		}
		return true
	})
	return list
}

// Owner returns what a run is found by that a mark voids; ok is false where all of them
// must be looked through.
func (m Mark) Owner() (name string, ok bool) {
	return m.Kind.String() + ":" + m.Key, m.Kind == OfFamily || m.Kind == OfPrincipal || m.Kind == OfKey
}

// Voids reports whether a mark makes a token void that names something.
func (m Mark) Voids(kind Kind, key string, version int64) bool {
	return kind == m.Kind && key == m.Key && version < m.Version
}

// Void returns those bits of tokens that name something which voids them.
func (i Issued) Void(voids func(kind Kind, key string, version int64) bool) []status.Slot {
	var list []status.Slot
	for _, h := range i.Held {
		a := i.Access
		a.Policy = h.Policy
		if !a.Names(func(kind Kind, key string, version int64) bool { return !voids(kind, key, version) }) {
			list = append(list, h.Slot)
		}
	}
	return list
}
