package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/web"
)

// countRefusal counts a request that was refused because of who sent it, or of how
// often. Refusals are not written one by one: whoever asks too much, or has a
// token that is good for nothing, must not fill the log.
func (s *Server) countRefusal(at time.Time, known *web.Request) {
	if o := refusal(known.Cause); o != "" {
		s.counter.Add(at, credential(known), known.Route, o)
	}
}

// refusal returns how a request ended by its cause: denied by a rule or a limit,
// a failure where the credential was not good, or empty for anything else.
func refusal(cause error) audit.Outcome {
	if cause == nil {
		return ""
	}
	switch fault.KindOf(cause) {
	case fault.Denied, fault.Limited:
		return audit.Denied
	case fault.Unauthenticated:
		return audit.Failure
	}
	if p, ok := errors.AsType[*web.Problem](cause); ok && p.Status == http.StatusForbidden {
		return audit.Denied
	}
	if r, ok := errors.AsType[*web.Refused](cause); ok && r.Status == http.StatusForbidden { // by another site
		return audit.Denied
	}
	if r, ok := errors.AsType[guard.Reason](cause); ok {
		switch r {
		case guard.ErrUnavailable:
			return ""
		case guard.ErrLimited:
			return audit.Denied
		}
		return audit.Failure
	}
	if e, ok := errors.AsType[*oauth.Error](cause); ok && (e.Code == oauth.InvalidGrant || e.Code == oauth.InvalidClient) {
		return audit.Failure
	}
	return ""
}

// credential names what a request came with. It is of what was verified alone, so
// that nobody fills the counts with credentials that he makes up.
func credential(known *web.Request) string {
	dead, ok := errors.AsType[*issue.Dead](known.Cause)
	if ok && known.By.Family == "" {
		return "family:" + dead.Family
	}
	return known.By.Credential()
}
