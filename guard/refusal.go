package guard

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// Refusal is the answer to a request that may not pass.
type Refusal struct {
	Status      int    // 400, 401, 403, 429 or 503
	Code        string // the error code of RFC 6750 or RFC 9470; empty if there was no credential
	Description string // in words, for the developer who calls
	Scope       string // the permissions that the route needs, separated by spaces; may be empty
	Err         error  // the whole story, for the log: it may say more than the caller should know
	// Principal is who asks, where the token is good and the route needs more;
	// else nil: nothing of a refused token is shown.
	Principal *Principal
}

// refuse answers a request that err keeps from passing; p is who asks, if that
// is known.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, n *needs, p *Principal, err error) {
	reason, ok := errors.AsType[Reason](err)
	if !ok {
		reason = ErrUnavailable
	}
	refusal := Refusal{Description: string(reason), Scope: n.scope, Err: err, Principal: p}
	refusal.Status, refusal.Code = reason.status()

	w.Header().Set("Cache-Control", "no-store")
	switch refusal.Status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", retryAfter(err))
	default:
		w.Header().Set("WWW-Authenticate", g.challenge(refusal, n))
	}
	g.answer(w, r, refusal)
}

// retryAfter returns in how many seconds, rounded up, a request that came too soon
// may come again.
func retryAfter(err error) string {
	seconds := int64(1)
	if l, ok := errors.AsType[*Limited](err); ok {
		seconds = max(seconds, int64(math.Ceil(l.After.Seconds())))
	}
	return strconv.FormatInt(seconds, 10)
}

// challenge writes the value of WWW-Authenticate (RFC 6750, Section 3). Every
// value in it is known to need no escape.
func (g *Guard) challenge(refusal Refusal, n *needs) string {
	var b strings.Builder
	b.WriteString(`Bearer realm="` + g.realm + `"`)
	param := func(name, value string) {
		if value != "" {
			b.WriteString(", " + name + `="` + value + `"`)
		}
	}
	if refusal.Code != "" {
		param("error", refusal.Code)
		param("error_description", refusal.Description)
	}
	if refusal.Code == "insufficient_user_authentication" {
		param("acr_values", n.acrValues)
		param("max_age", n.maxAgeValue)
	}
	param("scope", refusal.Scope)
	param("resource_metadata", g.metadata)
	return b.String()
}

// answerJSON is how a refusal is told where Errors does not say otherwise.
func answerJSON(w http.ResponseWriter, _ *http.Request, refusal Refusal) {
	body, _ := json.Marshal(struct {
		Error       string `json:"error,omitempty"`
		Description string `json:"error_description"`
	}{refusal.Code, refusal.Description})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(refusal.Status)
	w.Write(append(body, '\n'))
}
