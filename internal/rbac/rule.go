package rbac

import (
	"maps"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/fault"
)

// The grant rule: nobody brings about a permission that he does not hold
// himself, nor touches a principal, or a role, that holds more than he does.
// Every way to hand out rights (a grant, a role, a client's scopes, an API key)
// ends in MayGive, MayTouch or MayChangeRole; what a key has, its owner holds, too.

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

// MayCarry refuses, with a fault of kind Denied that names up to five of them, to let
// an API key have permissions that its owner does not hold.
func MayCarry(owner, carried Set) error {
	if owner.Covers(carried) {
		return nil
	}
	return fault.New(fault.Denied, "a key cannot have what its owner does not hold: %s", some(carried.Minus(owner).Permissions()))
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

// MayChangeRoles returns the roles as they would be after changes, which are one
// step: their order does not count. It refuses them if the actor does not hold all
// that each of the roles holds now and all that it would hold. It reads the roles
// as they are from s; of Before it takes only the name.
//
// Faults: Denied as said; Conflict for a built-in role, for a name that is taken,
// and for the deletion of a role that others inherit; NotFound for a role that is
// not there; Invalid for roles that ApplyRoles refuses and for another name.
func MayChangeRoles(s *Snapshot, actor Set, changes ...RoleChange) (*Snapshot, error) {
	for _, c := range changes {
		if err := mayLeave(s, actor, c); err != nil {
			return nil, err
		}
	}
	next, err := ApplyRoles(s, changes...)
	if err != nil {
		return nil, err
	}
	// Roles that inherit a changed one need no look of their own: they held what it
	// held, so that what they gain is a part of what it gains.
	for _, c := range changes {
		if c.After == nil {
			continue
		}
		if err := MayGive(actor, next.OfRole(c.After.Name)); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// mayLeave holds a role as it is against the actor's permissions.
func mayLeave(s *Snapshot, actor Set, c RoleChange) error {
	if c.Before == nil && c.After == nil {
		return fault.New(fault.Invalid, "there is no role to change")
	}
	if c.Before == nil {
		if _, taken := s.Role(c.After.Name); taken || builtinName(c.After.Name) {
			return fault.New(fault.Conflict, "there is a role named %q already", c.After.Name)
		}
	} else {
		present, ok := s.Role(c.Before.Name)
		if !ok {
			return noSuchRole()
		}
		if present.Builtin {
			return fault.New(fault.Conflict, "the built-in role %q cannot be changed", present.Name)
		}
		if !actor.Covers(s.OfRole(present.Name)) {
			return fault.New(fault.Denied, "you cannot change a role that holds what you do not")
		}
		if c.After != nil && c.After.Name != present.Name {
			return fault.At("name", "a role keeps its name; create another one instead")
		}
	}
	if c.After != nil && c.After.Builtin {
		return fault.New(fault.Conflict, "a role does not become built-in")
	}
	return nil
}

// ApplyRoles returns the snapshot as it would be with roles created, changed if
// there are such, or deleted. It checks no rights, and returns the faults of
// Validate and NewSnapshot; NotFound for the deletion of what is not there; and
// Conflict for that of a role that is built-in, that another one would inherit or
// that a separation names, and where a role would hold what one keeps apart.
func ApplyRoles(s *Snapshot, changes ...RoleChange) (*Snapshot, error) {
	to := make(map[string]*Role, len(changes))
	for _, c := range changes {
		if _, twice := to[c.name()]; twice {
			return nil, fault.New(fault.Invalid, "role %q is changed twice", c.name())
		}
		to[c.name()] = c.After
		if c.After != nil {
			if err := c.After.Validate(); err != nil {
				return nil, err // with the field as the caller knows it
			}
			continue
		}
		if i, ok := s.index[c.name()]; !ok {
			return nil, noSuchRole()
		} else if s.nodes[i].role.Builtin {
			return nil, fault.New(fault.Conflict, "the built-in role %q cannot be deleted", c.name())
		}
	}
	roles := make([]Role, 0, len(s.nodes)+len(changes))
	for i := range s.nodes { // they are not copies
		if _, changed := to[s.nodes[i].role.Name]; !changed {
			roles = append(roles, s.nodes[i].role)
		}
	}
	for _, c := range changes {
		if c.After != nil {
			roles = append(roles, *c.After)
		}
	}
	if err := orphans(roles, to); err != nil {
		return nil, err
	}
	next, err := NewSnapshot(s.version, roles)
	if err != nil {
		return nil, err
	}
	return next.keepApart(s)
}

// orphans returns a fault for a role that goes while one of roles inherits it.
func orphans(roles []Role, to map[string]*Role) error {
	heirs := map[string][]string{}
	for _, r := range roles {
		for _, parent := range r.Inherits {
			if after, changed := to[parent]; changed && after == nil {
				heirs[parent] = append(heirs[parent], r.Name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(heirs)) {
		return fault.New(fault.Conflict, "role %q is inherited by %s: change them first", name, some(sorted(heirs[name])))
	}
	return nil
}

func noSuchRole() error { return fault.New(fault.NotFound, "there is no such role") }
