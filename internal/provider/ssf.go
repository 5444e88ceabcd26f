package provider

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/ssf"
	"github.com/doorward/doorward/internal/web"
)

// Transmitter is what this package needs of the room that tells receivers what happened to
// people. A stream that is not of whoever asks is a NotFound.
type Transmitter interface {
	Owned(ctx context.Context, by principal.Principal) ([]ssf.Stream, error)
	Own(ctx context.Context, by principal.Principal, stream string) (ssf.Stream, error)
	CreateStream(ctx context.Context, by principal.Principal, c ssf.Configuration) (ssf.Stream, error)
	ChangeStream(ctx context.Context, by principal.Principal, c ssf.Configuration, replace bool) (ssf.Stream, error)
	DeleteStream(ctx context.Context, by principal.Principal, stream string) error
	SetStatus(ctx context.Context, by principal.Principal, c ssf.StatusChange) (ssf.Stream, error)
	Speaker
}

// Speaker is the part of it by which events come to receivers.
type Speaker interface {
	Want(ctx context.Context, by principal.Principal, c ssf.SubjectChange, wanted bool) error
	Verify(ctx context.Context, by principal.Principal, v ssf.VerificationRequest) error
	Poll(ctx context.Context, by principal.Principal, stream string, p ssf.PollRequest) (issue.Polled, error)
	PollAt(st ssf.Stream) string
}

// signaling is what the server says of itself as a transmitter (SSF 1.0, Section 7.1).
type signaling struct {
	Version       string              `json:"spec_version"`
	Issuer        string              `json:"issuer"`
	JWKS          string              `json:"jwks_uri"`
	Methods       []ssf.Method        `json:"delivery_methods_supported"`
	Configuration string              `json:"configuration_endpoint"`
	Status        string              `json:"status_endpoint"`
	Add           string              `json:"add_subject_endpoint"`
	Remove        string              `json:"remove_subject_endpoint"`
	Verification  string              `json:"verification_endpoint"`
	Schemes       []map[string]string `json:"authorization_schemes"`
	Subjects      string              `json:"default_subjects"`
}

// SignalMetadata serves the description of the transmitter (SSF 1.0, Section 7.2). All
// reports whether a new stream tells of everybody who signed in to its client.
func (p *Provider) SignalMetadata(all bool) web.Handler {
	subjects := "NONE"
	if all {
		subjects = "ALL"
	}
	at := p.issuer + "/ssf/"
	body, err := json.Marshal(signaling{
		Version: "1_0", Issuer: p.issuer, JWKS: p.issuer + "/oauth2/jwks", Methods: ssf.Methods(),
		Configuration: at + "streams", Status: at + "status", Add: at + "subjects:add", Remove: at + "subjects:remove", Verification: at + "verification",
		Schemes: []map[string]string{{"spec_urn": "urn:ietf:rfc:6749"}}, Subjects: subjects,
	})
	return func(w http.ResponseWriter, r *http.Request) error {
		if err != nil {
			return err
		}
		return public(w, r, web.JSONType, "", body)
	}
}

// configuration is a stream as its receiver sees it (SSF 1.0, Section 8.1.1). What is sent
// along to the endpoint it is not shown again.
type configuration struct {
	ID          string   `json:"stream_id"`
	Issuer      string   `json:"iss"`
	Audience    string   `json:"aud"`
	Supported   []string `json:"events_supported"`
	Requested   []string `json:"events_requested"`
	Delivered   []string `json:"events_delivered"`
	Delivery    delivery `json:"delivery"`
	Interval    int64    `json:"min_verification_interval"`
	Description string   `json:"description,omitempty"`
}

type delivery struct {
	Method   ssf.Method `json:"method"`
	Endpoint string     `json:"endpoint_url"`
}

func (p *Provider) configuration(st ssf.Stream) configuration {
	at := st.Endpoint
	if st.Method == ssf.Poll {
		at = p.Transmitter.PollAt(st)
	}
	return configuration{
		ID: st.ID, Issuer: p.issuer, Audience: st.Client, Supported: ssf.Supported(), Requested: append([]string{}, st.Requested...), Delivered: st.Delivered(),
		Delivery: delivery{st.Method, at}, Interval: int64(ssf.VerifyEvery / time.Second), Description: st.Description,
	}
}

// streamOf returns the parameter that names a stream, which is there once or not at all.
func streamOf(r *http.Request) (string, error) {
	values := r.URL.Query()["stream_id"]
	if len(values) > 1 {
		return "", fault.At("stream_id", "it is there twice")
	}
	if len(values) == 0 {
		return "", nil
	}
	return values[0], nil
}

// Streams serves a stream of whoever asks, or all of them (SSF 1.0, Section 8.1.1.2).
func (p *Provider) Streams(w http.ResponseWriter, r *http.Request) error {
	id, err := streamOf(r)
	if err != nil {
		return err
	}
	if id != "" || r.URL.Query().Has("stream_id") {
		st, err := p.Transmitter.Own(r.Context(), web.By(r.Context()), id)
		if err != nil {
			return err
		}
		return web.JSON(w, http.StatusOK, p.configuration(st))
	}
	found, err := p.Transmitter.Owned(r.Context(), web.By(r.Context()))
	if err != nil {
		return err
	}
	list := []configuration{}
	for _, st := range found {
		list = append(list, p.configuration(st))
	}
	return web.JSON(w, http.StatusOK, list)
}

// CreateStream makes a stream (SSF 1.0, Section 8.1.1.1).
func (p *Provider) CreateStream(w http.ResponseWriter, r *http.Request) error {
	return p.configured(w, r, http.StatusCreated, p.Transmitter.CreateStream)
}

// PatchStream changes a stream (SSF 1.0, Section 8.1.1.3).
func (p *Provider) PatchStream(w http.ResponseWriter, r *http.Request) error {
	return p.configured(w, r, http.StatusOK, func(ctx context.Context, by principal.Principal, c ssf.Configuration) (ssf.Stream, error) {
		return p.Transmitter.ChangeStream(ctx, by, c, false)
	})
}

// ReplaceStream replaces a stream (SSF 1.0, Section 8.1.1.4).
func (p *Provider) ReplaceStream(w http.ResponseWriter, r *http.Request) error {
	return p.configured(w, r, http.StatusOK, func(ctx context.Context, by principal.Principal, c ssf.Configuration) (ssf.Stream, error) {
		return p.Transmitter.ChangeStream(ctx, by, c, true)
	})
}

func (p *Provider) configured(w http.ResponseWriter, r *http.Request, status int, do func(context.Context, principal.Principal, ssf.Configuration) (ssf.Stream, error)) error {
	_, body, err := web.Body(w, r, web.JSONType)
	if err != nil {
		return err
	}
	c, err := ssf.ParseConfiguration(body)
	if err != nil {
		return err
	}
	st, err := do(r.Context(), web.By(r.Context()), c)
	if fault.KindOf(err) == fault.Stale { // no request of this API names a version
		err = fault.New(fault.Conflict, "the stream was changed at the same time; ask again")
	}
	if err != nil {
		return err
	}
	return web.JSON(w, status, p.configuration(st))
}

// DeleteStream deletes a stream (SSF 1.0, Section 8.1.1.5).
func (p *Provider) DeleteStream(w http.ResponseWriter, r *http.Request) error {
	id, err := streamOf(r)
	if err != nil {
		return err
	}
	return empty(w, http.StatusNoContent, p.Transmitter.DeleteStream(r.Context(), web.By(r.Context()), id))
}

// empty answers without a body, unless there is an error.
func empty(w http.ResponseWriter, status int, err error) error {
	if err == nil {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
	}
	return err
}

type streamStatus struct {
	ID     string     `json:"stream_id"`
	Status ssf.Status `json:"status"`
	Reason string     `json:"reason,omitempty"`
}

// StreamStatus serves the status of a stream (SSF 1.0, Section 8.1.2.1).
func (p *Provider) StreamStatus(w http.ResponseWriter, r *http.Request) error {
	id, err := streamOf(r)
	if err != nil {
		return err
	}
	st, err := p.Transmitter.Own(r.Context(), web.By(r.Context()), id)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, streamStatus{st.ID, st.Status, st.Reason})
}

// SetStreamStatus changes it (SSF 1.0, Section 8.1.2.2).
func (p *Provider) SetStreamStatus(w http.ResponseWriter, r *http.Request) error {
	_, body, err := web.Body(w, r, web.JSONType)
	if err != nil {
		return err
	}
	c, err := ssf.ParseStatus(body)
	if err != nil {
		return err
	}
	st, err := p.Transmitter.SetStatus(r.Context(), web.By(r.Context()), c)
	if fault.KindOf(err) == fault.Stale {
		err = fault.New(fault.Conflict, "the stream was changed at the same time; ask again")
	}
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, streamStatus{st.ID, st.Status, st.Reason})
}

// AddSubject puts somebody on a stream (SSF 1.0, Section 8.1.3.2).
func (p *Provider) AddSubject(w http.ResponseWriter, r *http.Request) error {
	return p.subject(w, r, true, http.StatusOK)
}

// RemoveSubject takes somebody off a stream (SSF 1.0, Section 8.1.3.3).
func (p *Provider) RemoveSubject(w http.ResponseWriter, r *http.Request) error {
	return p.subject(w, r, false, http.StatusNoContent)
}

func (p *Provider) subject(w http.ResponseWriter, r *http.Request, wanted bool, status int) error {
	_, body, err := web.Body(w, r, web.JSONType)
	if err != nil {
		return err
	}
	c, err := ssf.ParseSubject(body)
	if err != nil {
		return err
	}
	return empty(w, status, p.Transmitter.Want(r.Context(), web.By(r.Context()), c, wanted))
}

// VerifyStream has an event sent that shows that a stream works (SSF 1.0, Section 8.1.4.2).
func (p *Provider) VerifyStream(w http.ResponseWriter, r *http.Request) error {
	_, body, err := web.Body(w, r, web.JSONType)
	if err != nil {
		return err
	}
	v, err := ssf.ParseVerification(body)
	if err != nil {
		return err
	}
	return empty(w, http.StatusNoContent, p.Transmitter.Verify(r.Context(), web.By(r.Context()), v))
}

// PollStream serves the events of a stream (RFC 8936, Section 2).
func (p *Provider) PollStream(w http.ResponseWriter, r *http.Request) error {
	_, body, err := web.Body(w, r, web.JSONType)
	if err != nil {
		return err
	}
	poll, err := ssf.ParsePoll(body)
	if err != nil {
		return err
	}
	// It is read to its end, and may wait for longer than it could have taken to come.
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	answer, err := p.Transmitter.Poll(r.Context(), web.By(r.Context()), r.PathValue("id"), poll)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, answer)
}
