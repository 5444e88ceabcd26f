package client

import (
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/oauth"
)

func TestParseID(t *testing.T) {
	for _, good := range []string{"a", "0", "billing-worker", "a.b_c-d", "a--", "a..b", strings.Repeat("a", 64), "doorward2", "client"} {
		if err := parseID(good); err != nil || !known(good) {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "-a", ".a", "_a", "A", "aB", "a b", "a/b", "a:b", "a%", "a\n", "\na", "a\x00", "\xff", "é", "ａ", "a\u200b", "..", strings.Repeat("a", 65), "*",
	} {
		if err := parseID(bad); fault.KindOf(err) != fault.Invalid || known(bad) {
			t.Errorf("%q: %v, and it is known: %t", bad, err, known(bad))
		}
	}
	if err := parseID(Builtin.ID); fault.KindOf(err) != fault.Conflict || known(Builtin.ID) {
		t.Errorf("the built-in client's: %v", err)
	}
	// One that was made for a client may be looked up, and cannot be chosen.
	own := id.New(noon)
	if err := parseID(own); fault.KindOf(err) != fault.Invalid || !known(own) {
		t.Errorf("%q: %v", own, err)
	}
}

func permission(s string) error {
	if strings.Contains(s, "*") || s == "" {
		return fault.New(fault.Invalid, "no permission")
	}
	return nil
}

func valid() Client {
	return Client{ID: "a", Name: "A", Status: Active, Method: oauth.Basic, Grants: []oauth.GrantType{oauth.ClientCredentials}, Scopes: []string{"a", "b"}}
}

func TestCheck(t *testing.T) {
	many := make([]string, mostScopes+1)
	for i := range many {
		many[i] = "a"
	}
	for name, tt := range map[string]struct {
		to    func(*Client)
		field string // empty: it is good
	}{
		"as it is":                 {func(*Client) {}, ""},
		"nothing at all":           {func(c *Client) { c.Name, c.Grants, c.Scopes = "", nil, nil }, ""},
		"a name of any script":     {func(c *Client) { c.Name = "Rechnung ✓ 発行" }, ""},
		"a long name":              {func(c *Client) { c.Name = strings.Repeat("a", 201) }, "client_name"},
		"a name of two lines":      {func(c *Client) { c.Name = "a\nb" }, "client_name"},
		"a name with a separator":  {func(c *Client) { c.Name = "a\u2028b" }, "client_name"},
		"a name with NUL":          {func(c *Client) { c.Name = "a\x00" }, "client_name"},
		"a name in Latin-1":        {func(c *Client) { c.Name = "\xe9" }, "client_name"},
		"another status":           {func(c *Client) { c.Status = "deleted" }, "status"},
		"no status":                {func(c *Client) { c.Status = "" }, "status"},
		"nobody for itself":        {func(c *Client) { c.Method = oauth.NoAuth }, "grant_types"},
		"another method":           {func(c *Client) { c.Method = "client_secret_jwt" }, "token_endpoint_auth_method"},
		"a key, without one":       {func(c *Client) { c.Method = oauth.PrivateKeyJWT }, "jwks"},
		"another grant":            {func(c *Client) { c.Grants = []oauth.GrantType{"password"} }, "grant_types"},
		"a wildcard":               {func(c *Client) { c.Scopes = []string{"a:*"} }, "scope"},
		"too many scopes":          {func(c *Client) { c.Scopes = many }, "scope"},
		"a default of no scope":    {func(c *Client) { c.Default = []string{"c"} }, "default_scope"},
		"a default":                {func(c *Client) { c.Default = []string{"b"} }, ""},
		"an audience":              {func(c *Client) { c.Audiences = []string{"https://api.example"} }, ""},
		"an audience that is none": {func(c *Client) { c.Audiences = []string{"api"} }, "audiences"},
	} {
		c := valid()
		tt.to(&c)
		err := c.Check(permission)
		f, _ := err.(*fault.Error)
		if (err == nil) != (tt.field == "") || err != nil && (f == nil || f.Kind != fault.Invalid || f.Field != tt.field) {
			t.Errorf("%s: %v, want a fault of %q", name, err, tt.field)
		}
	}
	c := valid()
	c.Scopes, c.Audiences = []string{"b", "a", "b"}, []string{"urn:b", "urn:a", "urn:b"}
	c.Grants = append(c.Grants, c.Grants...)
	if err := c.Check(permission); err != nil || !slices.Equal(c.Scopes, []string{"a", "b"}) || !slices.Equal(c.Audiences, []string{"urn:a", "urn:b"}) || len(c.Grants) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAsks(t *testing.T) {
	c := valid()
	for _, tt := range []struct{ standing, requested, want []string }{
		{nil, nil, []string{"a", "b"}}, {[]string{"b"}, nil, []string{"b"}}, {[]string{"b"}, []string{"a"}, []string{"a"}}, {nil, []string{"x"}, []string{"x"}},
	} {
		c.Default = tt.standing
		if got := c.Asks(tt.requested); !slices.Equal(got, tt.want) {
			t.Errorf("by default %q, requested %q: %q, want %q", tt.standing, tt.requested, got, tt.want)
		}
	}
}
