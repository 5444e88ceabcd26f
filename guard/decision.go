package guard

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Decision is what Require decided about one request. Marshalled as JSON it is an
// event of the form that Doorward's own audit log has, on one line whatever the
// request says: the members id, at, action (request.allowed or request.refused),
// outcome (success, denied where the token is good and the route needs more, else
// failure), actor, client, target, reason, request and detail, and in parts what
// tells of a person: the address and the user agent.
//
// No token is in it, nor anything of a token that was refused. Target is the
// pattern of the route, so that no ids of a path get into a log.
type Decision struct {
	At        time.Time
	Err       error      // why the request may not pass; nil if it may
	Principal *Principal // who asks; nil where the token was refused
	Method    string
	Route     string // the pattern that http.ServeMux matched; empty under another router
	Needs     string // the permissions that the route needs, separated by spaces; may be empty
	Address   string // the other end of the connection, or what CallerAddress says
	UserAgent string
	RequestID string // X-Request-Id; what a client may have sent
}

// Allowed reports whether the request passed.
func (d Decision) Allowed() bool { return d.Err == nil }

// words are the reasons as logs spell them.
var words = map[Reason]string{
	ErrNoCredential: "no-credential", ErrTwoCredentials: "two-credentials", ErrTokenInQuery: "token-in-query",
	ErrMalformed: "malformed", ErrType: "type", ErrAlgorithm: "algorithm", ErrUnknownKey: "unknown-key", ErrSignature: "signature",
	ErrClaims: "claims", ErrIssuer: "issuer", ErrAudience: "audience", ErrExpired: "expired", ErrNotYetValid: "not-yet-valid",
	ErrBound: "bound", ErrRevoked: "revoked", ErrAPIKey: "api-key",
	ErrPermission: "permission", ErrStepUp: "step-up", ErrLimited: "limited", ErrUnavailable: "unavailable",
}

// Reason returns why the request may not pass, in a word: permission, expired,
// signature. It is empty for one that may.
func (d Decision) Reason() string {
	if d.Err == nil {
		return ""
	}
	reason, ok := errors.AsType[Reason](d.Err)
	if !ok {
		reason = ErrUnavailable
	}
	return words[reason]
}

// event is the form of the audit log's events.
type event struct {
	V       int               `json:"v"`
	ID      string            `json:"id"`
	At      string            `json:"at"`
	Action  string            `json:"action"`
	OWASP   string            `json:"owasp,omitempty"`
	Outcome string            `json:"outcome"`
	Actor   string            `json:"actor"`
	Client  string            `json:"client,omitempty"`
	Target  string            `json:"target,omitempty"`
	Reason  string            `json:"reason,omitempty"`
	Request string            `json:"request,omitempty"`
	Detail  map[string]string `json:"detail,omitempty"`
	Parts   []eventPart       `json:"parts"`
}

type eventPart struct {
	Person string            `json:"person,omitempty"`
	Facts  map[string]string `json:"facts"`
}

// MarshalJSON writes the event. Text from outside is bounded, valid UTF-8 and
// without control characters.
func (d Decision) MarshalJSON() ([]byte, error) {
	e := event{
		V: 1, ID: strings.ToLower(rand.Text()), At: d.At.UTC().Format("2006-01-02T15:04:05.000000Z"), Action: "request.allowed",
		Outcome: "success", Actor: "anonymous", Target: "route:" + plain(d.route()), Reason: d.Reason(), Request: plain(d.RequestID),
		Detail: map[string]string{}, Parts: []eventPart{},
	}
	switch {
	case d.Allowed():
	case d.Principal != nil:
		e.Action, e.Outcome, e.OWASP = "request.refused", "denied", "authz_fail"
	default:
		e.Action, e.Outcome = "request.refused", "failure"
	}
	set := func(to map[string]string, name, value string) {
		if value != "" {
			to[name] = plain(value)
		}
	}
	set(e.Detail, "needs", d.Needs)
	part := eventPart{Facts: map[string]string{}}
	if p := d.Principal; p != nil {
		e.Actor, e.Client, part.Person = "user:"+plain(p.Subject), plain(p.ClientID), plain(p.Subject)
		if p.isClient() {
			e.Actor, part.Person = "client:"+plain(p.Subject), ""
		}
		set(e.Detail, "token", p.ID)
		set(e.Detail, "key", p.KeyID)
		set(e.Detail, "family", p.Family)
		set(e.Detail, "session", p.Session)
		if p.Actor != nil {
			set(e.Detail, "acting", p.Actor.Subject)
		}
	}
	set(part.Facts, "address", d.Address)
	set(part.Facts, "user_agent", d.UserAgent)
	if len(part.Facts) > 0 {
		e.Parts = append(e.Parts, part)
	}
	return json.Marshal(e)
}

func (d Decision) route() string {
	if strings.HasPrefix(d.Route, d.Method+" ") {
		return d.Route
	}
	return strings.TrimSpace(d.Method + " " + d.Route)
}

// plain makes text from outside fit for a log.
func plain(s string) string {
	const most = 256
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, s)
}

// tell hands a decision to who wants to know of it.
func (g *Guard) tell(r *http.Request, n *needs, p *Principal, err error) {
	if g.decided == nil {
		return
	}
	if p != nil {
		p = p.clone() // the handler may change its own
	}
	g.decided(r.Context(), Decision{
		At: g.now(), Err: err, Principal: p, Method: r.Method, Route: r.Pattern, Needs: n.scope,
		Address: g.address(r), UserAgent: r.UserAgent(), RequestID: r.Header.Get("X-Request-Id"),
	})
}

// DecisionLog returns a function for OnDecision that writes each decision to w, a
// line of JSON in one Write. A line that cannot be written is lost: log where
// writing does not fail, or bring a function that knows what to do then.
func DecisionLog(w io.Writer) func(context.Context, Decision) {
	var mu sync.Mutex
	return func(_ context.Context, d Decision) {
		line, err := json.Marshal(d)
		if err != nil {
			return // it never is: the event holds nothing but text
		}
		mu.Lock()
		defer mu.Unlock()
		_, _ = w.Write(append(line, '\n')) // the request must not fail for it
	}
}
