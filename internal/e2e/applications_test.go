//go:build interop

package e2e_test

import (
	"fmt"
	"testing"

	"github.com/doorward/doorward/internal/storm/program"
)

// origin is where an application of the test's own may serve.
func origin(t *testing.T) string {
	t.Helper()
	port, err := program.Port()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://localhost:%d", port)
}

// TestInteropExpress signs somebody in to web applications by express-openid-connect and
// passport-openidconnect, registered as docs/guides/clients.md says.
func TestInteropExpress(t *testing.T) {
	t.Parallel()
	node, room := nodeRoom(t, "clients")
	s := start(t, "DOORWARD_FETCH_ALLOW=localhost") // to tell the first that somebody signed out
	ann := s.ann(t)
	app := origin(t)
	c := s.register(t, map[string]any{
		"redirect_uris": []string{app + "/callback"}, "post_logout_redirect_uris": []string{app}, "backchannel_logout_uri": app + "/backchannel-logout",
		"scope": "read",
	})
	ann.with(room, "", node, "express-openid-connect.mjs", s.url, c.ID, c.Secret, app)
	app = origin(t)
	c = s.register(t, map[string]any{"redirect_uris": []string{app + "/callback"}, "token_endpoint_auth_method": "client_secret_post", "require_pkce": false})
	ann.with(room, "", node, "passport.mjs", s.url, c.ID, c.Secret, app)
}

// TestInteropMCP lets an agent that knows an address alone find who signs people in for
// it, register itself, and be renewed (Model Context Protocol, Authorization).
func TestInteropMCP(t *testing.T) {
	t.Parallel()
	node, room := nodeRoom(t, "clients")
	s := start(t, "DOORWARD_REGISTRATION_OPEN=true", "DOORWARD_REGISTRATION_SCOPES=read")
	address := origin(t) + "/mcp"
	s.operate(t, "", "resource", "create", "orders", "--identifier", address, "--permission", "read")
	s.ann(t).with(room, landing, node, "mcp.mjs", s.url, address, landing)
}
