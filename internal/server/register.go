package server

import (
	"context"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/rbac"
)

// opening is who may register clients without an account here, as the configuration says.
func (k *Core) opening() client.Opening {
	c := k.Config
	return client.Opening{
		Open: c.Registration.Open, Scopes: c.Registration.Scopes, Identity: rbac.IdentityScopes(),
		AssertionAudience: client.AssertionAudience(c.Registration.AssertionAudience),
		Take: func(ctx context.Context, who string) error {
			return k.Limits.Take(ctx, "registration:"+who, rateOf(c.RateLimit.Registration))
		},
	}
}

// purgeUnused deletes clients that somebody registered himself and nobody uses.
func (s *Server) purgeUnused(ctx context.Context) error {
	unused := s.Config.Registration.Unused
	if unused == 0 {
		return nil
	}
	for {
		more, err := s.Store.PurgeUnused(ctx, s.Clock.Now().Add(-unused))
		if err != nil || !more {
			return err
		}
	}
}
