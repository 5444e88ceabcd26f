package admin

import (
	"context"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/web"
)

// Check is one question.
type Check struct {
	Subject    string `json:"subject,omitempty" maxLength:"300" doc:"user:ID, user:NAME or client:ID; who asks, if it is absent. About others one needs roles:read, and by their names users:read"`
	Permission string `json:"permission,omitempty" maxLength:"300"`
	Resource   string `json:"resource,omitempty" maxLength:"600" doc:"The identifier of the API where it is to be used: what that does not know, nobody may use there"`
	Org        string `json:"organization,omitempty" maxLength:"64" doc:"Not yet: there are no organizations"`
}

// Decision is an answer.
type Decision struct {
	Allowed    bool   `json:"allowed"`
	DecisionID string `json:"decision_id"`
	Subject    string `json:"subject"`
	Permission string `json:"permission"`
}

// Explanation is an answer with its why.
type Explanation struct {
	Decision
	Path       []string `json:"path,omitempty" doc:"Where it is allowed: from the subject over its roles to the permission"`
	Reason     string   `json:"reason,omitempty" doc:"Where it is not: why, in a sentence"`
	NarrowedBy string   `json:"narrowed_by,omitempty" doc:"What takes away what the roles would allow: the scope of the credential, the API key, or the client's scopes, or the resource"`
	Missing    []string `json:"missing,omitempty" doc:"Roles any one of which would allow it"`
}

type questions struct {
	Body struct {
		Check
		Checks []Check `json:"checks,omitempty" maxItems:"200" doc:"Many questions instead of one"`
	}
}

// Single is the answer to one question; where there were many, it is empty. It is
// exported for the reason of ByID.
type Single struct {
	Allowed    *bool  `json:"allowed,omitempty"`
	DecisionID string `json:"decision_id,omitempty"`
	Subject    string `json:"subject,omitempty"`
	Permission string `json:"permission,omitempty"`
}

func (d *Decision) alone() Single { return Single{&d.Allowed, d.DecisionID, d.Subject, d.Permission} }

type checked struct {
	Body struct {
		Single
		Decisions []Decision `json:"decisions,omitempty" doc:"The answers to checks, in their order"`
	}
}

type explained struct {
	Body struct {
		Single
		Path       []string      `json:"path,omitempty"`
		Reason     string        `json:"reason,omitempty"`
		NarrowedBy string        `json:"narrowed_by,omitempty"`
		Missing    []string      `json:"missing,omitempty"`
		Decisions  []Explanation `json:"decisions,omitempty" doc:"The answers to checks, in their order"`
	}
}

func (a *API) access() {
	handle(a, operation("check-access", http.MethodPost, "/access/check", "access", "Ask whether somebody may do something"), a.checkAccess)
	handle(a, operation("explain-access", http.MethodPost, "/access/explain", "access", "Ask why somebody may do something, or not"), a.explainAccess)
}

func (a *API) checkAccess(ctx context.Context, in *questions) (*checked, error) {
	found, err := a.decide(ctx, in, "POST /access/check")
	if err != nil {
		return nil, err
	}
	out := &checked{}
	if in.Body.Checks == nil {
		out.Body.Single = found[0].alone()
		return out, nil
	}
	for _, e := range found {
		out.Body.Decisions = append(out.Body.Decisions, e.Decision)
	}
	return out, nil
}

func (a *API) explainAccess(ctx context.Context, in *questions) (*explained, error) {
	found, err := a.decide(ctx, in, "POST /access/explain")
	if err != nil {
		return nil, err
	}
	out := &explained{}
	if in.Body.Checks == nil {
		e := found[0]
		out.Body.Single, out.Body.Path, out.Body.Reason, out.Body.NarrowedBy, out.Body.Missing = e.alone(), e.Path, e.Reason, e.NarrowedBy, e.Missing
		return out, nil
	}
	out.Body.Decisions = found
	return out, nil
}

// decide answers questions, and counts what was decided.
func (a *API) decide(ctx context.Context, in *questions, route string) ([]Explanation, error) {
	list, one := in.Body.Checks, in.Body.Checks == nil
	if one {
		list = []Check{in.Body.Check}
	} else if in.Body.Check != (Check{}) {
		return nil, fault.At("body.checks", "it stands alone: put each question into it")
	}
	by := web.By(ctx)
	found := make([]Explanation, 0, len(list))
	for _, c := range list {
		q, err := a.question(ctx, by, c)
		if err != nil {
			return nil, err
		}
		d, err := a.Access.Decide(ctx, q)
		if err != nil {
			return nil, err
		}
		outcome := audit.Success
		if !d.Allowed {
			outcome = audit.Denied
		}
		a.Count(by.Credential(), route, outcome)
		found = append(found, Explanation{Decision{d.Allowed, d.ID, d.Subject, d.Permission}, d.Path, d.Reason, d.NarrowedBy, d.Missing})
	}
	return found, nil
}

// question reads a question. About oneself anybody may ask, and then the credential
// narrows the answer as it does everything else.
func (a *API) question(ctx context.Context, by principal.Principal, c Check) (access.Question, error) {
	switch {
	case c.Permission == "":
		return access.Question{}, fault.At("body.permission", "it is missing")
	case c.Org != "":
		return access.Question{}, fault.At("body.organization", "there are no organizations so far; leave it out")
	}
	own := by.Holder().String()
	if c.Subject == "" || c.Subject == own {
		return access.Question{Subject: own, Permission: c.Permission, Resource: c.Resource, Scopes: append([]string{}, by.Scopes...), Key: by.Kind == principal.Key}, nil
	}
	if err := a.needs(ctx, by, "roles:read"); err != nil {
		return access.Question{}, err
	}
	if name, ok := strings.CutPrefix(c.Subject, "user:"); ok && !id.Valid(name) { // it tells whose name it is
		if err := a.needs(ctx, by, "users:read"); err != nil {
			return access.Question{}, err
		}
	}
	return access.Question{Subject: c.Subject, Permission: c.Permission, Resource: c.Resource}, nil
}
