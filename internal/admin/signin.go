package admin

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// describeSignIn adds to the document what /auth/ serves. It is described by
// hand: its bodies may be forms, and its errors are those of OAuth 2.0.
func (a *API) describeSignIn() {
	tokens := &huma.Schema{Type: "object", Properties: map[string]*huma.Schema{
		"access_token": textSchema, "token_type": {Type: "string", Enum: []any{"Bearer"}}, "expires_in": secondsSchema,
		"refresh_token": textSchema, "scope": textSchema,
	}, Required: []string{"expires_in", "scope"}, Description: "With mode=cookie the tokens are in cookies, and the body holds expires_in and scope alone"}
	body := func(required []string, fields map[string]*huma.Schema) *huma.RequestBody {
		s := &huma.Schema{Type: "object", Properties: fields, Required: required}
		return &huma.RequestBody{Content: map[string]*huma.MediaType{"application/x-www-form-urlencoded": {Schema: s}, "application/json": {Schema: s}}}
	}
	tooLarge := answered("invalid_request: the body is over 16 KiB", errorSchema)
	otherType := answered("invalid_request: the body is of another type", errorSchema)
	foreign := answered("invalid_request: another site made a browser send this with its cookies", errorSchema)
	away := answered("temporarily_unavailable: the database does not answer", errorSchema)
	doc := a.huma.OpenAPI()
	doc.AddOperation(&huma.Operation{
		OperationID: "login", Method: http.MethodPost, Path: "/auth/login", Tags: []string{"sign in"}, Summary: "Sign in with a password",
		RequestBody: body([]string{"username", "password"}, map[string]*huma.Schema{
			"username": {Type: "string", Description: "The username, or the email once it is verified"}, "password": secretSchema,
			"scope": {Type: "string", Description: "Permissions to ask for; all that the user holds if absent"}, "grant_type": textSchema, "client_id": textSchema, "resource": textSchema,
			"organization": {Type: "string", Description: "The name of the one that the tokens are to be for"},
			"roles":        {Type: "string", Description: "Of the roles that were given, those to use, separated by spaces; all if absent. Where a dynamic separation keeps some of them apart, one has to choose"},
			"mode":         {Type: "string", Enum: []any{"cookie"}, Description: "cookie: the tokens go into a browser's cookies, which scripts cannot read"},
		}),
		Responses: map[string]*huma.Response{
			"200": answered("Tokens", tokens), "400": answered("invalid_request, invalid_scope or invalid_target", errorSchema),
			"401": answered("invalid_grant: the username or the password is wrong", errorSchema), "429": answered("temporarily_unavailable: see Retry-After", errorSchema),
			"403": foreign, "413": tooLarge, "415": otherType, "503": away,
		},
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "refresh", Method: http.MethodPost, Path: "/auth/refresh", Tags: []string{"sign in"}, Summary: "Spend a refresh token for the next pair",
		RequestBody: body(nil, map[string]*huma.Schema{"refresh_token": {Type: "string", Format: "password", Description: "Absent where a browser holds it in its cookie"}, "scope": textSchema, "client_id": textSchema}),
		Responses: map[string]*huma.Response{
			"200": answered("Tokens", tokens), "400": answered("invalid_grant: the token is spent, expired or unknown", errorSchema),
			"401": answered("invalid_client", errorSchema), "403": foreign, "413": tooLarge, "415": otherType, "503": away,
		},
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "logout", Method: http.MethodPost, Path: "/auth/logout", Tags: []string{"sign in"}, Summary: "End what was signed in",
		RequestBody: body(nil, map[string]*huma.Schema{"refresh_token": secretSchema}),
		Responses:   map[string]*huma.Response{"204": answered("Done, or there was nothing to do", nil), "403": foreign, "503": away},
	})
}
