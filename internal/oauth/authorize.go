package oauth

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Prompt is how much a person is to be asked (OpenID Connect Core 1.0, Section 3.1.2.1).
type Prompt string

// The prompts.
const (
	PromptNone          Prompt = "none"
	PromptLogin         Prompt = "login"
	PromptConsent       Prompt = "consent"
	PromptSelectAccount Prompt = "select_account"
)

// AuthorizationRequest is a request to the authorization endpoint. Until Read was called
// it has only what says where an answer goes.
type AuthorizationRequest struct {
	Client      string // "client_id"
	RedirectURI string // as it was sent; empty for none
	State       string
	Mode        ResponseMode

	Scope     []string // sorted; nil for none
	Resource  []string
	Challenge Challenge
	Nonce     string
	Prompt    []Prompt
	MaxAge    *time.Duration // nil for none
	ACR       []string       // "acr_values", the first is wanted most
	Claims    Claims
	LoginHint string
	IDHint    string // "id_token_hint", not verified
	Locales   []string

	params   Params
	repeated []string
}

// Claims are the names of the claims that are asked for one by one (OpenID Connect Core
// 1.0, Section 5.5), sorted.
type Claims struct {
	Userinfo []string `json:"userinfo,omitempty"`
	IDToken  []string `json:"id_token,omitempty"`
	// The classes of authentication of which one is essential.
	ACR []string `json:"acr,omitempty"`
}

const (
	mostRequest = 16 << 10 // bytes of a request
	mostClaims  = 100
	mostAge     = 10 * 365 * 24 * time.Hour
)

// BeginAuthorization reads of a query, or of the form of a POST, who asks and where the
// answer is to go. An error can go nowhere but to a page: of a request that says twice
// who it comes from, nothing is believed (RFC 6749, Section 4.1.2.1).
func BeginAuthorization(text string) (AuthorizationRequest, error) {
	var r AuthorizationRequest
	if len(text) > mostRequest {
		return r, invalid("the request is too large")
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return r, invalid("the request is not encoded as a form is")
		}
	}
	p, repeated, err := parseForm(text)
	if err != nil {
		return r, err
	}
	for _, name := range []string{"client_id", "redirect_uri"} {
		if slices.Contains(repeated, name) {
			return r, invalid(name + " is repeated")
		}
	}
	if p.Get("client_id") == "" {
		return r, invalid("client_id is missing")
	}
	r = AuthorizationRequest{
		Client: p.Get("client_id"), RedirectURI: p.Get("redirect_uri"), State: p.Get("state"), Mode: Query, params: p, repeated: repeated,
	}
	if p.Get("response_mode") == string(FormPost) {
		r.Mode = FormPost
	}
	return r, nil
}

// Read reads the rest. An error may be sent to the redirect URI, once that was matched.
func (r *AuthorizationRequest) Read() error {
	p := r.params
	if len(r.repeated) > 0 {
		return invalid("a parameter is repeated")
	}
	for name, code := range map[string]Code{"request": RequestNotSupported, "request_uri": RequestURINotSupported, "registration": RegistrationUnsupported} {
		if p.Get(name) != "" {
			return &Error{Code: code, Description: name + " is not supported"}
		}
	}
	switch p.Get("response_type") {
	case "code":
	case "":
		return invalid("response_type is missing")
	default:
		return &Error{Code: UnsupportedResponseType, Description: "response_type is code"}
	}
	if m := p.Get("response_mode"); m != "" && m != string(Query) && m != string(FormPost) {
		return invalid("response_mode is query or form_post")
	}
	var err error
	if r.Scope, err = ParseScope(p.Get("scope")); err != nil {
		return err
	}
	r.Resource = p["resource"]
	for _, resource := range r.Resource {
		if err := CheckResource(resource); err != nil {
			return err
		}
	}
	if r.Challenge, err = ParseChallenge(p); err != nil {
		return err
	}
	r.Nonce, r.LoginHint, r.IDHint = p.Get("nonce"), p.Get("login_hint"), p.Get("id_token_hint")
	if strings.Contains(r.Nonce, "\x00") { // no database keeps it
		return invalid("nonce holds a character that it cannot")
	}
	r.ACR, r.Locales = strings.Fields(p.Get("acr_values")), strings.Fields(p.Get("ui_locales"))
	if r.MaxAge, err = parseAge(p.Get("max_age")); err != nil {
		return err
	}
	if r.Prompt, err = parsePrompt(p.Get("prompt")); err != nil {
		return err
	}
	r.Claims, err = ParseClaims(p.Get("claims"))
	return err
}

// Asks reports whether a prompt is asked for.
func (r *AuthorizationRequest) Asks(p Prompt) bool { return slices.Contains(r.Prompt, p) }

// OpenID reports whether an ID token is asked for.
func (r *AuthorizationRequest) OpenID() bool { return slices.Contains(r.Scope, "openid") }

func parseAge(text string) (*time.Duration, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // nothing was asked for
	}
	seconds, err := strconv.ParseUint(text, 10, 63)
	if err != nil && !errors.Is(err, strconv.ErrRange) || strings.HasPrefix(text, "+") {
		return nil, invalid("max_age is a number of seconds")
	}
	age := mostAge
	if err == nil && seconds < uint64(mostAge/time.Second) {
		age = time.Duration(seconds) * time.Second
	}
	return &age, nil
}

func parsePrompt(text string) ([]Prompt, error) {
	var list []Prompt
	for _, word := range strings.Fields(text) {
		p := Prompt(word)
		switch p {
		case PromptNone, PromptLogin, PromptConsent, PromptSelectAccount:
			list = append(list, p)
		default:
			return nil, invalid("prompt is of none, login, consent and select_account")
		}
	}
	if slices.Contains(list, PromptNone) && len(list) > 1 {
		return nil, invalid("the prompt none goes with no other")
	}
	return list, nil
}

// ParseClaims reads the parameter claims. What it asks of a value is not promised, but
// of the class of the authentication (OpenID Connect Core 1.0, Section 5.5.1.1).
func ParseClaims(text string) (Claims, error) {
	var c Claims
	if text == "" {
		return c, nil
	}
	bad := invalid("claims is an object with the members userinfo and id_token, each an object")
	var asked struct {
		Userinfo map[string]json.RawMessage `json:"userinfo"`
		IDToken  map[string]json.RawMessage `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(text), &asked); err != nil || len(asked.Userinfo)+len(asked.IDToken) > mostClaims {
		return c, bad
	}
	for name := range asked.Userinfo {
		c.Userinfo = append(c.Userinfo, name)
	}
	for name, raw := range asked.IDToken {
		if name != "acr" {
			c.IDToken = append(c.IDToken, name)
			continue
		}
		var acr struct {
			Essential bool     `json:"essential"`
			Value     string   `json:"value"`
			Values    []string `json:"values"`
		}
		if err := json.Unmarshal(raw, &acr); err != nil {
			return c, bad
		}
		if acr.Value != "" {
			acr.Values = append(acr.Values, acr.Value)
		}
		if acr.Essential {
			c.ACR = acr.Values
		}
	}
	slices.Sort(c.Userinfo)
	slices.Sort(c.IDToken)
	return c, nil
}
