package access

import (
	"context"
	"slices"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
)

// NarrowedByKey is what a decision was narrowed by where the owner of an API key may,
// and the key's scopes do not carry it.
const NarrowedByKey = "key"

// Shown is an API key as somebody shows it.
type Shown struct {
	Text    string
	By      principal.Principal // who shows it: its holder, or an API that he came to
	Address string              // where its holder is; empty where that is not known
	// At are the names of the API that it is shown to. A key for certain APIs is not
	// good where none of these is named.
	At []string
}

// Bearer is who stands behind an API key, and what he may do with it now.
type Bearer struct {
	apikey.Key
	Scopes   []string // the key's that its owner holds now, sorted
	Roles    []string // the owner's, with all that they inherit
	Username string   // of an owner who is a user
}

// Principal returns the bearer as the one who asks, from where a request came.
func (b Bearer) Principal(from principal.Origin) principal.Principal {
	p := principal.Principal{Kind: principal.Key, ID: b.ID, Owner: b.Owner, Scopes: b.Scopes, Origin: from}
	if b.Owner.Kind == principal.Service {
		p.Client = b.Owner.ID
	}
	return p
}

// Bearer returns who stands behind a key that was proved, and what it may do now: what
// both its scopes and its owner's roles allow, and the registration of an owner who is
// a client. The fault is Unauthenticated if the owner is not there or not active.
func (s *Service) Bearer(ctx context.Context, k apikey.Key) (Bearer, error) {
	b := Bearer{Key: k, Scopes: k.Scopes}
	switch k.Owner.Kind {
	case principal.User:
		u, err := s.Accounts.User(ctx, k.Owner.ID)
		if fault.KindOf(err) == fault.NotFound || err == nil && u.Status != account.Active {
			return b, apikey.Refused("its owner is not active")
		} else if err != nil {
			return b, err
		}
		b.Username = u.Username
	case principal.Service:
		c, err := s.Clients.Known(ctx, k.Owner.ID)
		if fault.KindOf(err) == fault.NotFound || err == nil && c.Status != client.Active {
			return b, apikey.Refused("its owner is not active")
		} else if err != nil {
			return b, err
		}
		b.Scopes = slices.DeleteFunc(slices.Clone(b.Scopes), func(scope string) bool { return !slices.Contains(c.Scopes, scope) })
	default:
		return b, apikey.Refused("it has no owner")
	}
	held, err := s.Policy.Using(ctx, k.Owner.ID, "", nil)
	if err != nil {
		return b, err
	}
	if held.Clash != nil { // a key cannot choose
		return b, apikey.Refused("its owner holds roles that exclude each other")
	}
	b.Scopes = slices.DeleteFunc(slices.Clone(b.Scopes), func(scope string) bool { return !held.Has(scope) })
	b.Roles = held.Roles()
	return b, nil
}
