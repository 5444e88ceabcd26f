package admin

import (
	"maps"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/doorward/doorward/internal/client"
)

// describeRegister adds how programs register clients without an account here (RFC 7591),
// and change what they registered (RFC 7592).
func (a *API) describeRegister() {
	// What a client may say of itself is part of what an administrator may say of it.
	texts := &huma.Schema{Type: "array", Items: textSchema}
	said := map[string]*huma.Schema{"grant_types": texts, "response_types": texts}
	known := a.huma.OpenAPI().Paths["/clients"].Post.RequestBody.Content["application/json"].Schema
	for name, member := range a.huma.OpenAPI().Components.Schemas.SchemaFromRef(known.Ref).Properties {
		if said[name] == nil && name != "client_id" && client.MaySay(name) {
			said[name] = member
		}
	}
	told := maps.Clone(said)
	maps.Copy(told, map[string]*huma.Schema{
		"client_id": textSchema, "client_secret": secretSchema, "client_secret_expires_at": {Type: "integer", Description: "0: it does not end"},
		"client_id_issued_at": {Type: "integer", Description: "seconds since 1970"}, "registration_access_token": {Type: "string", Format: "password", Description: "With which the registration is read, replaced and deleted"}, "registration_client_uri": textSchema,
	})
	information := &huma.Schema{Type: "object", Properties: told, Required: []string{"client_id", "client_id_issued_at", "registration_access_token", "registration_client_uri"}}
	replaced := maps.Clone(said)
	replaced["client_id"], replaced["client_secret"] = textSchema, secretSchema
	add := func(op *huma.Operation, body *huma.Schema, more map[string]*huma.Response) {
		op.Tags = []string{"oauth2"}
		op.Parameters = append(op.Parameters, &huma.Param{Name: "Authorization", In: "header", Schema: textSchema, Description: "Bearer, and the token"})
		op.Responses = map[string]*huma.Response{
			"401": answered("invalid_token: there is no such token, or it is another client's", errorSchema),
			"429": answered("temporarily_unavailable: too much came from there; see Retry-After", errorSchema), "503": answered("temporarily_unavailable: the database does not answer", errorSchema),
		}
		if body != nil {
			op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{"application/json": {Schema: body}}}
			op.Responses["400"] = answered("invalid_client_metadata or invalid_redirect_uri", errorSchema)
			op.Responses["413"] = answered("invalid_request: the body is over 16 KiB", errorSchema)
			op.Responses["415"] = answered("invalid_request: the body is no JSON", errorSchema)
		}
		maps.Copy(op.Responses, more)
		a.huma.OpenAPI().AddOperation(op)
	}
	const path, one = "/oauth2/register", "/oauth2/register/{id}"
	id := func() []*huma.Param {
		return []*huma.Param{{Name: "id", In: "path", Required: true, Schema: textSchema, Description: "client_id"}}
	}
	add(&huma.Operation{
		OperationID: "register-client", Method: http.MethodPost, Path: path, Summary: "Register a client",
		Description: "RFC 7591, with the metadata of OpenID Connect Dynamic Client Registration 1.0. It needs an initial access token (`POST /registration-tokens`), unless the server is open to all.",
	}, &huma.Schema{Type: "object", Properties: said}, map[string]*huma.Response{"201": answered("What was registered; the secret is shown once", information)})
	add(&huma.Operation{OperationID: "read-registration", Method: http.MethodGet, Path: one, Summary: "Read a registration", Description: "RFC 7592, Section 2.1.", Parameters: id()},
		nil, map[string]*huma.Response{"200": answered("What is registered", information)})
	add(&huma.Operation{OperationID: "replace-registration", Method: http.MethodPut, Path: one, Summary: "Replace a registration", Description: "RFC 7592, Section 2.2. What is left out goes.", Parameters: id()},
		&huma.Schema{Type: "object", Properties: replaced, Required: []string{"client_id"}}, map[string]*huma.Response{"200": answered("What is registered", information)})
	add(&huma.Operation{OperationID: "delete-registration", Method: http.MethodDelete, Path: one, Summary: "Delete a client", Description: "RFC 7592, Section 2.3. Its tokens end with it.", Parameters: id()},
		nil, map[string]*huma.Response{"204": answered("Deleted", nil)})
}
