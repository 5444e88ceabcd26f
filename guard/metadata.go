package guard

import (
	"encoding/json"
	"net/http"
	"slices"
)

// Metadata returns the handler of this API's own metadata, which tells clients
// where to get a token and for what (RFC 9728, Section 2). It belongs at
// /.well-known/oauth-protected-resource, followed by the path of the API's
// Resource if that has one; challenges point there.
//
// scopes_supported are all permissions that Require was given so far. The
// handler answers 404 if neither a Resource is set nor the first Audience is a
// URL: then this API has no name that a client could ask for.
func (g *Guard) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.resource == "" {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		body, _ := json.Marshal(struct {
			Resource string   `json:"resource"`
			Servers  []string `json:"authorization_servers"`
			Scopes   []string `json:"scopes_supported,omitempty"`
			Methods  []string `json:"bearer_methods_supported"`
		}{g.resource, []string{g.issuer}, g.announced(), []string{"header"}})
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Write(append(body, '\n'))
	})
}

// announce remembers the permissions of a route for the metadata.
func (g *Guard) announce(checks []Requirement) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range checks {
		for _, p := range c.permissions {
			g.scopes[p] = true
		}
	}
}

func (g *Guard) announced() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]string, 0, len(g.scopes))
	for p := range g.scopes {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}
