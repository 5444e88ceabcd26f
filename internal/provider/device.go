package provider

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/web"
)

// DevicePage is where a person types the code that his device shows.
const DevicePage = "/oauth2/device"

// deviceAnswer is the answer of the device authorization endpoint (RFC 8628, Section 3.2).
type deviceAnswer struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	Expires    int64  `json:"expires_in"`
	Interval   int64  `json:"interval"`
}

// DeviceAuthorization begins the sign-in of a device that has no browser (RFC 8628,
// Section 3.1).
func (p *Provider) DeviceAuthorization(w http.ResponseWriter, r *http.Request) error {
	params, given, err := form(w, r)
	if err != nil {
		return err
	}
	c, err := p.device(r, given)
	if err != nil {
		return err
	}
	request := issue.DeviceRequest{Client: c, Resource: params["resource"]}
	if request.Scope, err = oauth.ParseScope(params.Get("scope")); err != nil {
		return err
	}
	for _, resource := range request.Resource {
		if err := oauth.CheckResource(resource); err != nil {
			return err
		}
	}
	d, code, err := p.Issuer.AskDevice(r.Context(), web.By(r.Context()), request)
	if err != nil {
		return err
	}
	page := p.issuer + DevicePage
	return web.JSON(w, http.StatusOK, deviceAnswer{
		DeviceCode: code.Reveal(), UserCode: d.UserCode.String(), URI: page, Complete: page + "?user_code=" + d.UserCode.String(),
		Expires: int64(d.Expires.Sub(d.Created) / time.Second), Interval: int64(d.Interval / time.Second),
	})
}

// device is authenticate for a device, but that a client with a secret need not show it
// here: golang.org/x/oauth2 sends the id alone. It gains nothing by that which it could
// not have by pretending to be a public client. The person is told who asks and from
// where, and the device code is good for nothing without the secret, which the token
// endpoint asks for. A secret that is shown must be right.
func (p *Provider) device(r *http.Request, given oauth.Credentials) (client.Client, error) {
	if given.Method == oauth.NoAuth {
		c, err := p.Clients.Known(r.Context(), given.ID)
		if err == nil && c.Status == client.Active && c.May(oauth.DeviceCode) {
			web.Of(r.Context()).By.Client = c.ID
			web.Note(r.Context(), slog.String("client", c.ID))
			return c, nil
		} else if err != nil && fault.KindOf(err) != fault.NotFound {
			return c, err
		}
	}
	return p.authenticate(r, given)
}
