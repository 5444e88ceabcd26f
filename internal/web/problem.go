package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/fault"
)

// Problem is an answer of the management API that says what went wrong (RFC
// 9457, Section 3). Nothing that a request held is repeated in it.
type Problem struct {
	Type       string  `json:"type" doc:"about:blank: the title says it all"`
	Title      string  `json:"title" doc:"The status in words"`
	Status     int     `json:"status"`
	Detail     string  `json:"detail,omitempty" doc:"What went wrong, and what to do next"`
	Errors     []Place `json:"errors,omitempty" doc:"The places in the input that were refused"`
	RequestID  string  `json:"request_id" doc:"The id under which the log tells more"`
	DecisionID string  `json:"decision_id,omitempty" doc:"With 403: the id of the decision"`
}

// Place is one place in the input that was refused.
type Place struct {
	Location string `json:"location" doc:"Like body.username or query.limit"`
	Message  string `json:"message"`
}

// Error returns what went wrong.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the media type of problems.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// NewProblem returns a problem of a status.
func NewProblem(status int, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// statuses are how the kinds of faults are told over HTTP.
var statuses = map[fault.Kind]int{
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Denied:          http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Stale:           http.StatusPreconditionFailed,
	fault.Limited:         http.StatusTooManyRequests,
	fault.Unavailable:     http.StatusServiceUnavailable,
}

// ProblemOf returns how an error is told: a fault with its message, what HTTP
// refuses with its status, and anything else as ours, without a word of it.
func ProblemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		c := *p
		return &c
	}
	if e, ok := errors.AsType[*Refused](err); ok {
		return NewProblem(e.Status, e.Message)
	}
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || statuses[f.Kind] == 0 {
		return NewProblem(http.StatusInternalServerError, "the server met a problem that is not yours; its log tells more under the request id")
	}
	p := NewProblem(statuses[f.Kind], f.Message)
	if f.Field != "" {
		p.Errors = []Place{{Location: f.Field, Message: f.Message}}
	}
	return p
}

// FailProblem tells an error as a problem.
func FailProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := ProblemOf(err)
	p.RequestID = By(r.Context()).Origin.RequestID
	if e, ok := errors.AsType[*Refused](err); ok && e.Allow != "" {
		w.Header().Set("Allow", e.Allow)
	}
	RetryAfter(w, err)
	body, _ := json.Marshal(p) // strings and numbers alone cannot fail
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}

// RetryAfter says how long to wait, where the error knows it (RFC 9110, Section
// 10.2.3).
func RetryAfter(w http.ResponseWriter, err error) {
	if f, ok := errors.AsType[*fault.Error](err); ok && (f.Kind == fault.Limited || f.Kind == fault.Unavailable) {
		after := max(f.After, time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	}
}
