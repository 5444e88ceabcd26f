package provider

import (
	"log/slog"
	"net/http"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/web"
)

// authenticate is the one way in which a client proves who it is, at every endpoint
// that asks for it (RFC 6749, Section 2.3). A secret is judged before failures are
// looked at: who has the right one is served, whatever strangers do from his network.
func (p *Provider) authenticate(r *http.Request, given oauth.Credentials) (client.Client, error) {
	known := web.Of(r.Context())
	found, err := p.Clients.Prove(r.Context(), given)
	if fault.KindOf(err) == fault.Unauthenticated {
		if err := p.Issuer.ClientRefused(r.Context(), known.By, found, err); err != nil {
			return client.Client{}, err
		}
		return client.Client{}, given.Unproved().Because(err)
	} else if err != nil {
		return client.Client{}, err
	}
	known.By.Client = found.ID
	if found.Method != oauth.NoAuth {
		known.By.Kind, known.By.ID = principal.Service, found.ID
	}
	web.Note(r.Context(), slog.String("client", found.ID))
	return found, nil
}

// confidential is authenticate for what no public client may do.
func (p *Provider) confidential(r *http.Request, given oauth.Credentials) (client.Client, error) {
	found, err := p.authenticate(r, given)
	if err == nil && found.Method == oauth.NoAuth {
		return client.Client{}, given.Unproved()
	}
	return found, err
}

// Client returns the client that proves itself by the header of a request with a body
// that is no form.
func (p *Provider) Client(r *http.Request) (client.Client, error) {
	given, err := oauth.ParseCredentials(r.Header.Values("Authorization"), nil)
	if err != nil {
		return client.Client{}, err
	}
	return p.confidential(r, given)
}

// parameters reads those of a request. A query string is never read (RFC 6749,
// Section 2.3.1).
func parameters(w http.ResponseWriter, r *http.Request) (oauth.Params, error) {
	_, body, err := web.Body(w, r, web.Form)
	if err != nil {
		return nil, err
	}
	return oauth.ParseForm(string(body))
}

// form reads the parameters of a request and who says that he sends it.
func form(w http.ResponseWriter, r *http.Request) (oauth.Params, oauth.Credentials, error) {
	params, err := parameters(w, r)
	if err != nil {
		return nil, oauth.Credentials{}, err
	}
	given, err := oauth.ParseCredentials(r.Header.Values("Authorization"), params)
	return params, given, err
}
