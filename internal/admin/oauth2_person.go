package admin

import (
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// What a person's browser is sent to answers with pages, and leads back to the client.
var (
	pageSchema = &huma.Schema{Type: "string", Description: "HTML, for a person"}
	onwards    = &huma.Response{Description: "To the client's redirect URI, or to a page that asks the person something first", Headers: map[string]*huma.Param{"Location": {Schema: textSchema}}}
)

func paged(description string) *huma.Response {
	return &huma.Response{Description: description, Content: map[string]*huma.MediaType{"text/html; charset=utf-8": {Schema: pageSchema}}}
}

// field is a parameter of a request that comes in the query of a GET or in the form of a
// POST.
type field struct {
	name        string
	schema      *huma.Schema
	required    bool
	description string
}

// byBrowser adds the two operations by which browsers bring a request.
func (a *API) byBrowser(id, path, summary, description string, fields []field, responses map[string]*huma.Response) {
	get := &huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{"oauth2"}, Summary: summary, Description: description,
		Responses: map[string]*huma.Response{"403": paged("The browser only fetches it ahead")},
	}
	form := &huma.Schema{Type: "object", Properties: formOf(fields)}
	for _, f := range fields {
		get.Parameters = append(get.Parameters, &huma.Param{Name: f.name, In: "query", Required: f.required, Description: f.description, Schema: f.schema})
		if f.required {
			form.Required = append(form.Required, f.name)
		}
	}
	post := &huma.Operation{
		OperationID: id + "-by-form", Method: http.MethodPost, Path: path, Tags: get.Tags, Summary: summary + ", by a form", Description: "As with GET. The browser is led to ask again by GET, since a form of another site comes without cookies.",
		RequestBody: &huma.RequestBody{Content: map[string]*huma.MediaType{"application/x-www-form-urlencoded": {Schema: form}}},
		Responses:   map[string]*huma.Response{"303": onwards, "413": paged("The body is too large"), "415": paged("The body is no form")},
	}
	for status, r := range responses {
		get.Responses[status] = r
		if post.Responses[status] == nil && status != "200" {
			post.Responses[status] = r
		}
	}
	a.huma.OpenAPI().AddOperation(get)
	a.huma.OpenAPI().AddOperation(post)
}

// formOf returns what the form of a POST has.
func formOf(fields []field) map[string]*huma.Schema {
	properties := map[string]*huma.Schema{}
	for _, f := range fields {
		s := *f.schema
		if f.description != "" {
			s.Description = f.description
		}
		properties[f.name] = &s
	}
	return properties
}

// authorization is what an authorization request may say, but for who asks.
var authorization = func() []field {
	words := func(list ...any) *huma.Schema { return &huma.Schema{Type: "string", Enum: list} }
	return []field{
		{"redirect_uri", textSchema, false, "As it is registered; may be absent where one alone is, and no ID token is asked for"},
		{"response_type", words("code"), false, "Absent only beside request_uri"},
		{"scope", textSchema, false, "Permissions, and openid, profile, email, phone, address, offline_access; what the client gets by default if absent"},
		{"state", textSchema, false, "Comes back as it was"},
		{"code_challenge", textSchema, false, "The SHA-256 of the code verifier, in base64url (RFC 7636, Section 4.2). Only a client that is registered with require_pkce false may leave it out"},
		{"code_challenge_method", words("S256"), false, ""},
		{"nonce", textSchema, false, "Stands in the ID token as it was"},
		{"resource", textSchema, false, "The API that the token is for (RFC 8707)"},
		{"response_mode", words("query", "form_post"), false, ""},
		{"prompt", textSchema, false, "none, or some of login, consent and select_account, separated by spaces"},
		{"max_age", &huma.Schema{Type: "integer"}, false, "How many seconds ago the person may have signed in"},
		{"login_hint", textSchema, false, "Who is to sign in: a username or an email address"},
		{"id_token_hint", textSchema, false, "An ID token of whom the request is about"},
		{"acr_values", textSchema, false, ""},
		{"claims", textSchema, false, "JSON (OpenID Connect Core 1.0, Section 5.5)"},
		{"ui_locales", textSchema, false, "In which languages to ask, separated by spaces"},
		{"display", words("page", "popup", "touch", "wap"), false, "The pages fit all of them"},
	}
}()

// describeAuthorize adds where an application sends people, to sign in and to sign out.
func (a *API) describeAuthorize() {
	a.byBrowser("authorize", "/oauth2/authorize", "Send a person to sign in",
		"The authorization endpoint (RFC 6749, Section 3.1; OpenID Connect Core 1.0, Section 3.1.2). Redirect a browser to it: the person signs in and agrees, and comes back to `redirect_uri` with `code`, `state` and `iss`, or with `error`.",
		append([]field{
			{"client_id", textSchema, true, ""},
			{"request_uri", textSchema, false, "What the client was told of a request that it pushed (RFC 9126). Nothing else of this one is read then, but client_id"},
		}, authorization...),
		map[string]*huma.Response{
			"303": onwards, "200": paged("With response_mode=form_post: a page that brings the answer to the redirect URI"),
			"400": paged("The client or its redirect URI is not known, or the request is gone: nobody is sent anywhere"), "429": paged("Too many requests began from there"), "503": paged("The database does not answer"),
		})
	a.byBrowser("sign-out", "/oauth2/logout", "Send a person to sign out",
		"OpenID Connect RP-Initiated Logout 1.0, Section 2. Without an ID token of who is signed in, the person is asked first.",
		[]field{
			{"id_token_hint", textSchema, false, "The ID token that the application got for the person"},
			{"client_id", textSchema, false, "Who asks, where no ID token says it"},
			{"post_logout_redirect_uri", textSchema, false, "Where to go then, as it is registered"},
			{"state", textSchema, false, "Comes back as it was"},
			{"logout_hint", textSchema, false, "Is passed over"},
			{"ui_locales", textSchema, false, "In which languages to speak, separated by spaces"},
		},
		map[string]*huma.Response{
			"303": onwards, "200": paged("The question, or that it is done"),
			"400": paged("The request cannot be read"), "503": paged("The database does not answer"),
		})
}

// describeUserinfo adds the userinfo endpoint.
func (a *API) describeUserinfo() {
	doc := a.huma.OpenAPI()
	yes := &huma.Schema{Type: "boolean"}
	person := &huma.Schema{Type: "object", AdditionalProperties: true, Required: []string{"sub"}, Properties: map[string]*huma.Schema{
		"sub":  {Type: "string", Description: "The id of the user"},
		"name": textSchema, "given_name": textSchema, "family_name": textSchema, "preferred_username": textSchema, "locale": textSchema, "zoneinfo": textSchema,
		"email": textSchema, "email_verified": yes, "updated_at": {Type: "integer", Description: "seconds since 1970"},
	}}
	for method, id := range map[string]string{http.MethodGet: "userinfo", http.MethodPost: "userinfo-by-post"} {
		responses := map[string]*huma.Response{"200": answered("What the scope and the request for claims tell of the person", person)}
		for _, status := range []int{401, 403, 503} {
			problem := *doc.Paths["/users"].Get.Responses["400"]
			problem.Description = http.StatusText(status)
			responses[strconv.Itoa(status)] = &problem
		}
		doc.AddOperation(&huma.Operation{
			OperationID: id, Method: method, Path: "/oauth2/userinfo", Tags: []string{"oauth2"}, Summary: "Learn who signed in",
			Description: "OpenID Connect Core 1.0, Section 5.3. The access token is one of an application that a person signed in to, with the scope `openid`.",
			Responses:   responses, Security: []map[string][]string{{"code": {"openid"}}, {"bearer": {}}},
		})
	}
}

// describeDiscovery adds what the server says of itself to programs.
func (a *API) describeDiscovery() {
	described := func(id, path, summary, description, kind string, s *huma.Schema) {
		s.Type, s.AdditionalProperties = "object", true
		good := &huma.Response{Description: "It may be kept for 5 minutes", Content: map[string]*huma.MediaType{kind: {Schema: s}}}
		if id == "jwks" {
			good.Headers = map[string]*huma.Param{"ETag": {Schema: textSchema}}
		}
		a.huma.OpenAPI().AddOperation(&huma.Operation{
			OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{"discovery"}, Summary: summary, Description: description,
			Responses: map[string]*huma.Response{"200": good},
		})
	}
	metadata := func() *huma.Schema {
		return &huma.Schema{Required: []string{"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"}, Properties: map[string]*huma.Schema{
			"issuer": textSchema, "authorization_endpoint": textSchema, "token_endpoint": textSchema, "jwks_uri": textSchema,
		}}
	}
	described("openid-configuration", "/.well-known/openid-configuration", "Where everything is, for OpenID Connect", "OpenID Connect Discovery 1.0, Section 4.", "application/json", metadata())
	described("authorization-server-metadata", "/.well-known/oauth-authorization-server", "Where everything is, for OAuth 2.0", "RFC 8414, Section 3.", "application/json", metadata())
	described("protected-resource-metadata", "/.well-known/oauth-protected-resource", "What this API takes", "RFC 9728, Section 3.", "application/json",
		&huma.Schema{Required: []string{"resource"}, Properties: map[string]*huma.Schema{"resource": textSchema, "authorization_servers": {Type: "array", Items: textSchema}}})
	described("jwks", "/oauth2/jwks", "The keys that tokens are verified with", "RFC 7517, Section 5.", "application/jwk-set+json",
		&huma.Schema{Required: []string{"keys"}, Properties: map[string]*huma.Schema{"keys": {Type: "array", Items: &huma.Schema{
			Type: "object", AdditionalProperties: true, Properties: map[string]*huma.Schema{"kty": textSchema, "use": textSchema, "alg": textSchema, "kid": textSchema},
		}}}})
}
