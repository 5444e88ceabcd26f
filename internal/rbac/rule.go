package rbac

import (
	"slices"
	"time"

	"github.com/doorward/doorward/internal/fault"
)

// The grant rule: nobody brings about a permission that he does not hold
// himself, nor touches a principal, or a role, that holds more than he does.
// Every way to hand out rights (a grant, a role, a client's scopes, an API key)
// ends in one of the three functions below.

// MayGive refuses, with a fault of kind Denied that names up to five of them,
// to give permissions that the actor does not hold.
func MayGive(actor, given Set) error {
	if actor.Covers(given) {
		return nil
	}
	missing := given.Minus(actor).Permissions()
	if len(missing) == 0 { // given is everything
		return fault.New(fault.Denied, "you cannot give every permission")
	}
	return fault.New(fault.Denied, "you cannot give what you do not hold yourself: %s", some(missing))
}

// Lasting returns those of an actor's grants that live now and still will at
// until; a zero until stands for ever. What he gives is held against these: a
// right that ends is not passed on past its end, by a grant or by a role.
func Lasting(grants []Grant, now, until time.Time) []Grant {
	var lasting []Grant
	for _, g := range grants {
		if g.Live(now) && (g.Until.IsZero() || !until.IsZero() && !g.Until.Before(until)) {
			lasting = append(lasting, g)
		}
	}
	return lasting
}

// MayTouch refuses, with a fault of kind Denied, to act on a principal that
// holds a permission which the actor does not hold.
func MayTouch(actor, target Set) error {
	if actor.Covers(target) {
		return nil
	}
	return fault.New(fault.Denied, "you cannot act on somebody who may do what you may not")
}

// MayChangeRole refuses to create a role (before is nil), to change one, or to
// delete one (after is nil) if the actor does not hold all that the role holds
// now and all that it would hold. It reads the role as it is from s; of before
// it takes only the name.
//
// Faults: Denied as said; Conflict for a built-in role, for a name that is
// taken, and for the deletion of a role that others inherit; NotFound for a
// role that is not there; Invalid for a role that ApplyRole refuses and for
// another name.
func MayChangeRole(s *Snapshot, actor Set, before, after *Role) error {
	switch {
	case before == nil && after == nil:
		return fault.New(fault.Invalid, "there is no role to change")
	case before == nil:
		return mayCreate(s, actor, *after)
	}
	present, ok := s.Role(before.Name)
	if !ok {
		return noSuchRole()
	}
	if present.Builtin {
		return fault.New(fault.Conflict, "the built-in role %q cannot be changed", present.Name)
	}
	if !actor.Covers(s.OfRole(present.Name)) {
		return fault.New(fault.Denied, "you cannot change a role that holds what you do not")
	}
	if after == nil {
		_, err := DeleteRole(s, present.Name)
		return err
	}
	if after.Name != present.Name {
		return fault.At("name", "a role keeps its name; create another one instead")
	}
	return mayBecome(s, actor, *after)
}

func mayCreate(s *Snapshot, actor Set, after Role) error {
	if _, taken := s.Role(after.Name); taken || builtinName(after.Name) {
		return fault.New(fault.Conflict, "there is a role named %q already", after.Name)
	}
	return mayBecome(s, actor, after)
}

// mayBecome holds the role as it would be against the actor's permissions.
// Roles that inherit it need no look of their own: they held what it held, so
// that what they gain is a part of what it gains.
func mayBecome(s *Snapshot, actor Set, after Role) error {
	if after.Builtin {
		return fault.New(fault.Conflict, "a role does not become built-in")
	}
	next, err := ApplyRole(s, after)
	if err != nil {
		return err
	}
	return MayGive(actor, next.OfRole(after.Name))
}

// ApplyRole returns the snapshot as it would be with a role created, or changed
// if there is one of its name. It checks no rights, and returns the faults of
// Validate and NewSnapshot.
func ApplyRole(s *Snapshot, after Role) (*Snapshot, error) {
	if err := after.Validate(); err != nil {
		return nil, err // with the field as the caller knows it
	}
	return NewSnapshot(s.version, append(s.without(after.Name), after))
}

// DeleteRole returns the snapshot as it would be without a role. It checks no
// rights. Faults: NotFound; Conflict while the role is built-in or another one
// inherits it.
func DeleteRole(s *Snapshot, name string) (*Snapshot, error) {
	i, ok := s.index[name]
	if !ok {
		return nil, noSuchRole()
	}
	if s.nodes[i].role.Builtin {
		return nil, fault.New(fault.Conflict, "the built-in role %q cannot be deleted", name)
	}
	if heirs := s.names(func(n *node) bool { return slices.Contains(n.parents, i) }); len(heirs) > 0 {
		return nil, fault.New(fault.Conflict, "role %q is inherited by %s: change them first", name, some(heirs))
	}
	return NewSnapshot(s.version, s.without(name))
}

// without returns all roles but one. They are not copies.
func (s *Snapshot) without(name string) []Role {
	roles := make([]Role, 0, len(s.nodes)+1)
	for i := range s.nodes {
		if s.nodes[i].role.Name != name {
			roles = append(roles, s.nodes[i].role)
		}
	}
	return roles
}

func noSuchRole() error { return fault.New(fault.NotFound, "there is no such role") }
