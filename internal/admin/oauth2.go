package admin

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// describeOAuth adds to the document what /oauth2/ serves to clients. It is described
// by hand, like what /auth/ serves: bodies are forms, and clients prove who they
// are by their own means.
func (a *API) describeOAuth() {
	text := &huma.Schema{Type: "string"}
	number := &huma.Schema{Type: "integer", Description: "seconds since 1970"}
	oauthError := &huma.Schema{Type: "object", Properties: map[string]*huma.Schema{"error": text, "error_description": text}, Required: []string{"error"}}
	token := &huma.Schema{Type: "string", Format: "password"}
	answer := func(description string, s *huma.Schema) *huma.Response {
		r := &huma.Response{Description: description}
		if s != nil {
			r.Content = map[string]*huma.MediaType{"application/json": {Schema: s}}
		}
		return r
	}
	post := func(id, path, summary, description string, fields map[string]*huma.Schema, required string, good *huma.Response, bad string) {
		fields["client_id"], fields["client_secret"] = text, token
		a.huma.OpenAPI().AddOperation(&huma.Operation{
			OperationID: id, Method: http.MethodPost, Path: path, Tags: []string{"oauth2"}, Summary: summary, Description: description,
			RequestBody: &huma.RequestBody{Content: map[string]*huma.MediaType{
				"application/x-www-form-urlencoded": {Schema: &huma.Schema{Type: "object", Properties: fields, Required: []string{required}}},
			}},
			Responses: map[string]*huma.Response{
				"200": good, "400": answer(bad, oauthError),
				"401": answer("invalid_client: the client did not prove who it is, in the header (Basic) or in the body", oauthError),
				"413": answer("invalid_request: the body is over 16 KiB", oauthError), "415": answer("invalid_request: the body is no form", oauthError),
				"429": answer("temporarily_unavailable: too many failures from there; see Retry-After", oauthError), "503": answer("temporarily_unavailable: the database does not answer", oauthError),
			},
		})
	}
	post("token", "/oauth2/token", "Get a token", "The token endpoint (RFC 6749, Section 3.2).",
		map[string]*huma.Schema{
			"grant_type": {Type: "string", Enum: []any{"client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"}}, "scope": {Type: "string", Description: "What the client gets by default if absent"}, "resource": text,
			"organization": {Type: "string", Description: "The name of the one that the token is to be for"},
			"roles":        {Type: "string", Description: "Of the roles that were given, those to use, separated by spaces; all if absent"},

			"subject_token": token, "subject_token_type": {Type: "string", Description: "Of an exchange (RFC 8693): urn:ietf:params:oauth:token-type:access_token, …:jwt, or urn:doorward:params:oauth:token-type:api-key"},
			"actor_token": token, "actor_token_type": text, "requested_token_type": text, "audience": {Type: "string", Description: "As resource, of which an exchange names one"},
			"address": {Type: "string", Description: "From where the holder of an API key came that is exchanged"},
		},
		"grant_type", answer("A token", &huma.Schema{Type: "object", Properties: map[string]*huma.Schema{
			"access_token": text, "issued_token_type": {Type: "string", Description: "Of an exchange"}, "token_type": {Type: "string", Enum: []any{"Bearer"}}, "expires_in": {Type: "integer", Description: "seconds"}, "scope": text,
		}, Required: []string{"access_token", "token_type", "expires_in", "scope"}}),
		"invalid_request, unsupported_grant_type, unauthorized_client, invalid_scope or invalid_target")
	post("introspect", "/oauth2/introspect", "Ask about an access token", "RFC 7662. Who may know what it says: the client that it was issued to, and clients whose audiences it is for.",
		map[string]*huma.Schema{"token": token, "token_type_hint": text}, "token",
		answer("What it says, or active: false and no more", &huma.Schema{Type: "object", Properties: map[string]*huma.Schema{
			"active": {Type: "boolean"}, "scope": text, "client_id": text, "username": text, "token_type": text, "exp": number, "iat": number, "nbf": number,
			"sub": text, "aud": {Type: "array", Items: text}, "iss": text, "jti": text, "org": text, "org_name": text, "act": {Type: "object", Description: "Who acts for the subject (RFC 8693, Section 4.1)"},
		}, Required: []string{"active"}}), "invalid_request")
	post("revoke", "/oauth2/revoke", "End a token", "RFC 7009. A token of another client stays as it is, and the answer is the same.",
		map[string]*huma.Schema{"token": token, "token_type_hint": text}, "token", answer("Done, or there was nothing to do", nil), "invalid_request")
}
