package admin

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/doorward/doorward/internal/condition"
)

// Document returns what makes the OpenAPI document. Neither it nor the operations are made
// before somebody asks for one of them. who says whom the site map lets call an operation.
func (a *API) Document(who func(operation string) Callers) func() ([]byte, error) {
	settle()
	a.make = sync.OnceFunc(func() {
		a.operations()
		a.describe(who)
	})
	return sync.OnceValues(func() ([]byte, error) {
		a.make()
		doc := a.huma.OpenAPI()
		if err := exemplify(doc); err != nil {
			return nil, err
		}
		return json.Marshal(doc)
	})
}

// describe makes the document of the operations say what is served.
func (a *API) describe(who func(operation string) Callers) {
	doc := a.huma.OpenAPI()
	for _, item := range doc.Paths {
		for _, op := range operations(item) {
			if op != nil {
				correct(op)
			}
		}
	}
	doc.Tags = tags
	a.describeSignIn()
	a.describeOAuth()
	a.describeAuthZEN()
	for path, item := range doc.Paths {
		for method, op := range operations(item) {
			if op == nil {
				continue
			}
			secure(doc, op, who(method+" "+path))
		}
	}
	widen(doc)
}

func operations(i *huma.PathItem) map[string]*huma.Operation {
	return map[string]*huma.Operation{
		http.MethodGet: i.Get, http.MethodPost: i.Post, http.MethodPut: i.Put, http.MethodPatch: i.Patch, http.MethodDelete: i.Delete,
	}
}

// tags are the parts of the document, in the order in which they are read.
var tags = []*huma.Tag{
	{Name: "sign in", Description: "With a password, for applications of your own"},
	{Name: "oauth2", Description: "The authorization server, for every other application"},
	{Name: "discovery", Description: "What programs read of the server"},
	{Name: "me", Description: "The account of whoever asks"},
	{Name: "users", Description: "Accounts"},
	{Name: "sessions", Description: "What is signed in"},
	{Name: "roles", Description: "What may be done, and who holds it"},
	{Name: "groups", Description: "Roles for many at once"},
	{Name: "separations", Description: "Roles that are kept apart"},
	{Name: "conditions", Description: "Policies in Cedar"},
	{Name: "organizations", Description: "Memberships"},
	{Name: "access", Description: "Who may do what, and why"},
	{Name: "AuthZEN", Description: "The same questions, in the words of the OpenID Foundation"},
	{Name: "clients", Description: "Applications"},
	{Name: "resources", Description: "APIs that tokens are meant for"},
	{Name: "API keys", Description: "Long-lived credentials for programs"},
	{Name: "audit", Description: "Who did what, and the proof of it"},
}

// correct makes what huma describes what is served: bodies are JSON alone, and what
// it would tell as 422 is told as 400. Beside an operation's own errors there are
// those that come before it.
func correct(op *huma.Operation) {
	problem := op.Responses["400"]
	also := func(status int) {
		r := *problem
		r.Description = http.StatusText(status)
		op.Responses[strconv.Itoa(status)] = &r
	}
	delete(op.Responses, "422")
	also(http.StatusServiceUnavailable)
	if op.RequestBody == nil {
		return
	}
	also(http.StatusRequestEntityTooLarge)
	also(http.StatusUnsupportedMediaType)
	content := op.RequestBody.Content
	delete(content, "application/octet-stream")
	if op.Method == http.MethodPatch {
		content[mergePatchType] = content["application/json"]
	}
}

// Callers are who may call an operation.
type Callers struct {
	Token      bool     // whoever brings an access token; else anybody
	Permission string   // that it must carry; empty for none
	Apps       bool     // an application's token too, that a person let it have
	AppScopes  []string // with these scopes
}

// secure says who may call an operation.
func secure(doc *huma.OpenAPI, op *huma.Operation, c Callers) {
	if !c.Token {
		op.Security = []map[string][]string{}
		return
	}
	if op.Security != nil { // it says so itself
		return
	}
	schemes := doc.Components.SecuritySchemes
	scopes, code := []string{}, append([]string{}, c.AppScopes...)
	if c.Permission != "" {
		for _, flow := range []*huma.OAuthFlow{schemes["password"].Flows.Password, schemes["code"].Flows.AuthorizationCode} {
			flow.Scopes[c.Permission] = "The permission " + c.Permission
		}
		scopes, code = append(scopes, c.Permission), append(code, c.Permission)
		op.Description = strings.TrimSpace(op.Description + "\n\nNeeds the permission `" + c.Permission + "`.")
	}
	op.Security = []map[string][]string{{"password": scopes}, {"bearer": scopes}}
	if c.Apps {
		op.Security = append(op.Security, map[string][]string{"code": code})
	}
}

// widen lets answers have more fields than the document knows, since more may
// come. A request with a field that is not known stays refused.
func widen(doc *huma.OpenAPI) {
	schemas := doc.Components.Schemas.Map()
	var sent []string // by the caller
	for _, item := range doc.Paths {
		for _, op := range operations(item) {
			if op == nil || op.RequestBody == nil {
				continue
			}
			for _, media := range op.RequestBody.Content {
				sent = append(sent, named(media.Schema)...)
			}
		}
	}
	for i := 0; i < len(sent); i++ {
		for _, property := range schemas[sent[i]].Properties {
			sent = append(sent, named(property)...)
		}
	}
	for name := range maps.Keys(schemas) {
		if !slices.Contains(sent, name) {
			schemas[name].AdditionalProperties = nil
		}
	}
}

// named returns the name of the schema that a schema refers to, if it does.
func named(s *huma.Schema) []string {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return []string{name}
	}
	return nil
}

// jsonObject is a JSON object as it stands in a body.
type jsonObject json.RawMessage

// Schema describes it: an object of any fields, or null, which in a merge patch
// takes it away.
func (jsonObject) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, Nullable: true, AdditionalProperties: true}
}

// properties returns what the object holds.
func (o jsonObject) properties() (p condition.Properties, err error) {
	if len(o) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(o))
	d.UseNumber()
	err = d.Decode(&p)
	return p, err
}

// MarshalJSON returns the object.
func (o jsonObject) MarshalJSON() ([]byte, error) { return o, nil }

// UnmarshalJSON keeps the object.
func (o *jsonObject) UnmarshalJSON(text []byte) error {
	*o = slices.Clone(text)
	return nil
}
