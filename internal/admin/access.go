package admin

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/condition"
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
	Org        string `json:"organization,omitempty" maxLength:"64" doc:"The name of the one within which it is asked; that of the token, if it is for one; else the server as a whole"`

	Object  *Object    `json:"object,omitempty" doc:"What is acted on: conditions are told of it"`
	Action  jsonObject `json:"action_properties,omitempty" doc:"What conditions are told of the action, as context.action"`
	Context jsonObject `json:"context,omitempty" doc:"What else conditions are told, as context"`
}

// Object is what is acted on.
type Object struct {
	Type       string     `json:"type" minLength:"1" maxLength:"128"`
	ID         string     `json:"id" minLength:"1" maxLength:"1024"`
	Properties jsonObject `json:"properties,omitempty"`
}

// Decision is an answer.
type Decision struct {
	Allowed    bool   `json:"allowed"`
	DecisionID string `json:"decision_id" doc:"By which /access/decisions tells of it for 7 days"`
	Subject    string `json:"subject"`
	Permission string `json:"permission"`
}

// Explanation is an answer with its why.
type Explanation struct {
	Decision
	Why
}

// Why is how a decision came about.
type Why struct {
	Path       []string `json:"path,omitempty" doc:"Where roles allow it: from the subject over its roles to the permission"`
	Reason     string   `json:"reason,omitempty" doc:"Where it is not allowed: why, in a sentence"`
	NarrowedBy string   `json:"narrowed_by,omitempty" doc:"What takes away what would be allowed: the scope of the credential, the API key, the client's scopes, the resource, or the organization"`
	Missing    []string `json:"missing,omitempty" doc:"Roles any one of which would allow it"`
	Conditions []Policy `json:"conditions,omitempty" doc:"The policies that decided where roles did not, and those that could not be evaluated"`
}

// Policy is a policy of a condition that had a word in a decision.
type Policy struct {
	Name   string `json:"name" doc:"The condition"`
	Effect string `json:"effect" enum:"permit,forbid"`
	Policy string `json:"policy,omitempty" doc:"The policy: its annotation @id, or its place in the condition, from 1"`
	Error  string `json:"error,omitempty" doc:"Why it could not be evaluated. It then permits nothing, and forbids if it is one that forbids"`
}

// ShowWhy returns how a decision came about, as the API shows it.
func ShowWhy(d access.Decision) Why {
	return Why{d.Path, d.Reason, d.NarrowedBy, d.Missing, showPolicies(d.Conditions)}
}

func showPolicies(list []condition.Match) (shown []Policy) {
	for _, m := range list {
		shown = append(shown, Policy{m.Condition, string(m.Effect), m.Policy, m.Error})
	}
	return shown
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
		Why
		Decisions []Explanation `json:"decisions,omitempty" doc:"The answers to checks, in their order"`
	}
}

func (a *API) access() {
	handle(a, operation("check-access", http.MethodPost, "/access/check", "access", "Ask whether somebody may do something"), a.checkAccess)
	handle(a, operation("explain-access", http.MethodPost, "/access/explain", "access", "Ask why somebody may do something, or not"), a.explainAccess)
	handle(a, operation("get-decision", http.MethodGet, "/access/decisions/{id}", "access", "Look up a decision of the last days", one), a.getDecision)
}

func (a *API) checkAccess(ctx context.Context, in *questions) (*checked, error) {
	found, err := a.decide(ctx, in)
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
	found, err := a.decide(ctx, in)
	if err != nil {
		return nil, err
	}
	out := &explained{}
	if in.Body.Checks == nil {
		out.Body.Single, out.Body.Why = found[0].alone(), found[0].Why
		return out, nil
	}
	out.Body.Decisions = found
	return out, nil
}

// decide answers questions.
func (a *API) decide(ctx context.Context, in *questions) ([]Explanation, error) {
	list, one := in.Body.Checks, in.Body.Checks == nil
	if one {
		list = []Check{in.Body.Check}
	} else if !in.Body.empty() {
		return nil, fault.At("body.checks", "it stands alone: put each question into it")
	}
	found := make([]Explanation, 0, len(list))
	for _, c := range list {
		q, err := a.question(ctx, web.By(ctx), c)
		if err != nil {
			return nil, err
		}
		d, err := a.Access.Decide(ctx, q)
		if err != nil {
			return nil, err
		}
		a.decided(ctx, d)
		found = append(found, Explanation{
			Decision{d.Allowed, d.ID, d.Subject, d.Permission}, ShowWhy(d),
		})
	}
	return found, nil
}

func (c Check) empty() bool {
	return c.Subject == "" && c.Permission == "" && c.Resource == "" && c.Org == "" && c.Object == nil && c.Action == nil && c.Context == nil
}

// decided counts a decision, and keeps it for who looks it up.
func (a *API) decided(ctx context.Context, d access.Decision) {
	known := web.Of(ctx)
	outcome := audit.Success
	if !d.Allowed {
		outcome = audit.Denied
	}
	a.Count(cmp.Or(known.By.Credential(), known.By.Holder().String()), known.Route, outcome) // else a client with its secret
	a.Access.Keep(known.By, known.Route, d)
}

// question reads a question. About oneself anybody may ask, and then the credential
// narrows the answer as it does everything else.
func (a *API) question(ctx context.Context, by principal.Principal, c Check) (access.Question, error) {
	if c.Permission == "" {
		return access.Question{}, fault.At("body.permission", "it is missing")
	}
	about, err := c.about()
	if err != nil {
		return access.Question{}, err
	}
	own := by.Holder().String()
	if c.Subject == "" || c.Subject == own {
		name, err := a.organizationOf(ctx, by, c.Org)
		return access.Question{
			Subject: own, Permission: c.Permission, Resource: c.Resource, Organization: name, Scopes: append([]string{}, by.Scopes...), Key: by.Kind == principal.Key, About: about,
		}, err
	}
	if err := a.needs(ctx, by, "roles:read"); err != nil {
		return access.Question{}, err
	}
	if name, ok := strings.CutPrefix(c.Subject, "user:"); ok && !id.Valid(name) { // it tells whose name it is
		if err := a.needs(ctx, by, "users:read"); err != nil {
			return access.Question{}, err
		}
	}
	return access.Question{Subject: c.Subject, Permission: c.Permission, Resource: c.Resource, Organization: c.Org, About: about}, nil
}

// organizationOf returns the organization within which somebody asks about himself: a
// token for one says nothing of any other place.
func (a *API) organizationOf(ctx context.Context, by principal.Principal, asked string) (string, error) {
	if by.Organization == "" {
		return asked, nil
	}
	o, err := a.Orgs.ByID(ctx, by.Organization)
	if err == nil && asked != "" && asked != o.Name {
		err = fault.At("body.organization", "it is not the one that the token is for")
	}
	return o.Name, err
}

// about reads what conditions are told.
func (c Check) about() (about access.About, err error) {
	if c.Object != nil {
		about.Object.Type, about.Object.ID = c.Object.Type, c.Object.ID
		if about.Object.Properties, err = c.Object.Properties.properties(); err != nil {
			return about, err
		}
	}
	if about.Action, err = c.Action.properties(); err != nil {
		return about, err
	}
	about.Context, err = c.Context.properties()
	return about, err
}

// Kept is a decision as it was kept.
type Kept struct {
	Decision
	At       string `json:"at"`
	By       string `json:"by" doc:"Who asked; or who was denied"`
	ClientID string `json:"client_id,omitempty" doc:"The application that he used"`
	Route    string `json:"route"`
	Object   *Named `json:"object,omitempty"`
	Why
}

// Named is what was acted on.
type Named struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

type keptOut struct{ Body Kept }

// ShowDecision returns a decision that was kept, as the API shows it.
func ShowDecision(r access.Record) Kept {
	k := Kept{
		Decision: Decision{r.Allowed, r.ID, r.Subject, r.Permission}, At: stamp(r.At), By: r.By, ClientID: r.Client, Route: r.Route,
		Why: Why{r.Path, r.Reason, r.NarrowedBy, r.Missing, showPolicies(r.Conditions)},
	}
	if r.ObjectType != "" {
		k.Object = &Named{r.ObjectType, r.ObjectID}
	}
	return k
}

func (a *API) getDecision(ctx context.Context, in *ByID) (*keptOut, error) {
	r, err := a.Access.Lookup(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &keptOut{ShowDecision(r)}, nil
}
