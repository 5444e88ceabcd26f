package provider

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/oauth"
)

// metadata is the server's description of itself (RFC 8414, Section 2; OpenID Connect
// Discovery 1.0, Section 3). It lists what is served, and nothing else.
type metadata struct {
	Issuer            string               `json:"issuer"`
	Authorization     string               `json:"authorization_endpoint"`
	Token             string               `json:"token_endpoint"`
	Userinfo          string               `json:"userinfo_endpoint"`
	JWKS              string               `json:"jwks_uri"`
	Introspection     string               `json:"introspection_endpoint"`
	Revocation        string               `json:"revocation_endpoint"`
	EndSession        string               `json:"end_session_endpoint"`                  // OpenID Connect RP-Initiated Logout 1.0, Section 2.1
	Device            string               `json:"device_authorization_endpoint"`         // RFC 8628, Section 4
	Pushing           string               `json:"pushed_authorization_request_endpoint"` // RFC 9126, Section 5
	StatusEvents      string               `json:"status_list_events_endpoint"`           // of no specification
	Registration      string               `json:"registration_endpoint,omitempty"`
	Scopes            []string             `json:"scopes_supported"`
	ResponseTypes     []string             `json:"response_types_supported"`
	ResponseModes     []oauth.ResponseMode `json:"response_modes_supported"`
	GrantTypes        []oauth.GrantType    `json:"grant_types_supported"`
	TokenAuth         []oauth.AuthMethod   `json:"token_endpoint_auth_methods_supported"`
	IntrospectionAuth []oauth.AuthMethod   `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuth    []oauth.AuthMethod   `json:"revocation_endpoint_auth_methods_supported"`
	TokenAlgs         []jose.Algorithm     `json:"token_endpoint_auth_signing_alg_values_supported"` // of clients that prove themselves by a key
	IntrospectionAlgs []jose.Algorithm     `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevocationAlgs    []jose.Algorithm     `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	Challenges        []string             `json:"code_challenge_methods_supported"`
	Iss               bool                 `json:"authorization_response_iss_parameter_supported"`
	Subjects          []string             `json:"subject_types_supported"`
	IDTokenAlgs       []jose.Algorithm     `json:"id_token_signing_alg_values_supported"`
	UserinfoAlgs      []jose.Algorithm     `json:"userinfo_signing_alg_values_supported"`
	Claims            []string             `json:"claims_supported"`
	ClaimTypes        []string             `json:"claim_types_supported"`
	ClaimsParameter   bool                 `json:"claims_parameter_supported"`
	RequestParameter  bool                 `json:"request_parameter_supported"`
	RequestURI        bool                 `json:"request_uri_parameter_supported"`
	ACR               []string             `json:"acr_values_supported"`
	Prompts           []oauth.Prompt       `json:"prompt_values_supported"`
	Displays          []string             `json:"display_values_supported"`
	Locales           []string             `json:"ui_locales_supported"`
	// How clients are told that somebody is signed out (OpenID Connect Back-Channel Logout
	// 1.0, Section 2.1; Front-Channel Logout 1.0, Section 3).
	BackLogout   bool `json:"backchannel_logout_supported"`
	BackSession  bool `json:"backchannel_logout_session_supported"`
	FrontLogout  bool `json:"frontchannel_logout_supported"`
	FrontSession bool `json:"frontchannel_logout_session_supported"`
	// What API keys look like, for scanners; of no specification.
	KeyPrefix  string `json:"api_key_prefix"`
	KeyPattern string `json:"api_key_pattern"`
}

// describeSelf returns the metadata; open says that somebody may register a client himself.
func (p *Provider) describeSelf(open bool) ([]byte, error) {
	at := func(path string) string { return p.issuer + path }
	proofs, algs := []oauth.AuthMethod{oauth.Basic, oauth.Post, oauth.PrivateKeyJWT}, client.AssertionAlgs()
	any := append(slices.Clone(proofs), oauth.NoAuth)
	var names []oauth.GrantType
	for name := range grants {
		names = append(names, name)
	}
	slices.Sort(names)
	register := ""
	if open {
		register = at(registration)
	}
	return json.Marshal(metadata{
		Issuer: p.issuer, Authorization: at("/oauth2/authorize"), Token: at("/oauth2/token"), Userinfo: at("/oauth2/userinfo"), JWKS: at("/oauth2/jwks"),
		Introspection: at("/oauth2/introspect"), Revocation: at("/oauth2/revoke"), Device: at("/oauth2/device_authorization"), Pushing: at(pushing), EndSession: at("/oauth2/logout"), StatusEvents: at("/oauth2/status-lists/events"),
		Registration:  register,
		Scopes:        []string{"openid", "profile", "email", "phone", "address", "offline_access"},
		ResponseTypes: []string{"code"}, ResponseModes: []oauth.ResponseMode{oauth.Query, oauth.FormPost}, GrantTypes: names,
		TokenAuth: any, IntrospectionAuth: proofs, RevocationAuth: any, TokenAlgs: algs, IntrospectionAlgs: algs, RevocationAlgs: algs, Challenges: []string{"S256"}, Iss: true,
		Subjects: []string{string(client.PublicSubjects), string(client.PairwiseSubjects)}, IDTokenAlgs: client.IDTokenAlgs(), UserinfoAlgs: client.IDTokenAlgs(),
		Claims: issue.ClaimsSupported(), ClaimTypes: []string{"normal"}, ClaimsParameter: true,
		ACR: []string{issue.ACR}, Prompts: []oauth.Prompt{oauth.PromptNone, oauth.PromptLogin, oauth.PromptConsent, oauth.PromptSelectAccount},
		Displays: []string{"page", "popup"}, Locales: p.Languages, BackLogout: true, BackSession: true, FrontLogout: true, FrontSession: true,
		KeyPrefix: apikey.Prefix, KeyPattern: apikey.Pattern,
	})
}

// Metadata serves the description of the server (RFC 8414, Section 3; OpenID Connect
// Discovery 1.0, Section 4).
func (p *Provider) Metadata(w http.ResponseWriter, r *http.Request) error {
	if p.invitation.now(r.Context(), p) {
		return public(w, r, "application/json", "", p.open)
	}
	return public(w, r, "application/json", "", p.metadata)
}
