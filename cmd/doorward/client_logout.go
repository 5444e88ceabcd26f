package main

import (
	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/client"
)

// addLogout writes how a client is told that somebody is signed out.
func addLogout(from client.Logout, to *client.Registration, changed func(flag string) bool) {
	if changed("backchannel-logout-uri") {
		to.BackchannelLogoutURI = from.BackchannelLogoutURI
	}
	if changed("backchannel-logout-session-required") {
		to.BackchannelLogoutSessionRequired = from.BackchannelLogoutSessionRequired
	}
	if changed("frontchannel-logout-uri") {
		to.FrontchannelLogoutURI = from.FrontchannelLogoutURI
	}
	if changed("frontchannel-logout-session-required") {
		to.FrontchannelLogoutSessionRequired = from.FrontchannelLogoutSessionRequired
	}
}

func logoutFlags(l *client.Logout, c *cobra.Command) {
	c.Flags().StringVar(&l.BackchannelLogoutURI, "backchannel-logout-uri", "", "the `URL` where this server tells it that somebody is signed out")
	c.Flags().BoolVar(&l.BackchannelLogoutSessionRequired, "backchannel-logout-session-required", false, "it needs the session's name then, which it is always told")
	c.Flags().StringVar(&l.FrontchannelLogoutURI, "frontchannel-logout-uri", "", "a `URL` that the browser loads in a hidden frame when somebody is signed out, of the origin of a redirect URI")
	c.Flags().BoolVar(&l.FrontchannelLogoutSessionRequired, "frontchannel-logout-session-required", false, "that says the issuer and the session then")
}

func logoutRows(t *table, c admin.Client) {
	if c.BackchannelLogoutURI != "" {
		t.row("is told of sign-outs at", c.BackchannelLogoutURI)
	}
	if c.FrontchannelLogoutURI != "" {
		t.row("and in a frame at", c.FrontchannelLogoutURI)
	}
}
