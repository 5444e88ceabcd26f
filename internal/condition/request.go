package condition

import (
	"encoding/json"
	"strconv"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

// The types of what is not the request's to name.
const (
	userType   = "User"
	clientType = "Client"
	roleType   = "Role"
	actionType = "Action"
)

// Properties are what a request tells, as encoding/json decodes an object with numbers
// as json.Number.
type Properties map[string]any

// Principal is who acts.
type Principal struct {
	Client     bool // a client that acts for itself, not an account
	ID         string
	Username   string     // of an account
	Email      string     // of an account, if it is verified
	Attributes Properties // the account's own
	Properties Properties // that the request tells
	Roles      []string   // that count, inherited ones too
}

// Object is what is acted on.
type Object struct {
	Type, ID   string
	Properties Properties
}

// Request is what policies are held against.
type Request struct {
	Principal        Principal
	Action           string // the permission
	ActionProperties Properties
	Object           Object
	Context          Properties
}

// cedar returns the request as policies see it. Actions have no attributes in Cedar:
// those of the request stand in context.action, whatever its context says of that.
func (r Request) cedar() (cedar.Request, facts) {
	p := r.Principal
	known := types.RecordMap{"id": types.String(p.ID), "attributes": record(p.Attributes), "properties": record(p.Properties)}
	kind := types.EntityType(clientType)
	if !p.Client {
		kind = userType
		known["username"] = types.String(p.Username)
		if p.Email != "" {
			known["email"] = types.String(p.Email)
		}
	}
	parents := make([]types.EntityUID, len(p.Roles))
	for i, role := range p.Roles {
		parents[i] = types.NewEntityUID(roleType, types.String(role))
	}
	f := facts{
		principal: types.Entity{UID: types.NewEntityUID(kind, types.String(p.ID)), Parents: types.NewEntityUIDSet(parents...), Attributes: types.NewRecord(known)},
		object:    types.Entity{UID: types.NewEntityUID(types.EntityType(r.Object.Type), types.String(r.Object.ID)), Attributes: record(r.Object.Properties)},
	}
	about := values(r.Context)
	about["action"] = record(r.ActionProperties)
	return cedar.Request{
		Principal: f.principal.UID, Action: types.NewEntityUID(actionType, types.String(r.Action)), Resource: f.object.UID, Context: types.NewRecord(about),
	}, f
}

// facts are the entities of one request. What acts is not what the request says of a
// thing of its name.
type facts struct{ principal, object types.Entity }

// Get returns an entity.
func (f facts) Get(uid types.EntityUID) (types.Entity, bool) {
	switch uid {
	case f.principal.UID:
		return f.principal, true
	case f.object.UID:
		return f.object, true
	}
	return types.Entity{}, false
}

func record(p Properties) types.Record { return types.NewRecord(values(p)) }

// values returns those properties that Cedar has values for. The others are left out,
// as if they had not been told: null, numbers that are no whole ones of 64 bits nor
// have up to four decimals, and lists that hold such.
func values(p Properties) types.RecordMap {
	m := make(types.RecordMap, len(p)+1)
	for name, v := range p {
		if c, ok := value(v); ok {
			m[types.String(name)] = c
		}
	}
	return m
}

func value(v any) (types.Value, bool) {
	switch v := v.(type) {
	case bool:
		return types.Boolean(v), true
	case string:
		return types.String(v), true
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return types.Long(n), true
		}
		d, err := types.ParseDecimal(v.String())
		return d, err == nil
	case []any:
		list := make([]types.Value, len(v))
		for i, item := range v {
			c, ok := value(item)
			if !ok {
				return nil, false
			}
			list[i] = c
		}
		return types.NewSet(list...), true
	case map[string]any:
		return record(v), true
	}
	return nil, false
}
