package admin

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/web"
)

// newError makes a problem of what huma refuses. A value that was refused is not
// repeated: it may be a password in the wrong place.
func newError(status int, message string, errs ...error) huma.StatusError {
	return newProblem(status, message, errs)
}

func newProblem(status int, message string, errs []error) *web.Problem {
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	p := web.NewProblem(status, message)
	for _, err := range errs {
		if d, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			p.Errors = append(p.Errors, web.Place{Location: bounded(d.Location, 128), Message: d.Message})
		} else if err != nil && status < 500 {
			p.Errors = append(p.Errors, web.Place{Location: "body", Message: "it cannot be read"})
		}
	}
	return p
}

func bounded(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

// withHeaders adds the headers that go with an error.
func withHeaders(p *web.Problem, err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Limited && f.Kind != fault.Unavailable {
		return p
	}
	after := max(f.After, time.Second)
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {strconv.Itoa(int((after + time.Second - 1) / time.Second))}})
}

// place writes a field of the domain as a place in the request: in the body, if
// it does not say another.
func place(field string) string {
	first, _, _ := strings.Cut(field, ".")
	switch first {
	case "body", "query", "path", "header":
		return field
	case "Idempotency-Key":
		return "header." + field
	}
	return "body." + field
}

// notModified is the answer to a conditional GET whose tag still holds. It names
// the tag, as the answer in full would (RFC 9110, Section 15.4.5).
type notModified struct{ tag string }

func (n *notModified) Error() string           { return "not modified" }
func (n *notModified) GetStatus() int          { return http.StatusNotModified }
func (n *notModified) GetHeaders() http.Header { return http.Header{"Etag": {n.tag}} }

// fresh returns notModified if the client has the version already.
func fresh(ifNoneMatch, tag string) error {
	if ifNoneMatch != "" && web.Matches(ifNoneMatch, tag) {
		return &notModified{tag}
	}
	return nil
}
