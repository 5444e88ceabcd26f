package ssf

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/strictjson"
)

// Delivery is how a receiver wants its events.
type Delivery struct {
	Method   Method
	Endpoint string // for Poll, what the transmitter said before; may be empty
	// Authorization is what is to be sent to the endpoint; zero for nothing. Named says
	// that the receiver said so, and did not leave it out.
	Authorization secret.Text
	Named         bool
}

// Configuration is what a request says of a stream (SSF 1.0, Section 8.1.1). What is nil
// was not said. What the receiver does not decide is to be as it is.
type Configuration struct {
	ID          string
	Requested   []string
	Delivery    *Delivery
	Description *string

	Issuer    *string
	Audience  []string
	Supported []string
	Delivered []string
	Interval  *int64
}

// ParseConfiguration reads the body of a request that makes or changes a stream. What the
// specification does not know is passed over.
func ParseConfiguration(body []byte) (Configuration, error) {
	var given struct {
		ID          *string         `json:"stream_id"`
		Requested   *[]string       `json:"events_requested"`
		Delivery    json.RawMessage `json:"delivery"`
		Description *string         `json:"description"`
		Issuer      *string         `json:"iss"`
		Audience    json.RawMessage `json:"aud"`
		Supported   []string        `json:"events_supported"`
		Delivered   *[]string       `json:"events_delivered"`
		Interval    *int64          `json:"min_verification_interval"`
	}
	if err := read(body, &given); err != nil {
		return Configuration{}, err
	}
	c := Configuration{Description: given.Description, Issuer: given.Issuer, Supported: given.Supported, Interval: given.Interval}
	if given.ID != nil {
		c.ID = *given.ID
	}
	if given.Delivered != nil {
		c.Delivered = append([]string{}, *given.Delivered...)
	}
	if given.Requested != nil {
		c.Requested = append([]string{}, *given.Requested...)
	}
	if len(c.Requested) > mostEvents || slices.ContainsFunc(c.Requested, func(uri string) bool { return uri == "" || len(uri) > longestName }) {
		return c, fault.At("events_requested", "it is at most %d URIs, each of at most %d bytes", mostEvents, longestName)
	}
	if c.Description != nil && !line(*c.Description) {
		return c, fault.At("description", "it is a line of at most %d bytes", longestText)
	}
	var err error
	if c.Audience, err = audience(given.Audience); err != nil {
		return c, err
	}
	if !absent(given.Delivery) {
		c.Delivery, err = parseDelivery(given.Delivery)
	}
	return c, err
}

func audience(text json.RawMessage) ([]string, error) {
	if absent(text) {
		return nil, nil
	}
	var one string
	var many []string
	if json.Unmarshal(text, &one) == nil {
		return []string{one}, nil
	}
	if json.Unmarshal(text, &many) != nil {
		return nil, fault.At("aud", "it is a text or a list of texts")
	}
	return many, nil
}

func parseDelivery(text json.RawMessage) (*Delivery, error) {
	var given struct {
		Method        Method           `json:"method"`
		Endpoint      string           `json:"endpoint_url"`
		Authorization *json.RawMessage `json:"authorization_header"`
	}
	if json.Unmarshal(text, &given) != nil {
		return nil, fault.At("delivery", "it is an object with method and endpoint_url")
	}
	d := &Delivery{Method: given.Method, Endpoint: given.Endpoint, Named: given.Authorization != nil}
	switch {
	case d.Method != Push && d.Method != Poll:
		return nil, fault.At("delivery.method", "it is %s or %s", Push, Poll)
	case d.Method == Push && d.Endpoint == "":
		return nil, fault.At("delivery.endpoint_url", "to be pushed to it is needed")
	case len(d.Endpoint) > longestURI:
		return nil, fault.At("delivery.endpoint_url", "it is at most %d bytes", longestURI)
	}
	if d.Named && !absent(*given.Authorization) {
		var value string
		if json.Unmarshal(*given.Authorization, &value) != nil || len(value) > longestAuth || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
			return nil, fault.At("delivery.authorization_header", "it is a line of at most %d bytes of ASCII", longestAuth)
		}
		if value != "" {
			d.Authorization = secret.From(value)
		}
	}
	if d.Method == Poll && !d.Authorization.IsZero() {
		return nil, fault.At("delivery.authorization_header", "it goes with %s", Push)
	}
	return d, nil
}

// StatusChange is a request to change the status of a stream (SSF 1.0, Section 8.1.2.2).
type StatusChange struct {
	ID     string `json:"stream_id"`
	Status Status `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// ParseStatus reads such a request.
func ParseStatus(body []byte) (StatusChange, error) {
	var c StatusChange
	if err := read(body, &c); err != nil {
		return c, err
	}
	return c, c.Check()
}

// Check returns a fault for what no stream can become.
func (c StatusChange) Check() error {
	switch {
	case c.Status != Enabled && c.Status != Paused && c.Status != Disabled:
		return fault.At("status", "it is enabled, paused or disabled")
	case !line(c.Reason):
		return fault.At("reason", "it is a line of at most %d bytes", longestText)
	}
	return nil
}

// SubjectChange is a request to put somebody on a stream or to take him off (SSF 1.0,
// Sections 8.1.3.2 and 8.1.3.3).
type SubjectChange struct {
	ID      string
	Subject Identifier
}

// ParseSubject reads such a request. Whether the receiver has verified the subject makes no
// difference: it hears of those alone who signed in to it.
func ParseSubject(body []byte) (SubjectChange, error) {
	var given struct {
		ID      string          `json:"stream_id"`
		Subject json.RawMessage `json:"subject"`
	}
	if err := read(body, &given); err != nil {
		return SubjectChange{}, err
	}
	if absent(given.Subject) {
		return SubjectChange{}, fault.At("subject", "it is needed")
	}
	subject, err := parseSubject(given.Subject, false)
	return SubjectChange{given.ID, subject}, err
}

// VerificationRequest asks for an event that shows that a stream works (SSF 1.0, Section
// 8.1.4.2).
type VerificationRequest struct {
	ID    string  `json:"stream_id"`
	State *string `json:"state"`
}

// ParseVerification reads such a request.
func ParseVerification(body []byte) (VerificationRequest, error) {
	var v VerificationRequest
	err := read(body, &v)
	if err == nil && v.State != nil && len(*v.State) > longestState {
		err = fault.At("state", "it is at most %d bytes", longestState)
	}
	return v, err
}

// SetError is why a receiver does not take an event (RFC 8935, Section 2.3; RFC 8936,
// Section 2.6).
type SetError struct {
	Err         string `json:"err"`
	Description string `json:"description"`
}

// ParseSetError reads it, as far as a log may hold it: a code, and nothing that was
// written freely.
func ParseSetError(body []byte) SetError {
	var e SetError
	if json.Unmarshal(body, &e) != nil {
		return SetError{}
	}
	return e.bounded()
}

func (e SetError) bounded() SetError {
	if len(e.Err) > 64 || strings.ContainsFunc(e.Err, func(c rune) bool { return c <= ' ' || c > '~' }) {
		e.Err = ""
	}
	return SetError{Err: e.Err}
}

// PollRequest asks for events and acknowledges others (RFC 8936, Section 2.2).
type PollRequest struct {
	Most      int // events to be returned at the most; 0 for none
	Immediate bool
	Acks      []string
	Errors    map[string]SetError // of those that it does not take
}

// ParsePoll reads such a request.
func ParsePoll(body []byte) (PollRequest, error) {
	var given struct {
		Most      *int64              `json:"maxEvents"`
		Immediate bool                `json:"returnImmediately"`
		Acks      []string            `json:"ack"`
		Errors    map[string]SetError `json:"setErrs"`
	}
	if err := read(body, &given); err != nil {
		return PollRequest{}, err
	}
	p := PollRequest{Most: MostPolled, Immediate: given.Immediate, Acks: given.Acks, Errors: given.Errors}
	if given.Most != nil {
		if *given.Most < 0 {
			return p, fault.At("maxEvents", "it is not negative")
		}
		p.Most = int(min(*given.Most, MostPolled))
	}
	if len(p.Acks)+len(p.Errors) > mostAcks {
		return p, fault.At("ack", "a poll acknowledges at most %d events", mostAcks)
	}
	for id, e := range p.Errors {
		p.Errors[id] = e.bounded()
	}
	return p, nil
}

// read decodes an object that every parser reads alike.
func read(body []byte, into any) error {
	if err := strictjson.Check(body); err != nil {
		return fault.New(fault.Invalid, "%v", err)
	}
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '{' {
		return fault.New(fault.Invalid, "the body is a JSON object")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fault.New(fault.Invalid, "a member of the body has another type than it should")
	}
	return nil
}

func absent(text json.RawMessage) bool { return len(text) == 0 || string(text) == "null" }

// line reports whether a text may be kept and shown.
func line(s string) bool {
	return len(s) <= longestText && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
