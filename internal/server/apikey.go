package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/web"
)

// reporters returns an error if nobody can be read from the file of those who are
// believed that a key is public.
func reporters(c config.Config) error {
	if c.Keys.LeakReporters == "" {
		return nil
	}
	if _, err := admin.ReadReporters(c.Keys.LeakReporters); err != nil {
		return fmt.Errorf("%s: %w", c.Place("keys.leak_reporters"), err)
	}
	return nil
}

// Bearer returns who stands behind an API key that somebody shows, and counts the use.
// It is the one way in for keys: at this server's own API, at verify and introspect, and
// for the command line.
//
// Faults: Unauthenticated whatever is wrong with it; Limited if it is used too often, or
// is wrong and too much failed from there already; Unavailable. A key is judged before
// failures are looked at: who has the right one is served, whatever strangers do from
// his network. What is no key by its form is refused by its checksum alone.
func (k *Core) Bearer(ctx context.Context, shown access.Shown) (access.Bearer, error) {
	found, err := k.APIKeys.Prove(ctx, shown.Text, shown.Address)
	if errors.Is(err, apikey.ErrForm) {
		return access.Bearer{}, err
	}
	var b access.Bearer
	if err == nil {
		b, err = k.Access.Bearer(ctx, found)
	}
	if err == nil && len(found.Resources) > 0 && len(found.At(shown.At)) == 0 {
		err = apikey.Refused("it is for other APIs")
	}
	if fault.KindOf(err) == fault.Unauthenticated {
		if limited := k.Issuer.KeyRefused(ctx, shown.By, found, err); limited != nil {
			return access.Bearer{}, limited
		}
	}
	if err != nil {
		return access.Bearer{}, err
	}
	if found.Rate > 0 {
		if err := k.Limits.Take(ctx, found.Target(), limit.Rate{Times: found.Rate, Per: time.Minute}); err != nil {
			return access.Bearer{}, err
		}
	}
	k.APIKeys.Used(found.ID, shown.Address)
	return b, nil
}

// bearerOf is Bearer for requests: while this process may not know what changed, no key
// is judged.
func (s *Server) bearerOf(ctx context.Context, shown access.Shown) (access.Bearer, error) {
	if err := s.Fresh(); err != nil {
		return access.Bearer{}, err
	}
	return s.Bearer(ctx, shown)
}

// apiKey tells the guard of this server's own API whose a key is.
func (s *Server) apiKey(ctx context.Context, text string) (*guard.Principal, error) {
	by := web.By(ctx)
	b, err := s.bearerOf(ctx, access.Shown{Text: text, By: by, Address: by.Origin.Address, At: audiences(s.Config)})
	if f, ok := errors.AsType[*fault.Error](err); ok {
		switch f.Kind {
		case fault.Unauthenticated:
			return nil, err
		case fault.Limited:
			return nil, fmt.Errorf("%w: %w", &guard.Limited{After: f.After}, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", guard.ErrUnavailable, err)
	}
	p := &guard.Principal{Subject: b.Owner.ID, Scopes: b.Scopes, Roles: b.Roles, KeyID: b.ID, Issued: b.SecretAt, Expires: b.ExpiresAt}
	if b.Owner.Kind == principal.Service {
		p.ClientID = b.Owner.ID
	}
	return p, nil
}
