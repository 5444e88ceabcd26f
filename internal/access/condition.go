package access

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/condition"
	"github.com/doorward/doorward/internal/rbac"
)

// weigh holds conditions against what the roles decided: one that forbids counts more
// than they, and one that permits stands in where they do not allow. Neither has a word
// on the permissions of this server's own API, nor on what is no permission.
func (s *Service) weigh(ctx context.Context, d *Decision, h holder, q Question, organization string) error {
	set := s.Conditions.Set()
	if !set.Concerns(d.Permission) || rbac.Managing(d.Permission) {
		return nil
	}
	if _, err := rbac.ParsePermission(d.Permission); err != nil {
		return nil //nolint:nilerr // the roles have said so
	}
	held, err := s.Policy.Using(ctx, h.id, organization, nil)
	if err != nil {
		return err
	}
	who, err := h.principal()
	if err != nil {
		return err
	}
	who.Roles, who.Properties = held.Roles(), q.About.Subject
	v := set.Evaluate(condition.Request{Principal: who, Action: d.Permission, ActionProperties: q.Action, Object: q.Object, Context: q.Context})
	switch {
	case v.Forbidden:
		d.Decision = rbac.Decision{Permission: d.Permission, Reason: because(v.Matches[0])}
		d.Conditions = v.Matches
	case d.Allowed:
	case v.Permitted:
		d.Decision = rbac.Decision{Permission: d.Permission, Allowed: true}
		d.Conditions = v.Matches
	default:
		d.Conditions = v.Errors
	}
	return nil
}

// because says in a sentence which policy forbids.
func because(m condition.Match) string {
	if m.Error != "" {
		return fmt.Sprintf("The condition %q could not be evaluated, and one that forbids then does.", m.Condition)
	}
	return fmt.Sprintf("The condition %q forbids it.", m.Condition)
}

// principal returns a holder as conditions know him.
func (h holder) principal() (condition.Principal, error) {
	if h.user == nil {
		return condition.Principal{Client: true, ID: h.id}, nil
	}
	p := condition.Principal{ID: h.id, Username: h.user.Username}
	if h.user.EmailVerified {
		p.Email = h.user.Email.String()
	}
	var err error
	p.Attributes, err = attributes(h.user)
	return p, err
}

func attributes(u *account.User) (condition.Properties, error) {
	if len(u.Attributes) == 0 {
		return nil, nil
	}
	var p condition.Properties
	d := json.NewDecoder(bytes.NewReader(u.Attributes))
	d.UseNumber()
	err := d.Decode(&p)
	return p, err
}
