package client

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/oauth"
)

// A client is told at places of its own alone (SES-008: whatever else a page here may frame,
// it frames the origins of redirect URIs).
func TestCheckLogout(t *testing.T) {
	const back, front = "backchannel_logout_uri", "frontchannel_logout_uri"
	for _, tt := range []struct {
		back, front string
		field       string // empty: it is good
	}{
		{"", "", ""},
		{"https://told.example/logout?a=1", "", ""},
		{"told.example", "", back},
		{"/logout", "", back},
		{"https://told.example/#x", "", back},
		{"https://told.example/" + strings.Repeat("a", longestURI), "", back},
		{"", "https://client.example/bye?a=1", ""},
		{"", "https://client.example:8443/", ""},
		{"", "http://127.0.0.1:5000/bye", ""},
		{"", "http://client.example/", front},
		{"", "https://client.example:443/", front},
		{"", "https://client.example:9443/", front},
		{"", "http://127.0.0.1/bye", front},
		{"", "https://sub.client.example/", front},
		{"", "https://client.example.evil.example/", front},
		{"", "https://client.example@evil.example/", front},
		{"", "https://evil.example/https://client.example/", front},
		{"", "https://client.example/#x", front},
		{"", `https://client.example/"><script>`, front},
		{"", "https://client.example/'x; script-src *", front},
		{"", "javascript:alert(1)", front},
		{"", "com.example.app:/bye", front},
		{"", "//client.example/", front},
		{"", "https:", front},
	} {
		c := valid()
		c.Grants = []oauth.GrantType{oauth.AuthorizationCode}
		c.RedirectURIs = []string{"https://client.example/cb", "https://client.example:8443/cb", "http://127.0.0.1:5000/cb"}
		if strings.HasPrefix(tt.front, "com.") {
			c.ApplicationType, c.RedirectURIs = Native, append(c.RedirectURIs, "com.example.app:/cb")
		}
		c.BackchannelLogoutURI, c.FrontchannelLogoutURI = tt.back, tt.front
		err := c.Check(permission)
		f, _ := err.(*fault.Error)
		if (err == nil) != (tt.field == "") || err != nil && (f == nil || f.Kind != fault.Invalid || f.Field != tt.field) {
			t.Errorf("%q, %q: %v, want a fault of %q", tt.back, tt.front, err, tt.field)
		}
	}
	c := valid()
	c.BackchannelLogoutSessionRequired = true
	if err := c.Check(permission); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a session without a place: %v", err)
	}
	c = valid()
	c.FrontchannelLogoutSessionRequired = true
	if err := c.Check(permission); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a session without a frame: %v", err)
	}
}
