package issue

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/secret"
)

// identity is what an ID token is made of.
type identity struct {
	Client  client.Client
	Family  grant.Family
	Scope   []string // of the access token: a refresh may ask for less than was granted
	Session string   // of the browser; empty if it is not known any more
	Nonce   string
	Access  secret.Text // that it goes with
	Now     time.Time
}

// idToken says to a client who signed in (OpenID Connect Core 1.0, Section 2).
func (s *Service) idToken(ctx context.Context, i identity) (secret.Text, error) {
	alg := i.Client.SignsIDTokensWith()
	signer, err := s.keys.IDSigner(ctx, alg)
	if err != nil {
		return secret.Text{}, err
	}
	f := i.Family
	c := map[string]any{}
	var telling []string // of the scopes
	if i.Client.IDTokenClaims {
		telling = i.Scope
	}
	if len(telling)+len(f.Claims.IDToken) > 0 {
		user, err := s.accounts.User(ctx, f.User)
		if err != nil {
			return secret.Text{}, err
		}
		c = Claims(user, telling, f.Claims.IDToken)
	}
	subject, err := s.Subject(i.Client, f.User)
	if err != nil {
		return secret.Text{}, err
	}
	// What follows is never another's to say.
	c["iss"], c["sub"], c["aud"], c["iat"], c["exp"] = s.options.Issuer, subject, f.Client, i.Now.Unix(), i.Now.Add(s.options.AccessTTL).Unix() // it is read when it comes
	c["auth_time"], c["acr"], c["amr"], c["at_hash"] = f.AuthTime.Unix(), onePassword, f.AMR, halfHash(alg, i.Access.Reveal())
	if i.Session != "" {
		c["sid"] = i.Session
	}
	if i.Nonce != "" {
		c["nonce"] = i.Nonce
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return secret.Text{}, err
	}
	token, err := signer.Sign(payload)
	return secret.From(token), err
}

// halfHash returns the left half of a token's digest, by which an ID token names it
// (OpenID Connect Core 1.0, Section 3.1.3.6). Ed25519 uses SHA-512.
func halfHash(alg jose.Algorithm, token string) string {
	if alg == jose.EdDSA {
		sum := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Claims returns what some scopes, and names asked for one by one, tell of a person
// (OpenID Connect Core 1.0, Sections 5.1 and 5.4). What is not known of him is left out.
func Claims(u account.User, scope, names []string) map[string]any {
	all := map[string]any{
		"name": u.Name, "given_name": u.Profile.GivenName, "family_name": u.Profile.FamilyName, "middle_name": u.Profile.MiddleName,
		"nickname": u.Profile.Nickname, "preferred_username": u.Username, "website": u.Profile.Website, "picture": u.Profile.Picture,
		"gender": u.Profile.Gender, "birthdate": u.Profile.Birthdate, "zoneinfo": u.Profile.Zoneinfo, "locale": u.Profile.Locale,
		"updated_at": u.UpdatedAt.Unix(), "email": u.Email.String(),
	}
	if u.Email.String() != "" {
		all["email_verified"] = u.EmailVerified
	}
	var attributes map[string]any
	if json.Unmarshal(u.Attributes, &attributes) == nil {
		for _, name := range []string{"profile", "phone_number", "phone_number_verified", "address"} { // there is no other place for them
			all[name] = attributes[name]
		}
	}
	told := map[string]any{}
	for name, value := range all {
		wanted := slices.Contains(names, name) || slices.ContainsFunc(scope, func(s string) bool { return slices.Contains(claimsOf[s], name) })
		if wanted && value != nil && value != "" {
			told[name] = value
		}
	}
	return told
}

// claimsOf are the claims that a scope stands for.
var claimsOf = map[string][]string{
	"profile": {
		"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website", "gender",
		"birthdate", "zoneinfo", "locale", "updated_at",
	},
	"email":   {"email", "email_verified"},
	"phone":   {"phone_number", "phone_number_verified"},
	"address": {"address"},
}

// ClaimsSupported are the claims that there can be, for the metadata.
func ClaimsSupported() []string {
	list := []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"}
	for _, names := range claimsOf {
		list = append(list, names...)
	}
	slices.Sort(list)
	return list
}

// ACR is how sure a sign-in is, as tokens say it.
const ACR = onePassword

// Hint is what an ID token of this server's says of whom a request is about.
type Hint struct {
	User    string // as the client knows him: Meant says whether it is somebody
	Client  string
	Session string // that it was given in; empty if it does not say
}

// Hint reads an ID token that comes back (OpenID Connect Core 1.0, Section 3.1.2.2). Its
// time may be over: it says who is meant, and proves nothing. It returns false for what
// this server did not sign.
func (s *Service) Hint(token string) (Hint, bool) {
	view, err := s.keys.View()
	if err != nil {
		return Hint{}, false
	}
	var keys []jose.Key
	for _, k := range view.Published {
		keys = append(keys, jose.Key{ID: k.ID, Algorithm: k.Alg, Public: k.Private.Public()})
	}
	t, err := jose.Verify(token, keys, jose.ES256, jose.EdDSA, jose.RS256, jose.PS256)
	if err != nil || !t.Is("jwt") {
		return Hint{}, false
	}
	c, err := jose.ParseClaims(t.Payload)
	if err != nil || c.Issuer != s.options.Issuer || c.Subject == "" || c.Expires.IsZero() || len(c.Audience) != 1 || c.All["events"] != nil {
		return Hint{}, false
	}
	h := Hint{User: c.Subject, Client: c.Audience[0]}
	if raw := c.All["sid"]; raw != nil {
		if err := json.Unmarshal(raw, &h.Session); err != nil {
			return Hint{}, false
		}
	}
	return h, true
}
