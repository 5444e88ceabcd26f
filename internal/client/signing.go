package client

import (
	"context"
	"slices"

	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/principal"
)

// Keys sees to it that there is a key of an algorithm to sign with.
type Keys func(context.Context, principal.Principal, jose.Algorithm) error

// Signing lets the service see to it that a client's ID tokens can be signed before
// anybody signs in to it. Clients fetch the public keys when they start, and not all of
// them ask again for a key that they do not know.
func (s *Service) Signing(k Keys) *Service {
	s.keys = k
	return s
}

func (s *Service) key(ctx context.Context, by principal.Principal, c Client) error {
	if s.keys == nil || !slices.ContainsFunc(c.Grants, begins) { // nobody signs in to it
		return nil
	}
	if err := s.keys(ctx, by, c.SignsIDTokensWith()); err != nil || c.UserinfoAlg == "" {
		return err
	}
	return s.keys(ctx, by, c.UserinfoAlg)
}
