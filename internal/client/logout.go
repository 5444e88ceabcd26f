package client

import (
	"net/url"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/oauth"
)

// Logout is how a client is told that somebody is signed out, by the names of OpenID Connect
// Back-Channel Logout 1.0, Section 2.2, and Front-Channel Logout 1.0, Section 2.
type Logout struct {
	BackchannelLogoutURI string `json:"backchannel_logout_uri,omitempty" doc:"Where this server tells it that somebody is signed out, by https"`
	// Every logout token names the session: this asks for nothing more.
	BackchannelLogoutSessionRequired  bool   `json:"backchannel_logout_session_required,omitempty" doc:"It needs the session's name (sid), which it is always told"`
	FrontchannelLogoutURI             string `json:"frontchannel_logout_uri,omitempty" doc:"What the browser loads in a hidden frame when somebody is signed out: of the origin of one of the redirect_uris"`
	FrontchannelLogoutSessionRequired bool   `json:"frontchannel_logout_session_required,omitempty" doc:"The frame's address says the issuer and the session (iss and sid)"`
}

// checkLogout is the part of Check that is about these. Whether the server may speak to
// where it is to tell the client, checkPlace says.
func (c *Client) checkLogout() error {
	if at := c.BackchannelLogoutURI; at != "" {
		if u, err := url.Parse(at); err != nil || !u.IsAbs() || u.Fragment != "" || len(at) > longestURI {
			return fault.At("backchannel_logout_uri", "it is an https URL")
		}
	}
	if c.BackchannelLogoutSessionRequired && c.BackchannelLogoutURI == "" {
		return fault.At("backchannel_logout_session_required", "it goes with backchannel_logout_uri")
	}
	if at := c.FrontchannelLogoutURI; at != "" && !oauth.BesideOneOf(c.RedirectURIs, at) {
		return fault.At("frontchannel_logout_uri", "it is a URL without a fragment, of the scheme, host and port of one of the redirect_uris")
	}
	if c.FrontchannelLogoutSessionRequired && c.FrontchannelLogoutURI == "" {
		return fault.At("frontchannel_logout_session_required", "it goes with frontchannel_logout_uri")
	}
	return nil
}
