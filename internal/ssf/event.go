package ssf

import (
	"encoding/json"
	"time"

	"github.com/doorward/doorward/internal/id"
)

// Kind is what an event tells.
type Kind string

// The kinds of events: of CAEP 1.0, Section 3, and of SSF 1.0, Sections 8.1.4.1 and 8.1.5.
const (
	SessionRevoked    Kind = "session-revoked"
	CredentialChange  Kind = "credential-change"
	TokenClaimsChange Kind = "token-claims-change"
	Verification      Kind = "verification"
	StreamUpdated     Kind = "stream-updated"
)

// URI returns the name of the kind in a SET.
func (k Kind) URI() string {
	if k == Verification || k == StreamUpdated {
		return "https://schemas.openid.net/secevent/ssf/event-type/" + string(k)
	}
	return "https://schemas.openid.net/secevent/caep/event-type/" + string(k)
}

// Supported returns the URIs of the events that a receiver can ask for.
func Supported() []string {
	return []string{SessionRevoked.URI(), CredentialChange.URI(), TokenClaimsChange.URI()}
}

// Initiator is who brought an event about (CAEP 1.0, Section 2).
type Initiator string

// The initiators.
const (
	ByAdmin  Initiator = "admin"
	ByUser   Initiator = "user"
	ByPolicy Initiator = "policy"
	BySystem Initiator = "system"
)

// The values of a change of a credential (CAEP 1.0, Section 3.3.1).
const (
	Password = "password"
	Create   = "create"
	Update   = "update"
)

// Facts are what an event tells beside whom it is about. Each kind has its own.
type Facts struct {
	By      Initiator `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`  // in English, for whoever runs the receiver
	Session string    `json:"session,omitempty"` // the sid of the ID token

	Credential string `json:"credential,omitempty"`
	Change     string `json:"change,omitempty"`

	Roles []string `json:"roles,omitempty"` // all that the person has now

	State  *string `json:"state,omitempty"`
	Status Status  `json:"status,omitempty"`
}

// Event is something that a receiver is to hear.
type Event struct {
	ID     string // its jti
	Stream string
	User   string // whom it is about, by the account's id; empty for the stream itself
	Kind   Kind
	Facts  Facts
	At     time.Time
	// Cause is the same for events of a stream that have one cause (txn).
	Cause string
	// Subject is whom it is about as the receiver calls him, in JSON; empty as long as
	// nobody has looked.
	Subject string
}

// Why a stream is paused by this server.
const (
	Full = "too many events wait: the receiver did not take them"
	Away = "events wait for too long: the receiver did not take them"
)

// Updated returns the event by which the receiver of a stream hears that its status was
// changed by another (SSF 1.0, Section 8.1.5).
func Updated(stream string, status Status, reason string, at time.Time) Event {
	return Event{ID: id.New(at), Stream: stream, Kind: StreamUpdated, Facts: Facts{Status: status, Reason: reason}, At: at, Subject: AboutItself(stream)}
}

// AboutItself returns the subject of an event about a stream.
func AboutItself(stream string) string {
	text, _ := json.Marshal(Identifier{Format: Opaque, ID: stream}) // strings alone cannot fail
	return string(text)
}

type member = map[string]any

// said is the event's own object.
func (e Event) said() member {
	f := e.Facts
	switch e.Kind {
	case Verification:
		if f.State == nil {
			return member{}
		}
		return member{"state": *f.State}
	case StreamUpdated:
		m := member{"status": f.Status}
		if f.Reason != "" {
			m["reason"] = f.Reason
		}
		return m
	}
	m := member{"event_timestamp": e.At.Unix(), "initiating_entity": f.By, "reason_admin": member{"en": f.Reason}}
	switch e.Kind {
	case CredentialChange:
		m["credential_type"], m["change_type"] = f.Credential, f.Change
	case TokenClaimsChange:
		m["claims"] = member{"roles": append([]string{}, f.Roles...)}
	}
	return m
}

// Claims returns the payload of a SET (RFC 8417, Section 2.2; SSF 1.0, Section 4.1): it has
// no exp and no sub, so that nobody takes it for a token that opens something.
func (e Event) Claims(issuer, audience string) ([]byte, error) {
	return json.Marshal(struct {
		Issuer   string          `json:"iss"`
		ID       string          `json:"jti"`
		IssuedAt int64           `json:"iat"`
		Audience string          `json:"aud"`
		Txn      string          `json:"txn,omitempty"`
		Subject  json.RawMessage `json:"sub_id"`
		Events   member          `json:"events"`
	}{issuer, e.ID, e.At.Unix(), audience, e.Cause, json.RawMessage(e.Subject), member{e.Kind.URI(): e.said()}})
}

// The types of a SET: in its header (RFC 8417, Section 2.3), and as it is sent (RFC 8935,
// Section 2.1).
const (
	Type      = "secevent+jwt"
	MediaType = "application/secevent+jwt"
)
