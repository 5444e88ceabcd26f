package policy

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"hash"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
)

// Digest tells two states apart in what a plan reads of them.
type Digest struct{ h hash.Hash }

// NewDigest begins with what a server has; everybody who has a role follows, in the
// order of the store.
func NewDigest(s State) *Digest {
	d := &Digest{sha256.New()}
	for _, r := range slices.SortedFunc(slices.Values(s.Roles), func(a, b rbac.Role) int { return strings.Compare(a.Name, b.Name) }) {
		d.add("role", r.Name, r.Version, r.Description, r.Inherits, r.Permissions)
	}
	for _, g := range slices.SortedFunc(slices.Values(s.Groups), func(a, b Group) int { return strings.Compare(a.Name, b.Name) }) {
		d.add("group", g.Name, g.Version)
		d.grants(g.Grants)
	}
	for _, r := range slices.SortedFunc(slices.Values(s.Resources), func(a, b resource.Resource) int { return strings.Compare(a.ID, b.ID) }) {
		d.add("resource", r.ID, r.Version, r.CreatedAt.UnixMicro())
	}
	for _, c := range slices.SortedFunc(slices.Values(s.Clients), func(a, b client.Client) int { return strings.Compare(a.ID, b.ID) }) {
		d.add("client", c.ID, c.Version, c.CreatedAt.UnixMicro())
	}
	return d
}

// Add adds somebody.
func (d *Digest) Add(h Holder) {
	d.add("holder", h.Kind, h.ID, h.Name, h.Active)
	d.grants(h.Grants)
	for _, m := range h.Places {
		d.add("place", m.Group, m.Until.UnixMicro(), m.At.UnixMicro())
	}
}

func (d *Digest) grants(list []rbac.Grant) {
	for _, g := range list {
		d.add("grant", g.ID, g.Role, g.Organization, g.Until.UnixMicro())
	}
}

// add adds a line that cannot be taken for another.
func (d *Digest) add(facts ...any) {
	text, _ := json.Marshal(facts) // strings, numbers and lists of strings
	d.h.Write(append(text, '\n'))
}

// Sum returns the digest.
func (d *Digest) Sum() string { return base64.RawURLEncoding.EncodeToString(d.h.Sum(nil)) }
