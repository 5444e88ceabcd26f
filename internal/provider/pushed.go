package provider

import (
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/web"
)

// pushing is where clients push their authorization requests.
const pushing = "/oauth2/par"

// pushedAnswer is the answer to a request that was pushed (RFC 9126, Section 2.2).
type pushedAnswer struct {
	URI     string `json:"request_uri"`
	Expires int64  `json:"expires_in"`
}

// Push keeps an authorization request that a client brings itself: then the browser brings
// nothing but its name, which nobody can change, and which says nothing (RFC 9126, Section
// 2.1). The client proves itself as at the token endpoint.
func (p *Provider) Push(w http.ResponseWriter, r *http.Request) error {
	params, given, err := form(w, r)
	if err != nil {
		return err
	}
	c, err := p.authenticate(r, given)
	if err != nil {
		return err
	}
	uri, err := p.Issuer.Push(r.Context(), web.By(r.Context()), c, params)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusCreated, pushedAnswer{URI: uri, Expires: int64(grant.PushedLasts / time.Second)})
}
