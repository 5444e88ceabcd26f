package issue

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
)

// claims is the payload of an access token (RFC 9068, Section 2.2).
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expires  int64    `json:"exp"`
	IssuedAt int64    `json:"iat"`
	Begins   int64    `json:"nbf"`
	ID       string   `json:"jti"`
	Client   string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Roles    []string `json:"roles"`
	// How the user signed in; a client that acts for itself did not.
	AuthTime int64    `json:"auth_time,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	Session  string   `json:"sid,omitempty"`
	Family   string   `json:"fam"`
	// Who acts for the subject, and what the token came through, if it was exchanged.
	Act *oauth.Actor `json:"act,omitempty"`
	Via []string     `json:"via,omitempty"`
	// The organization that Scope and Roles hold within.
	Org     string `json:"org,omitempty"`
	OrgName string `json:"org_name,omitempty"`
	// Policy is the version of the policy that Scope and Roles follow from. A
	// grant that was taken away under a later version makes the token void: a
	// version tells before from after exactly, where seconds cannot.
	Policy int64 `json:"pv"`
	// Where to see whether the token was revoked (draft-ietf-oauth-status-list, Section 6.2).
	Status *listed `json:"status,omitempty"`
}

const (
	// acr says how sure the sign-in was: one factor, a password.
	onePassword = "urn:doorward:acr:1"
	largest     = 8 << 10 // bytes of an access token
	// A browser ignores a cookie whose name and value have more than 4,096 bytes
	// together (draft-ietf-httpbis-rfc6265bis, Section 5.6).
	largestKept = 4000
)

// lifetime returns how long a token of a family lives: never longer than the family.
func (s *Service) lifetime(f grant.Family, b basis, now time.Time) time.Duration {
	return max(min(s.lasts(b, now), f.ExpiresAt.Sub(now).Truncate(time.Second)), time.Second)
}

// access signs an access token for a family, which remembers its bit.
func (s *Service) access(ctx context.Context, f *grant.Family, scope []string, b basis, now time.Time) (secret.Text, error) {
	at, err := s.slots.ofFamily(ctx, f, b.Roles(), b.policy, now.Add(s.lifetime(*f, b, now)), now)
	if err != nil {
		return secret.Text{}, err
	}
	return s.accessAt(*f, scope, b, now, at)
}

// accessAt is access where the token's bit is known.
func (s *Service) accessAt(f grant.Family, scope []string, b basis, now time.Time, at *listed) (secret.Text, error) {
	most := largest
	if held(f) {
		most = largestKept
	}
	return s.sign(b, claims{
		Subject: f.User, Expires: now.Add(s.lifetime(f, b, now)).Unix(), IssuedAt: now.Unix(),
		Client: f.Client, Scope: strings.Join(scope, " "),
		AuthTime: f.AuthTime.Unix(), ACR: onePassword, AMR: f.AMR, Session: cmp.Or(f.Session, f.ID), Family: f.ID, Status: at,
	}, most)
}

// apart is an access token of no family, and what is to be kept with it.
type apart struct {
	access secret.Text
	run    *grant.Run      // nil for nothing
	done   func(kept bool) // to be told whether that was kept
}

// apart signs an access token of no family, and gives it its bit.
func (s *Service) apart(ctx context.Context, b basis, c claims, now time.Time) (t apart, err error) {
	if c.Roles == nil {
		c.Roles = append([]string{}, b.Roles()...)
	}
	c.Status, t.run, t.done, err = s.slots.ofRun(ctx, grant.Access{
		Family: c.Family, Account: c.Subject, Client: c.Client, Roles: c.Roles, Audience: []string{b.audience}, Organization: b.org.ID, Via: c.Via, Policy: b.policy,
	}, time.Unix(c.Expires, 0), now)
	if err != nil {
		return apart{}, err
	}
	if t.access, err = s.sign(b, c, largest); err != nil {
		t.done(false)
	}
	return t, err
}

// sign returns an access token of at most so many bytes. It fills in what all have,
// and what follows from the basis; roles that are given stay.
func (s *Service) sign(b basis, c claims, most int) (secret.Text, error) {
	view, err := s.keys.View()
	if err != nil {
		return secret.Text{}, err
	}
	var alg jose.Algorithm
	if b.api != nil {
		alg = b.api.Alg
	}
	signer, err := view.SignerBy(alg)
	if err != nil {
		return secret.Text{}, err
	}
	if c.Roles == nil {
		c.Roles = append([]string{}, b.Roles()...)
	}
	c.Org, c.OrgName = b.org.ID, b.org.Name
	c.Issuer, c.Audience, c.Policy, c.Begins, c.ID = s.options.Issuer, b.audience, b.policy, c.IssuedAt, rand.Text()
	payload, err := json.Marshal(c)
	if err != nil {
		return secret.Text{}, err
	}
	token, err := signer.Sign(payload)
	if err != nil {
		return secret.Text{}, err
	}
	if len(token) > most {
		return secret.Text{}, fault.At("scope", "the token would be larger than %d bytes; ask for fewer scopes", most)
	}
	return secret.From(token), nil
}

// pepper returns the key that a retry's successor is derived with; version 0
// stands for the newest.
func (s *Service) pepper(version int64) (secret.Pepper, error) {
	peppers := s.keys.Peppers(keyring.RefreshSuccessor)
	if version == 0 {
		return peppers.Newest()
	}
	p, ok := peppers.Version(version)
	if !ok {
		return secret.Pepper{}, fmt.Errorf("deriving a successor: there is no pepper of version %d", version)
	}
	return p, nil
}
