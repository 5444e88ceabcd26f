package admin

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// What these schemas have in common.
var (
	textSchema    = &huma.Schema{Type: "string"}
	secretSchema  = &huma.Schema{Type: "string", Format: "password"}
	secondsSchema = &huma.Schema{Type: "integer", Description: "seconds"}
	errorSchema   = &huma.Schema{Type: "object", Properties: map[string]*huma.Schema{"error": textSchema, "error_description": textSchema}, Required: []string{"error"}}
)

// answered describes an answer that is JSON, or that has no body.
func answered(description string, s *huma.Schema) *huma.Response {
	r := &huma.Response{Description: description}
	if s != nil {
		r.Content = map[string]*huma.MediaType{"application/json": {Schema: s}}
	}
	return r
}

// byClient adds an operation that a client asks for by a form, with which it proves who it
// is.
func (a *API) byClient(id, path, summary, description string, fields map[string]*huma.Schema, required string, good *huma.Response, bad string) *huma.Operation {
	fields["client_id"], fields["client_secret"] = textSchema, secretSchema
	fields["client_assertion"], fields["client_assertion_type"] = secretSchema, textSchema
	op := &huma.Operation{
		OperationID: id, Method: http.MethodPost, Path: path, Tags: []string{"oauth2"}, Summary: summary, Description: description,
		RequestBody: &huma.RequestBody{Content: map[string]*huma.MediaType{
			"application/x-www-form-urlencoded": {Schema: &huma.Schema{Type: "object", Properties: fields, Required: []string{required}}},
		}},
		Responses: map[string]*huma.Response{
			"200": good, "400": answered(bad, errorSchema),
			"401": answered("invalid_client: the client did not prove who it is, in the header (Basic) or in the body", errorSchema),
			"413": answered("invalid_request: the body is over 16 KiB", errorSchema), "415": answered("invalid_request: the body is no form", errorSchema),
			"429": answered("temporarily_unavailable: too many failures from there; see Retry-After", errorSchema), "503": answered("temporarily_unavailable: the database does not answer", errorSchema),
		},
	}
	a.huma.OpenAPI().AddOperation(op)
	return op
}

// describeOAuth adds to the document what /oauth2/ serves to clients. It is described
// by hand, like what /auth/ serves: bodies are forms, and clients prove who they
// are by their own means.
func (a *API) describeOAuth() {
	number := &huma.Schema{Type: "integer", Description: "seconds since 1970"}
	a.byClient("token", "/oauth2/token", "Get a token", "The token endpoint (RFC 6749, Section 3.2): for a code, for a spent refresh token, for the client itself, for a device, for a workload, or for another token.",
		map[string]*huma.Schema{
			"grant_type": {Type: "string", Enum: []any{
				"authorization_code", "client_credentials", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code",
				"urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:token-exchange",
			}}, "scope": {Type: "string", Description: "What the client gets by default if absent"}, "resource": textSchema,
			"organization": {Type: "string", Description: "The name of the one that the token is to be for"},
			"roles":        {Type: "string", Description: "Of the roles that were given, those to use, separated by spaces; all if absent"},

			"code": secretSchema, "redirect_uri": textSchema, "code_verifier": secretSchema, "refresh_token": secretSchema, "device_code": secretSchema,
			"assertion": {Type: "string", Format: "password", Description: "Of a workload (RFC 7523, Section 2.1)"},

			"subject_token": secretSchema, "subject_token_type": {Type: "string", Description: "Of an exchange (RFC 8693): urn:ietf:params:oauth:token-type:access_token, …:jwt, or urn:doorward:params:oauth:token-type:api-key"},
			"actor_token": secretSchema, "actor_token_type": textSchema, "requested_token_type": textSchema, "audience": {Type: "string", Description: "As resource, of which an exchange names one"},
			"address": {Type: "string", Description: "From where the holder of an API key came that is exchanged"},
		},
		"grant_type", answered("A token", &huma.Schema{Type: "object", Properties: map[string]*huma.Schema{
			"access_token": textSchema, "issued_token_type": {Type: "string", Description: "Of an exchange"}, "token_type": {Type: "string", Enum: []any{"Bearer"}}, "expires_in": secondsSchema, "scope": textSchema,
			"refresh_token": {Type: "string", Format: "password", Description: "Where a person signed in, and the client may use it"}, "id_token": {Type: "string", Description: "Where the scope has openid"},
		}, Required: []string{"access_token", "token_type", "expires_in", "scope"}}),
		"invalid_request, invalid_grant, unsupported_grant_type, unauthorized_client, invalid_scope or invalid_target; of a device, authorization_pending, slow_down, access_denied or expired_token")
	a.byClient("introspect", "/oauth2/introspect", "Ask about an access token", "RFC 7662. Who may know what it says: the client that it was issued to, and clients whose audiences it is for.",
		map[string]*huma.Schema{"token": secretSchema, "token_type_hint": textSchema}, "token",
		answered("What it says, or active: false and no more", &huma.Schema{Type: "object", Properties: map[string]*huma.Schema{
			"active": {Type: "boolean"}, "scope": textSchema, "client_id": textSchema, "username": textSchema, "token_type": textSchema, "exp": number, "iat": number, "nbf": number,
			"sub": textSchema, "aud": {Type: "array", Items: textSchema}, "iss": textSchema, "jti": textSchema, "org": textSchema, "org_name": textSchema, "act": {Type: "object", Description: "Who acts for the subject (RFC 8693, Section 4.1)"},
		}, Required: []string{"active"}}), "invalid_request")
	a.byClient("revoke", "/oauth2/revoke", "End a token", "RFC 7009. A token of another client stays as it is, and the answer is the same.",
		map[string]*huma.Schema{"token": secretSchema, "token_type_hint": textSchema}, "token", answered("Done, or there was nothing to do", nil), "invalid_request")
	a.byClient("ask-device", "/oauth2/device_authorization", "Begin the sign-in of a device", "The device authorization endpoint (RFC 8628, Section 3.1). Show the user code and where to type it, and ask at the token endpoint until somebody has.",
		map[string]*huma.Schema{"scope": textSchema, "resource": textSchema}, "client_id", answered("What to show, and what to ask with", &huma.Schema{Type: "object", Properties: map[string]*huma.Schema{
			"device_code": secretSchema, "user_code": textSchema, "verification_uri": textSchema, "verification_uri_complete": {Type: "string", Description: "With the code in it, for a picture that a phone reads"},
			"expires_in": secondsSchema, "interval": {Type: "integer", Description: "The least number of seconds between two questions"},
		}, Required: []string{"device_code", "user_code", "verification_uri", "expires_in"}}), "invalid_request, unauthorized_client, invalid_scope or invalid_target")
	push := a.byClient("push-request", "/oauth2/par", "Push an authorization request", "RFC 9126. The client brings what it would send the person with, and sends him with `client_id` and `request_uri` alone: nobody on the way sees or changes what is asked for.",
		formOf(authorization), "response_type", nil, "What the authorization endpoint would tell: invalid_request, invalid_scope, invalid_target, unauthorized_client, …")
	push.Responses["201"] = answered("The name of the request, good for one answer", &huma.Schema{Type: "object", Properties: map[string]*huma.Schema{
		"request_uri": textSchema, "expires_in": {Type: "integer", Description: "How many seconds the person's browser has to come with it"},
	}, Required: []string{"request_uri", "expires_in"}})
	delete(push.Responses, "200")
	a.describeAuthorize()
	a.describeRegister()
	a.describeUserinfo()
	a.describeDiscovery()
}
