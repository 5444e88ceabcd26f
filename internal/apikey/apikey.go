// Package apikey keeps the long-lived keys of users and service accounts.
//
// A key acts for its owner, and what it may do is what both its scopes and its
// owner's roles allow at that moment. What those roles are is not here, nor whether
// the owner is active: package access brings them together. The invariant: a key is
// shown once, when it is made, and kept as a MAC alone.
package apikey

import (
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
)

// Key is an API key without its secret.
type Key struct {
	ID        string // public: it stands in the key
	Name      string // for people
	Owner     principal.Owner
	Scopes    []string       // permissions, sorted
	Networks  []netip.Prefix // from which it may be used, sorted; none: from everywhere
	Resources []string       // the APIs that it may be used at, sorted; none: at all
	Rate      int            // how often it may be used in a minute; 0: as often as its holder likes
	SecretAt  time.Time      // when its secret was made
	Previous  time.Time      // until when the secret before works too; zero for none
	ExpiresAt time.Time      // zero: it does not
	Over      bool           // it was found expired: no clock that is set back revives it
	CreatedBy string         // as the audit log names who made it
	CreatedAt time.Time
	UpdatedAt time.Time
	UsedAt    time.Time // when it was last used; zero: never
	UsedFrom  string    // the address that it was last used from; may be empty
	Version   int64     // 1 at first, one more with every change
}

// Target returns the key as the audit log names it.
func (k Key) Target() string { return string(principal.Key) + ":" + k.ID }

// Expired reports whether the key has had its time.
func (k Key) Expired(now time.Time) bool {
	return k.Over || !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt)
}

// From reports whether the key may be used from an address, as text. From nowhere,
// where it is not known, only a key without networks may.
func (k Key) From(address string) bool {
	if len(k.Networks) == 0 {
		return true
	}
	a, err := netip.ParseAddr(address)
	return err == nil && slices.ContainsFunc(k.Networks, func(n netip.Prefix) bool { return n.Contains(a.Unmap().WithZone("")) })
}

// At returns those of an API's audiences that the key may be used at.
func (k Key) At(audiences []string) []string {
	if len(k.Resources) == 0 {
		return audiences
	}
	return slices.DeleteFunc(slices.Clone(audiences), func(a string) bool { return !slices.Contains(k.Resources, a) })
}

const (
	mostName      = 200 // bytes
	mostScopes    = 1000
	mostNetworks  = 100
	mostResources = 100
	mostRate      = 1_000_000
)

// Most is how many keys an owner may have.
const Most = 100

// check returns a fault for what no key can be. permission says what a scope must be.
func (k *Key) check(permission func(string) error) error {
	switch {
	case k.Name == "" || !utf8.ValidString(k.Name) || len(k.Name) > mostName || !printable(k.Name):
		return fault.At("name", "it is a line of 1 to %d bytes", mostName)
	case len(k.Scopes) > mostScopes:
		return fault.At("scopes", "there are at most %d", mostScopes)
	case len(k.Networks) > mostNetworks:
		return fault.At("networks", "there are at most %d", mostNetworks)
	case len(k.Resources) > mostResources:
		return fault.At("resources", "there are at most %d", mostResources)
	case k.Rate < 0 || k.Rate > mostRate:
		return fault.At("rate_limit", "it is 1 to %d times in a minute, or 0 for no limit", mostRate)
	}
	for _, s := range k.Scopes {
		if err := permission(s); err != nil {
			return fault.At("scopes", "each is a permission, like orders:read")
		}
	}
	for _, r := range k.Resources {
		if err := oauth.CheckResource(r); err != nil {
			return fault.At("resources", "each is an absolute URI without a fragment")
		}
	}
	k.Scopes, k.Resources = sorted(k.Scopes), sorted(k.Resources)
	k.Networks = slices.Compact(slices.SortedFunc(slices.Values(k.Networks), netip.Prefix.Compare))
	return nil
}

// ParseNetworks reads networks in CIDR notation; an address
// alone stands for itself. Bits past the length are a mistake: who writes 10.1.2.3/8
// may have meant less than 10.0.0.0/8.
func ParseNetworks(list []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if a, alone := netip.ParseAddr(text); alone == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		switch {
		case err != nil:
			return nil, fault.At("networks", "each is a network, like 10.0.0.0/8 or 2001:db8::/32, or an address")
		case p.Addr().Is4In6():
			return nil, fault.At("networks", "write IPv4 networks like 10.0.0.0/8")
		case p != p.Masked():
			return nil, fault.At("networks", "an address has bits past its network's length; write %s", p.Masked())
		}
		networks = append(networks, p)
	}
	return networks, nil
}

// FormatNetworks writes networks in CIDR notation.
func FormatNetworks(list []netip.Prefix) []string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	return texts
}

// sorted returns a list in order, each once.
func sorted(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}
