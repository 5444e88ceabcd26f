package client

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
)

// The key of a client's ID tokens is there before the client is: whoever learns of it
// finds the key published.
func TestSigning(t *testing.T) {
	h := newHouse()
	var made []jose.Algorithm
	var broken error
	h.Signing(func(_ context.Context, _ principal.Principal, alg jose.Algorithm) error {
		made = append(made, alg)
		return broken
	})
	shop := Draft{ID: "shop", Registration: Registration{RedirectURIs: []string{"https://shop.example/callback"}}}
	c, _ := h.create(t, shop)
	h.create(t, Draft{ID: "service"}) // nobody signs in to it
	c.IDTokenAlg = jose.ES256
	if _, err := h.Update(t.Context(), principal.Principal{}, c); err != nil {
		t.Fatal(err)
	}
	if want := []jose.Algorithm{jose.RS256, jose.ES256}; !slices.Equal(made, want) {
		t.Errorf("keys for %v, want %v", made, want)
	}
	broken = errors.New("no key")
	other := shop
	other.ID, other.Grants = "other", []oauth.GrantType{oauth.AuthorizationCode}
	if _, _, err := h.Create(t.Context(), principal.Principal{}, other); !errors.Is(err, broken) {
		t.Errorf("without a key: %v", err)
	}
	if _, err := h.Fresh(t.Context(), "other"); err == nil {
		t.Error("the client is there, and its key is not")
	}
}
