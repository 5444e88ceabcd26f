// Package access answers the one question for whoever can be named: may this
// subject use that permission, and why?
//
// It brings together what an account or a client is (is there one, is it active),
// what roles it has, what conditions say of the request, and what narrows all of
// that: a client's scopes, those of the credential that asks about itself, and what the
// API knows where it is to be used. It keeps decisions for a while, so that they can be looked up.
package access

import (
	"context"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/condition"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/org"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
)

// Parts are what decisions are made of.
type Parts struct {
	Accounts   *account.Service
	Clients    *client.Service
	Policy     *rbac.Policy
	Resources  *resource.Service
	Conditions *condition.Service
	Store      Store
	Orgs       *org.Service
	Clock      clock.Clock
}

// Service decides.
type Service struct {
	Parts
	Log *Log
}

// NewService returns a service over what it brings together.
func NewService(p Parts) *Service { return &Service{Parts: p, Log: newLog()} }

// Question asks whether a subject may use a permission.
type Question struct {
	Subject    string // "user:" and an id or a username, or "client:" and an id
	Permission string
	Resource   string // where it is to be used, by what its tokens are for; empty for wherever
	// Organization is the name of the one within which it is asked; empty for the server
	// as a whole, which is another place: what is held there does not count within one.
	Organization string
	Scopes       []string // of the credential that asks about itself; nil for none
	Key          bool     // that is an API key
	// About is what conditions are told beside that.
	About
}

// About is what a question tells of the matter at hand.
type About struct {
	Object  condition.Object
	Subject condition.Properties // of who acts, beside what this server knows of him
	Action  condition.Properties
	Context condition.Properties
}

// Decision is the answer.
type Decision struct {
	rbac.Decision
	ID      string // names it in the log
	Subject string // with its id
	Object  condition.Object
	// Conditions are the policies that decided where the roles did not, and those that
	// could not be evaluated.
	Conditions []condition.Match

	shown string // the subject as Path and Reason call it
}

// NarrowedByClient is what a decision was narrowed by where roles or conditions would
// allow, and the client is not registered for the scope.
const NarrowedByClient = "client"

// NarrowedByResource is what a decision was narrowed by where the API does not know the
// permission: no token for it carries it.
const NarrowedByResource = "resource"

// Why whoever is not there may do nothing.
const (
	NoUser   = "There is no such user."
	NoClient = "There is no such client."
)

// Decide answers a question as things are now, as this process knows them: at most a
// second old. Who is not there, or not active, may do nothing. Faults: Invalid for a
// subject that is none.
func (s *Service) Decide(ctx context.Context, q Question) (Decision, error) {
	h, reason, err := s.holder(ctx, q.Subject)
	if err != nil {
		return Decision{}, err
	}
	return s.about(ctx, h, reason, q)
}

// DecideUser is Decide for an account that was read already.
func (s *Service) DecideUser(ctx context.Context, u account.User, q Question) (Decision, error) {
	h, reason := holderOfUser(u)
	return s.about(ctx, h, reason, q)
}

// holder is an account or a client that may do something.
type holder struct {
	id, target string
	name       string        // as a path begins with it
	user       *account.User // nil for a client
	scopes     []string      // that a client is registered for; nil for an account
}

func holderOfUser(u account.User) (h holder, reason string) {
	if u.Status != account.Active {
		reason = "The account is disabled."
	}
	return holder{id: u.ID, target: u.Target(), name: "user:" + u.Username, user: &u}, reason
}

func holderOfClient(c client.Client) (h holder, reason string) {
	if c.Status != client.Active {
		reason = "The client is disabled."
	}
	return holder{id: c.ID, target: c.Target(), name: c.Target(), scopes: append([]string{}, c.Scopes...)}, reason
}

func noSubject() error {
	return fault.At("subject", "it is user: and an id or a username, or client: and an id")
}

// holder returns whom a subject names, or why he may do nothing.
func (s *Service) holder(ctx context.Context, subject string) (h holder, reason string, err error) {
	kind, name, ok := strings.Cut(subject, ":")
	if !ok || name == "" || len(name) > 254 {
		return h, "", noSubject()
	}
	switch kind {
	case string(principal.User):
		return s.user(ctx, name)
	case "client":
		return s.client(ctx, name)
	}
	return h, "", noSubject()
}

func (s *Service) user(ctx context.Context, name string) (h holder, reason string, err error) {
	find := s.Accounts.ByLogin
	if id.Valid(name) {
		find = s.Accounts.User
	}
	u, err := find(ctx, name)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return h, NoUser, nil
	case err != nil:
		return h, "", err
	}
	h, reason = holderOfUser(u)
	return h, reason, nil
}

func (s *Service) client(ctx context.Context, name string) (h holder, reason string, err error) {
	c, err := s.Clients.Fresh(ctx, name)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return h, NoClient, nil
	case err != nil:
		return h, "", err
	}
	h, reason = holderOfClient(c)
	return h, reason, nil
}

// settle decides for a holder: by his roles, then by the conditions, and then by what
// narrows both.
func (s *Service) settle(ctx context.Context, d Decision, h holder, q Question) (_ Decision, err error) {
	o, err := s.membership(ctx, q.Organization, h.id)
	switch {
	case fault.KindOf(err) == fault.NotFound: // whether there is one is for its members to know
		d.Reason = h.name + " is not a member of such an organization."
		return d, nil
	case err != nil:
		return d, err
	}
	if d.Decision, err = s.Policy.Explain(ctx, h.name, h.id, nil, q.Permission, o.ID); err != nil {
		return d, err
	}
	if d.Allowed && o.ID != "" {
		d.Path = slices.Insert(d.Path, 1, "organization:"+o.Name)
	}
	if err := s.weigh(ctx, &d, h, q, o.ID); err != nil {
		return d, err
	}
	if d.Allowed && h.scopes != nil && !slices.Contains(h.scopes, d.Permission) {
		d.Decision = rbac.Decision{
			Permission: d.Permission, NarrowedBy: NarrowedByClient,
			Reason: h.name + " could do this, but is not registered for this scope.",
		}
	}
	d.Decision = d.Narrow(h.name, q.Scopes)
	if q.Key && d.NarrowedBy == rbac.NarrowedByScope {
		d.NarrowedBy, d.Reason = NarrowedByKey, q.Subject+" could do this, but this API key does not carry it."
	}
	return d, nil
}

// membership returns the organization of a name, if it has the member; the zero one for
// the server as a whole.
func (s *Service) membership(ctx context.Context, name, id string) (org.Organization, error) {
	if name == "" {
		return org.Organization{}, nil
	}
	return s.Orgs.Membership(ctx, name, id)
}

// within holds a decision against the API where it is to be used, if one is named.
func (s *Service) within(ctx context.Context, d Decision, q Question) (Decision, error) {
	if q.Resource == "" || s.Resources.IsOwn(q.Resource) {
		return d, nil
	}
	r, err := s.Resources.ByIdentifier(ctx, q.Resource)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		d.Decision, d.Conditions = rbac.Decision{Permission: q.Permission, Reason: "There is no such resource."}, nil
	case err != nil:
		return d, err
	case !r.Registers(q.Permission):
		d.Decision, d.Conditions = rbac.Decision{
			Permission: q.Permission, NarrowedBy: NarrowedByResource, Reason: "The resource does not know this permission: no token for it carries it.",
		}, nil
	}
	return d, nil
}

// DecideClient is Decide for a client that was read already.
func (s *Service) DecideClient(ctx context.Context, c client.Client, q Question) (Decision, error) {
	h, reason := holderOfClient(c)
	return s.about(ctx, h, reason, q)
}

// about decides for a holder, or says why he may do nothing.
func (s *Service) about(ctx context.Context, h holder, reason string, q Question) (Decision, error) {
	d := Decision{ID: id.New(s.Clock.Now()), Subject: q.Subject, Object: q.Object}
	d.Permission = q.Permission
	if h.id != "" {
		d.Subject, d.shown = h.target, h.name
	}
	if reason != "" {
		d.Reason = reason
		return s.within(ctx, d, q)
	}
	d, err := s.settle(ctx, d, h, q)
	if err != nil {
		return d, err
	}
	return s.within(ctx, d, q)
}

// Stranger is the decision about a subject that is of no kind that this server knows.
func (s *Service) Stranger(q Question, why string) Decision {
	d := Decision{ID: id.New(s.Clock.Now()), Subject: q.Subject, Object: q.Object}
	d.Permission, d.Reason = q.Permission, why
	return d
}

// Which returns those of some permissions that a question's subject may use.
func (s *Service) Which(ctx context.Context, q Question, permissions []string) ([]string, error) {
	h, reason, err := s.holder(ctx, q.Subject)
	if err != nil || reason != "" {
		return nil, err
	}
	var allowed []string
	for _, q.Permission = range permissions {
		d, err := s.about(ctx, h, "", q)
		if err != nil {
			return nil, err
		}
		if d.Allowed {
			allowed = append(allowed, q.Permission)
		}
	}
	return allowed, nil
}
