package client

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/strictjson"
)

// Opening is who may register clients without an account here, and what for.
type Opening struct {
	Open     bool     // without a token, too
	Scopes   []string // that clients may ask for which were registered without one, past Identity
	Identity []string // the scopes that every client may ask for
	// AssertionAudience is whom those may make their assertions for that prove themselves so.
	AssertionAudience AssertionAudience
	// Take counts a client that is registered without a token, by the network that it comes
	// from, or a change of one, by its id. The fault is Limited for one too many.
	Take func(ctx context.Context, who string) error
}

// Enrolling lets people without an account register clients.
func (s *Service) Enrolling(o Opening) *Service {
	s.opening = o
	return s
}

// Enrolment is that a client was registered by somebody without an account. It lasts until
// an administrator changes the client: what he gives it, no such token can carry elsewhere.
type Enrolment struct {
	Client string
	Hash   secret.Hash // of the registration access token (RFC 7592, Section 1.2)
	Scopes []string    // that it may ask for at the most, sorted
	Token  string      // the id of the initial access token; empty for none
	At     time.Time
}

// Enrolled is a client with what changes it.
type Enrolled struct {
	Credential
	Enrolment
}

// RegisterStore keeps clients that were registered by people without an account.
type RegisterStore interface {
	InitialStore
	// RegisterClient writes a new client. It uses up one use of the initial access token, if
	// there is one: the fault is Unauthenticated if it is not good any more, or does not
	// cover what the client may ask for.
	RegisterClient(ctx context.Context, c Client, k secret.Kept, n Enrolment, e audit.Event) error
	// Enrolled returns a client that was registered so, or a NotFound.
	Enrolled(ctx context.Context, id string) (Enrolled, error)
	// ReregisterClient writes what may be changed of a client, and another secret if k is
	// not nil, if the enrolment and the version are still what they were; else the fault is
	// a NotFound, or Stale. another says that it is another client to people now: what
	// they let it do ends.
	ReregisterClient(ctx context.Context, c Client, k *secret.Kept, n Enrolment, another bool, e audit.Event) (Client, error)
	// UnregisterClient deletes a client, if the enrolment is still what it was.
	UnregisterClient(ctx context.Context, n Enrolment, e audit.Event) error
	// Invites reports whether there is an initial access token that is good at a time.
	Invites(ctx context.Context, now time.Time) (bool, error)
}

// Registered is a client as whoever registered it is told of it.
type Registered struct {
	Client Client
	Secret secret.Text // zero where none was made
	Token  secret.Text // the registration access token
}

// metadata is what a client says of itself (RFC 7591, Section 2).
type metadata struct {
	ID            string            `json:"client_id"`
	Secret        string            `json:"client_secret"`
	Name          string            `json:"client_name"`
	Method        oauth.AuthMethod  `json:"token_endpoint_auth_method"`
	Grants        []oauth.GrantType `json:"grant_types"`
	ResponseTypes []string          `json:"response_types"`
	Scope         string            `json:"scope"`
	Registration
}

// standard are the names of the registry "OAuth Dynamic Client Registration Metadata"
// (RFC 7591, Section 4.1). Of a Registration, what has one of these names a client may say
// of itself. What has not is for administrators: they are let alone, like all that this
// server does not know (RFC 7591, Section 2).
var standard = []string{
	"redirect_uris", "token_endpoint_auth_method", "grant_types", "response_types", "client_name", "client_uri", "logo_uri", "scope", "contacts", "tos_uri",
	"policy_uri", "jwks_uri", "jwks", "software_id", "software_version", "client_id", "client_secret", "application_type", "sector_identifier_uri", "subject_type",
	"id_token_signed_response_alg", "id_token_encrypted_response_alg", "id_token_encrypted_response_enc", "userinfo_signed_response_alg",
	"userinfo_encrypted_response_alg", "userinfo_encrypted_response_enc", "request_object_signing_alg", "request_object_encryption_alg",
	"request_object_encryption_enc", "token_endpoint_auth_signing_alg", "default_max_age", "require_auth_time", "default_acr_values", "initiate_login_uri",
	"tls_client_auth_subject_dn", "tls_client_auth_san_dns", "tls_client_auth_san_uri", "tls_client_auth_san_ip", "tls_client_auth_san_email",
	"tls_client_certificate_bound_access_tokens", "require_signed_request_object", "require_pushed_authorization_requests", "dpop_bound_access_tokens",
	"introspection_signed_response_alg", "authorization_signed_response_alg", "frontchannel_logout_uri", "frontchannel_logout_session_required",
	"backchannel_logout_uri", "backchannel_logout_session_required", "post_logout_redirect_uris", "authorization_details_types",
	"backchannel_token_delivery_mode", "backchannel_client_notification_endpoint", "backchannel_authentication_request_signing_alg", "backchannel_user_code_parameter",
}

// MaySay reports whether a client may say of itself what has a name.
func MaySay(name string) bool { return slices.Contains(standard, name) }

// enrollable are the grants of such clients: by others a client acts for itself, or in
// somebody's name who is not there, and that is for an administrator to allow.
var enrollable = []oauth.GrantType{oauth.AuthorizationCode, oauth.DeviceCode, oauth.RefreshToken}

// wrong is what is told of metadata (RFC 7591, Section 3.2.2).
func wrong(field, why string) *oauth.Error {
	code := oauth.InvalidClientMetadata
	if field == "redirect_uris" {
		code = oauth.InvalidRedirectURI
	}
	return &oauth.Error{Code: code, Description: field + ": " + why}
}

// told makes a fault with a field what is told of metadata.
func told(err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Invalid || f.Field == "" {
		return err
	}
	return wrong(f.Field, f.Message).Because(err)
}

// readMetadata reads what a client says of itself.
func readMetadata(body []byte) (metadata, error) {
	var m metadata
	var all map[string]json.RawMessage
	if err := strictjson.Check(body); err != nil {
		return m, wrong("the body", "it is not a JSON object, or another parser could read it differently").Because(err)
	}
	if err := json.Unmarshal(body, &all); err != nil || all == nil {
		return m, wrong("the body", "it is not a JSON object").Because(err)
	}
	// The decoder knows no upper case: names are looked at here.
	for name, value := range all {
		if !MaySay(name) || string(value) == "null" {
			delete(all, name)
		}
	}
	text, err := json.Marshal(all)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if typed, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return m, wrong(saidAs(typed.Field), "it is of a wrong type").Because(err)
	} else if err != nil {
		return m, wrong("the body", "it does not fit a client").Because(err)
	}
	return m, nil
}

// saidAs returns the name by which a client said what the decoder names by its place.
func saidAs(place string) string {
	for name := range strings.SplitSeq(place, ".") {
		if name != "" && name[0] >= 'a' { // what is embedded has a name of Go's
			return name
		}
	}
	return "the body"
}

// described returns the client that metadata describe, where it may ask for most at the most.
func (s *Service) described(m metadata, id string, most []string) (Client, error) {
	c := Client{ID: id, Name: m.Name, Status: Active, Method: m.Method, Registration: m.Registration}
	if c.Name == "" {
		c.Name = c.ID
	}
	if c.Method == "" {
		c.Method = oauth.Basic
	}
	if c.Method == oauth.PrivateKeyJWT && s.opening.AssertionAudience == ToTokenEndpoint {
		c.AssertionAudience = ToTokenEndpoint
	}
	if m.Grants == nil {
		m.Grants = []oauth.GrantType{oauth.AuthorizationCode}
	}
	// What is not given here is left out: the answer tells (RFC 7591, Section 3.2.1).
	c.Grants = slices.DeleteFunc(slices.Clone(m.Grants), func(g oauth.GrantType) bool { return !slices.Contains(enrollable, g) })
	if len(c.Grants) == 0 {
		return c, wrong("grant_types", "one of authorization_code and "+string(oauth.DeviceCode)+" is needed")
	}
	if len(m.ResponseTypes) > 1 || m.ResponseTypes != nil && (len(m.ResponseTypes) == 0 || m.ResponseTypes[0] != "code") && c.May(oauth.AuthorizationCode) {
		return c, wrong("response_types", "there is code alone")
	}
	asked, err := oauth.ParseScope(m.Scope)
	if err != nil {
		return c, wrong("scope", "it is scopes separated by single spaces").Because(err)
	}
	if c.Scopes = asked; len(asked) == 0 {
		c.Scopes, c.Default = most, s.offered(most)
	}
	if len((Client{Scopes: most}).Beyond(asked)) > 0 {
		return c, wrong("scope", "it asks for more than a client that is registered so may have")
	}
	if err := s.check(&c); err != nil {
		return c, told(err)
	}
	return c, nil
}

// offered returns what a client that names no scope, neither now nor later, gets of most:
// what it is for, and of the person no more than who he is.
func (s *Service) offered(most []string) []string {
	permissions := slices.DeleteFunc(slices.Clone(most), func(scope string) bool { return slices.Contains(s.opening.Identity, scope) })
	if len(permissions) == 0 {
		return []string{"openid"}
	}
	return permissions
}

// Register registers a client for somebody without an account here (RFC 7591, Section
// 3.1), who shows an initial access token, or nothing where that is enough.
//
// Faults: Unauthenticated for a token that is not good, or is missing; Limited; and an
// oauth.Error for what no such client can be.
func (s *Service) Register(ctx context.Context, by principal.Principal, shown secret.Text, body []byte) (Registered, error) {
	most, from := s.opening.Scopes, ""
	switch {
	case !shown.IsZero():
		t, err := s.initial(ctx, shown)
		if err != nil {
			return Registered{}, err
		}
		most, from = t.Scopes, t.ID
	case !s.opening.Open:
		return Registered{}, noInitial("there is none")
	}
	m, err := readMetadata(body)
	if err != nil {
		return Registered{}, err
	}
	now := s.clock.Now()
	most = sorted(slices.Concat(s.opening.Identity, most))
	c, err := s.described(m, id.New(now), most)
	if err != nil {
		return Registered{}, err
	}
	if from == "" {
		if err := s.opening.Take(ctx, by.Origin.Network); err != nil {
			return Registered{}, err
		}
	}
	made, fresh, err := s.Making(by, c)
	if err != nil {
		return Registered{}, told(err)
	}
	if err := s.ready(ctx, by, *made.After); err != nil {
		return Registered{}, told(err)
	}
	token, hash := secret.NewToken(ManagePrefix)
	n := Enrolment{Client: c.ID, Hash: hash, Scopes: most, Token: from, At: now}
	e := made.Event.With("registered_with", "nothing")
	if from != "" {
		e = made.Event.With("registered_with", InitialToken{ID: from}.Target())
	}
	if !c.HasSecret() {
		fresh = secret.Text{}
	}
	return Registered{*made.After, fresh, token}, s.store.RegisterClient(ctx, *made.After, made.Kept, n, e)
}

// Managed returns the client that a registration access token is of (RFC 7592, Section
// 2.1). The fault is Unauthenticated whatever is wrong: the token, the client, which of
// the two was meant, or that the client is disabled.
func (s *Service) Managed(ctx context.Context, id string, shown secret.Text) (Enrolled, error) {
	hash, ok := parse(ManagePrefix, shown)
	if !ok || !known(id) {
		return Enrolled{}, noManager("it has not the form of one")
	}
	r, err := s.store.Enrolled(ctx, id)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return Enrolled{}, noManager("there is no such client, or an administrator changed it")
	case err != nil:
		return Enrolled{}, err
	case !r.Hash.Equal(hash):
		return Enrolled{Credential: r.Credential}, noManager("it is not this client's")
	case r.Credential.Client.Status != Active:
		return Enrolled{Credential: r.Credential}, noManager("the client is disabled")
	}
	return r, nil
}

func noManager(why string) error {
	return fault.New(fault.Unauthenticated, "the registration access token is not good: %s", why)
}

// itself returns by as the client that manages itself.
func itself(by principal.Principal, c Client) principal.Principal {
	by.Kind, by.ID, by.Client = principal.Service, c.ID, c.ID
	return by
}

// Reregister replaces what a client is registered as (RFC 7592, Section 2.2): what is left
// out is as if it had never been said. Its id and its secret stay; one that had none and
// needs one now is given one. Faults as of Managed and Register, and Stale.
func (s *Service) Reregister(ctx context.Context, by principal.Principal, id string, shown secret.Text, body []byte) (Registered, error) {
	was, err := s.Managed(ctx, id, shown)
	if err != nil {
		return Registered{}, err
	}
	before := was.Credential.Client
	m, err := readMetadata(body)
	if err != nil {
		return Registered{}, err
	}
	if m.ID != before.ID {
		return Registered{}, wrong("client_id", "it is needed, and is that of the client")
	}
	if m.Secret != "" && (!before.HasSecret() || !was.Proves(Secret{m.Secret}, s.peppers, s.clock.Now())) {
		return Registered{}, wrong("client_secret", "it is the one that the client has: nobody chooses another")
	}
	c, err := s.described(m, before.ID, was.Scopes)
	if err != nil {
		return Registered{}, err
	}
	by = itself(by, before)
	change, err := s.Changing(by, before, c)
	if err != nil {
		return Registered{}, told(err)
	}
	if err := s.opening.Take(ctx, before.Target()); err != nil { // what it names is fetched
		return Registered{}, err
	}
	if err := s.ready(ctx, by, *change.After); err != nil {
		return Registered{}, told(err)
	}
	var fresh secret.Text
	var kept *secret.Kept
	if c = *change.After; c.HasSecret() && !before.HasSecret() {
		made, k, err := s.secret(c.ID)
		if err != nil {
			return Registered{}, err
		}
		c.SecretAt, fresh, kept = c.UpdatedAt, made.Text(), &k
	}
	c, err = s.store.ReregisterClient(ctx, c, kept, was.Enrolment, another(before, c), change.Event)
	switch fault.KindOf(err) {
	case fault.NotFound:
		err = noManager("an administrator has just changed the client")
	case fault.Stale:
		err = wrong("client_id", "the client was changed beside this; read it again").Because(err)
	}
	return Registered{c, fresh, shown}, err
}

// another reports whether a client is another one to people: by its name, by where it
// sends them, or by who can prove that he is it.
func another(before, after Client) bool {
	return before.Name != after.Name || !slices.Equal(before.RedirectURIs, after.RedirectURIs) || before.Method != after.Method ||
		before.JWKSURI != after.JWKSURI || !reflect.DeepEqual(before.JWKS, after.JWKS) || before.ApplicationType != after.ApplicationType
}

// Unregister deletes a client (RFC 7592, Section 2.3). What came of it ends.
func (s *Service) Unregister(ctx context.Context, by principal.Principal, id string, shown secret.Text) error {
	r, err := s.Managed(ctx, id, shown)
	if err != nil {
		return err
	}
	c := r.Credential.Client
	err = s.store.UnregisterClient(ctx, r.Enrolment, audit.Now(itself(by, c), s.clock.Now(), audit.ClientDeleted, c.Target()))
	if fault.KindOf(err) == fault.NotFound {
		return noManager("an administrator has just changed the client")
	}
	return err
}

// Invites reports whether anybody without an account may register a client now.
func (s *Service) Invites(ctx context.Context) (bool, error) {
	if s.opening.Open {
		return true, nil
	}
	return s.store.Invites(ctx, s.clock.Now())
}
