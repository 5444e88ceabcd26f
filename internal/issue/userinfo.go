package issue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/secret"
)

// Subject returns what a person is called when a client is told of him: the id of his
// account, or for a client with pairwise subjects a MAC of it that another sector cannot
// tell from anybody else's (OpenID Connect Core 1.0, Section 8.1). It stays the same as long
// as the sector does, whatever becomes of other keys.
func (s *Service) Subject(c client.Client, user string) (string, error) {
	if c.SubjectType != client.PairwiseSubjects {
		return user, nil
	}
	sector := c.Sector()
	if sector == "" {
		return "", errNoSector
	}
	p, ok := s.keys.Peppers(keyring.Pairwise).Version(1)
	if !ok {
		return "", fmt.Errorf("there is no pepper for %s", keyring.Pairwise)
	}
	mac := secret.MAC(p.Key, "doorward pairwise subject", []byte(sector), []byte(user))
	return secret.Base62(mac[:]), nil
}

var errNoSector = errors.New("a client with pairwise subjects is of no sector")

// Meant reports whether an ID token that came back is about a person.
func (s *Service) Meant(ctx context.Context, h Hint, user string) bool {
	if h.User == user {
		return true
	}
	c, err := s.clients.Known(ctx, h.Client)
	if err != nil {
		return false
	}
	subject, err := s.Subject(c, user)
	return err == nil && subject == h.User
}

// Userinfo is what the holder of an access token learns of the person whom it is of, at the
// userinfo endpoint (OpenID Connect Core 1.0, Section 5.3.2).
type Userinfo struct {
	Claims map[string]any
	Signed secret.Text // the same as a JWT, for a client that is registered for one; else zero
}

// Userinfo returns what the holder of an access token learns. It is a NotFound for an
// account that is deleted.
func (s *Service) Userinfo(ctx context.Context, user, family string, scope []string) (Userinfo, error) {
	u, err := s.accounts.User(ctx, user)
	if err != nil {
		return Userinfo{}, err
	}
	f, err := s.store.FamilyByID(ctx, family)
	if err != nil {
		return Userinfo{}, err
	}
	c := client.Builtin
	if f.Client != c.ID {
		if c, err = s.clients.Known(ctx, f.Client); err != nil {
			return Userinfo{}, err
		}
	}
	told := Claims(u, scope, f.Claims.Userinfo)
	if told["sub"], err = s.Subject(c, u.ID); err != nil || c.UserinfoAlg == "" {
		return Userinfo{Claims: told}, err
	}
	// Unlike an ID token it has no time of its own, and is not taken for one (see Hint).
	told["iss"], told["aud"] = s.options.Issuer, c.ID
	signer, err := s.keys.IDSigner(ctx, c.UserinfoAlg)
	if err != nil {
		return Userinfo{}, err
	}
	payload, err := json.Marshal(told)
	if err != nil {
		return Userinfo{}, err
	}
	token, err := signer.Sign(payload)
	return Userinfo{told, secret.From(token)}, err
}
