// Package access answers the one question for whoever can be named: may this
// subject use that permission, and why?
//
// It brings together what an account or a client is (is there one, is it active),
// what roles it has, and what narrows them: a client's scopes, those of the credential
// that asks about itself, and what the API knows where it is to be used.
package access

import (
	"context"
	"strings"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/resource"
)

// Service decides.
type Service struct{ Parts }

// Parts are what it brings together.
type Parts struct {
	Accounts  *account.Service
	Clients   *client.Service
	Policy    *rbac.Policy
	Resources *resource.Service
	Clock     clock.Clock
}

// NewService returns a service.
func NewService(p Parts) *Service { return &Service{p} }

// Question asks whether a subject may use a permission.
type Question struct {
	Subject    string // "user:" and an id or a username, or "client:" and an id
	Permission string
	Resource   string   // where it is to be used, by what its tokens are for; empty for wherever
	Scopes     []string // of the credential that asks about itself; nil for none
	Key        bool     // that is an API key
}

// Decision is the answer.
type Decision struct {
	rbac.Decision
	ID      string // names it in the log
	Subject string // with its id
}

// NarrowedByClient is what a decision was narrowed by where the roles would allow, and
// the client is not registered for the scope.
const NarrowedByClient = "client"

// NarrowedByResource is what a decision was narrowed by where the API does not know the
// permission: no token for it carries it.
const NarrowedByResource = "resource"

// Why whoever is not there may do nothing.
const (
	NoUser   = "There is no such user."
	NoClient = "There is no such client."
)

// narrowedByScope is how package rbac says that the credential does not carry it.
const narrowedByScope = "scope"

// Decide answers a question as things are now, as this process knows them: at most a
// second old. Who is not there, or not active, may do nothing. Faults: Invalid for a
// subject that is none.
func (s *Service) Decide(ctx context.Context, q Question) (Decision, error) {
	d, err := s.decide(ctx, q)
	if err != nil || q.Resource == "" || s.Resources.IsOwn(q.Resource) {
		return d, err
	}
	r, err := s.Resources.ByIdentifier(ctx, q.Resource)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		d.Decision = rbac.Decision{Permission: q.Permission, Reason: "There is no such resource."}
	case err != nil:
		return d, err
	case !r.Registers(q.Permission):
		d.Decision = rbac.Decision{Permission: q.Permission, NarrowedBy: NarrowedByResource, Reason: "The resource does not know this permission: no token for it carries it."}
	}
	return d, nil
}

func (s *Service) decide(ctx context.Context, q Question) (Decision, error) {
	d := Decision{ID: id.New(s.Clock.Now()), Subject: q.Subject}
	d.Permission = q.Permission
	kind, name, ok := strings.Cut(q.Subject, ":")
	if !ok || name == "" || len(name) > 254 {
		return d, noSubject()
	}
	var err error
	switch kind {
	case string(principal.User):
		d, err = s.ofUser(ctx, d, q, name)
	case "client":
		d, err = s.ofClient(ctx, d, q, name)
	default:
		return d, noSubject()
	}
	if q.Key && d.NarrowedBy == narrowedByScope {
		d.NarrowedBy, d.Reason = NarrowedByKey, q.Subject+" has a role that allows it, but this API key does not carry it."
	}
	return d, err
}

func noSubject() error {
	return fault.At("subject", "it is user: and an id or a username, or client: and an id")
}

func (s *Service) ofUser(ctx context.Context, d Decision, q Question, name string) (Decision, error) {
	find := s.Accounts.ByLogin
	if id.Valid(name) {
		find = s.Accounts.User
	}
	u, err := find(ctx, name)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		d.Reason = NoUser
		return d, nil
	case err != nil:
		return d, err
	}
	d.Subject = u.Target()
	if u.Status != account.Active {
		d.Reason = "The account is disabled."
		return d, nil
	}
	d.Decision, err = s.Policy.Explain(ctx, "user:"+u.Username, u.ID, q.Scopes, q.Permission)
	return d, err
}

func (s *Service) ofClient(ctx context.Context, d Decision, q Question, name string) (Decision, error) {
	c, err := s.Clients.Fresh(ctx, name)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		d.Reason = NoClient
		return d, nil
	case err != nil:
		return d, err
	}
	if c.Status != client.Active {
		d.Reason = "The client is disabled."
		return d, nil
	}
	d.Decision, err = s.Policy.Explain(ctx, c.Target(), c.ID, append([]string{}, c.Scopes...), q.Permission)
	if d.NarrowedBy != "" {
		d.NarrowedBy = NarrowedByClient
		d.Reason = c.Target() + " has a role that allows it, but is not registered for this scope."
		return d, err
	}
	if d.Allowed && q.Scopes != nil {
		d.Decision, err = s.Policy.Explain(ctx, c.Target(), c.ID, q.Scopes, q.Permission)
	}
	return d, err
}
