package policy

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/rbac"
)

// application is a client as the file has it: what is not there is as it is for a
// client that is made without it.
type application struct {
	Name      string           `json:"client_name,omitempty" yaml:"client_name,omitempty"`
	Status    client.Status    `json:"status,omitempty" yaml:"status,omitempty"`
	Method    oauth.AuthMethod `json:"token_endpoint_auth_method,omitempty" yaml:"token_endpoint_auth_method,omitempty"`
	Grants    *[]string        `json:"grant_types,omitempty" yaml:"grant_types,omitempty"`
	Scopes    []string         `json:"scope,omitempty" yaml:"scope,omitempty"`
	Default   []string         `json:"default_scope,omitempty" yaml:"default_scope,omitempty"`
	Audiences []string         `json:"audiences,omitempty" yaml:"audiences,omitempty"`
	// What only applications have that people sign in to, by the names of RFC 7591.
	Registration map[string]any `json:"registration,omitempty" yaml:"registration,omitempty"`
}

// usual are the grants of a client for which none are named.
var usual = []oauth.GrantType{oauth.ClientCredentials}

func readClients(section item) map[string]client.Client {
	clients := map[string]client.Client{}
	for _, e := range section.entries() {
		f := e.fields("client_name", "status", "token_endpoint_auth_method", "grant_types", "scope", "default_scope", "audiences", "registration")
		c := client.Client{
			ID: e.key, Name: f["client_name"].text(), Status: client.Status(f["status"].text()), Method: oauth.AuthMethod(f["token_endpoint_auth_method"].text()),
			Scopes: f["scope"].texts(), Default: f["default_scope"].texts(), Audiences: f["audiences"].texts(), Grants: usual,
		}
		if c.Name == "" {
			c.Name = c.ID
		}
		if c.Status == "" {
			c.Status = client.Active
		}
		if c.Method == "" {
			c.Method = oauth.Basic
		}
		if given := f["grant_types"]; given.n != nil {
			c.Grants = []oauth.GrantType{}
			for _, g := range given.texts() {
				c.Grants = append(c.Grants, oauth.GrantType(g))
			}
		}
		c.Registration = f["registration"].registration()
		if err := c.Check(scope); err != nil {
			e.fault(err)
		}
		clients[e.key] = c
	}
	return clients
}

// scope says what a client may ask for.
func scope(s string) error { _, err := rbac.ParseScope(s); return err }

// permission says what an API may know.
func permission(s string) error { _, err := rbac.ParsePermission(s); return err }

func writeClients(all []client.Client) map[string]application {
	clients := map[string]application{}
	for _, c := range all {
		a := application{Scopes: c.Scopes, Default: c.Default, Audiences: c.Audiences}
		if c.Name != c.ID {
			a.Name = c.Name
		}
		if c.Status != client.Active {
			a.Status = c.Status
		}
		if c.Method != oauth.Basic {
			a.Method = c.Method
		}
		if !slices.Equal(c.Grants, usual) {
			list := grantTypes(c)
			a.Grants = &list
		}
		a.Registration = registered(c.Registration)
		clients[c.ID] = a
	}
	return clients
}

// registration reads a client's registration.
func (i item) registration() (r client.Registration) {
	if i.n == nil {
		return r
	}
	var given map[string]any
	if err := i.n.Decode(&given); err != nil {
		i.wrong("is to have names below it")
		return r
	}
	text, err := json.Marshal(given)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		err = d.Decode(&r)
	}
	if err != nil {
		i.wrong("does not fit: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return r
}

// registered is what registration reads; nil for nothing.
func registered(r client.Registration) map[string]any {
	text, err := json.Marshal(r)
	var fields map[string]any
	if err != nil || json.Unmarshal(text, &fields) != nil || len(fields) == 0 {
		return nil
	}
	return fields
}

func grantTypes(c client.Client) []string {
	list := []string{}
	for _, g := range c.Grants {
		list = append(list, string(g))
	}
	return list
}

// compareClients says what becomes of the clients.
func (c *comparison) compareClients() {
	for _, one := range c.state.Clients {
		c.present[one.ID] = one
		c.after[one.ID] = one
	}
	for _, id := range byName(c.doc.Clients) {
		after := c.doc.Clients[id]
		before, there := c.present[id]
		details := clientDetails(before, after)
		switch {
		case !there:
			c.change(Create, "client", id, details)
			c.plan.clients = append(c.plan.clients, client.Change{After: &after})
		case len(details) > 0:
			c.change(Update, "client", id, details)
			c.plan.clients = append(c.plan.clients, client.Change{Before: &before, After: &after})
		}
		c.after[id] = after
	}
	if c.doc.Clients == nil {
		return
	}
	for _, one := range c.state.Clients {
		if _, named := c.doc.Clients[one.ID]; named {
			continue
		}
		if !c.prune {
			c.left("client", one.ID)
			continue
		}
		c.change(Delete, "client", one.ID, clientDetails(one, client.Client{}))
		c.plan.clients = append(c.plan.clients, client.Change{Before: &one})
		delete(c.after, one.ID)
	}
}

func clientDetails(before, after client.Client) (list []Detail) {
	list = text(list, "client_name", before.Name, after.Name)
	list = text(list, "status", string(before.Status), string(after.Status))
	list = text(list, "token_endpoint_auth_method", string(before.Method), string(after.Method))
	list = lists(list, "grant_types", grantTypes(before), grantTypes(after))
	list = lists(list, "scope", before.Scopes, after.Scopes)
	list = lists(list, "default_scope", before.Default, after.Default)
	was, is := registered(before.Registration), registered(after.Registration)
	for _, field := range slices.Sorted(maps.Keys(both(was, is))) {
		list = text(list, "registration."+field, said(was[field]), said(is[field]))
	}
	return lists(list, "audiences", before.Audiences, after.Audiences)
}

func both(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, b)
	return all
}

// said is a value of a registration as a plan shows it.
func said(v any) string {
	if v == nil {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}
