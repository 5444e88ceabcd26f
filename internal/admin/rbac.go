package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/web"
)

// Role is a role as the API shows it.
type Role struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Permissions []string `json:"permissions" doc:"Its own, without those it inherits"`
	Inherits    []string `json:"inherits" doc:"The roles whose permissions it has too"`
	Builtin     bool     `json:"builtin" doc:"Built-in roles cannot be changed"`
	CreatedAt   string   `json:"created_at"`
	UpdatedAt   string   `json:"updated_at"`
}

func showRole(r rbac.Role) Role {
	return Role{
		Name: r.Name, Description: r.Description, Permissions: some(r.Permissions), Inherits: some(r.Inherits), Builtin: r.Builtin,
		CreatedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.UpdatedAt),
	}
}

type roleOut struct {
	ETag string `header:"ETag"`
	Body Role
}

type roleMade struct {
	Made
	ETag string `header:"ETag"`
	Body Role
}

func newRoleOut(r rbac.Role) *roleOut { return &roleOut{ETag: web.ETag(r.Version), Body: showRole(r)} }

// ByName is exported for the reason of ByID.
type ByName struct {
	Name string `path:"name" maxLength:"64"`
}

type readRole struct {
	ByName
	IfNoneMatch string `header:"If-None-Match"`
}

type removeRole struct {
	ByName
	IfMatch string `header:"If-Match"`
}

type listRoles struct {
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"200"`
	After string `query:"after" maxLength:"120" doc:"next of the page before"`
}

type rolePage struct {
	Body struct {
		Items []Role  `json:"items"`
		Next  *string `json:"next"`
	}
}

type createRole struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect"`
	RawBody        []byte
	Body           struct {
		Name        string   `json:"name"`
		Description string   `json:"description,omitempty"`
		Permissions []string `json:"permissions,omitempty"`
		Inherits    []string `json:"inherits,omitempty"`
	}
}

type replaceRole struct {
	ByName
	IfMatch string `header:"If-Match"`
	Body    struct {
		Name        string   `json:"name,omitempty" doc:"If given, the name in the path"`
		Description string   `json:"description,omitempty"`
		Permissions []string `json:"permissions,omitempty"`
		Inherits    []string `json:"inherits,omitempty"`
	}
}

func (a *API) roles() {
	handle(a, operation("list-roles", http.MethodGet, "/roles", "roles", "List roles"), a.listRoles)
	handle(a, operation("create-role", http.MethodPost, "/roles", "roles", "Create a role", created), a.createRole)
	handle(a, operation("get-role", http.MethodGet, "/roles/{name}", "roles", "Get a role", one, conditional), a.getRole)
	handle(a, operation("replace-role", http.MethodPut, "/roles/{name}", "roles", "Give a role another content", one, versioned, clashing), a.replaceRole)
	handle(a, operation("delete-role", http.MethodDelete, "/roles/{name}", "roles", "Delete a role and take it from everybody", one, versioned, empty, clashing), a.deleteRole)
}

func (a *API) listRoles(ctx context.Context, in *listRoles) (*rolePage, error) {
	after, err := a.after(ctx, in.After, "roles")
	if err != nil {
		return nil, err
	}
	page := &rolePage{}
	page.Body.Items = []Role{}
	for _, r := range a.Roles.Snapshot().Roles() { // sorted by name
		if r.Name <= after {
			continue
		}
		if len(page.Body.Items) == in.Limit {
			next, err := a.cursor(ctx, page.Body.Items[in.Limit-1].Name, "roles")
			if err != nil {
				return nil, err
			}
			page.Body.Next = &next
			break
		}
		page.Body.Items = append(page.Body.Items, showRole(r))
	}
	return page, nil
}

func (a *API) createRole(ctx context.Context, in *createRole) (*roleMade, error) {
	by, err := a.once(ctx, in.IdempotencyKey, "POST /roles", in.RawBody)
	if err != nil {
		return nil, err
	}
	b := in.Body
	r, err := a.Roles.CreateRole(ctx, by, rbac.Role{Name: b.Name, Description: b.Description, Permissions: b.Permissions, Inherits: b.Inherits})
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		r, err = a.role(replayedID(err))
	}
	if err != nil {
		return nil, err
	}
	return &roleMade{madeAt(a.URL+"/roles/"+r.Name, replayed), web.ETag(r.Version), showRole(r)}, nil
}

func (a *API) role(name string) (rbac.Role, error) {
	r, ok := a.Roles.Snapshot().Role(name)
	if !ok {
		return r, fault.New(fault.NotFound, "there is no such role")
	}
	return r, nil
}

func (a *API) getRole(_ context.Context, in *readRole) (*roleOut, error) {
	r, err := a.role(in.Name)
	if err != nil {
		return nil, err
	}
	out := newRoleOut(r)
	return out, fresh(in.IfNoneMatch, out.ETag)
}

func (a *API) replaceRole(ctx context.Context, in *replaceRole) (*roleOut, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	if _, err := rbac.ParseRoleName(in.Name); err != nil {
		return nil, fault.New(fault.NotFound, "there is no such role").Because(err)
	}
	b := in.Body
	if b.Name != "" && b.Name != in.Name {
		return nil, fault.At("body.name", "a role keeps its name; create another one instead")
	}
	r, err := a.Roles.ReplaceRole(ctx, web.By(ctx), rbac.Role{
		Name: in.Name, Description: b.Description, Permissions: b.Permissions, Inherits: b.Inherits, Version: version,
	})
	if err != nil {
		return nil, err
	}
	return newRoleOut(r), nil
}

func (a *API) deleteRole(ctx context.Context, in *removeRole) (*struct{}, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return nil, a.Roles.DeleteRole(ctx, web.By(ctx), in.Name, version)
}

// Grant is a role that an account has.
type Grant struct {
	ID        string `json:"id"`
	Role      string `json:"role"`
	Group     string `json:"group,omitempty" doc:"The group that it was given to; absent where it was given to the account or the client itself"`
	Org       string `json:"organization,omitempty" doc:"The one within which it counts; absent for the server as a whole"`
	Until     string `json:"until,omitempty" doc:"When it ends; absent if it does not"`
	Reason    string `json:"reason,omitempty"`
	GrantedBy string `json:"granted_by"`
	GrantedAt string `json:"granted_at"`
	Live      bool   `json:"live" doc:"false once it has ended"`
}

func (a *API) showGrant(ctx context.Context, g rbac.Grant) (Grant, error) {
	v := Grant{ID: g.ID, Role: g.Role, Group: g.Group, Until: stamp(g.Until), Reason: g.Reason, GrantedBy: g.By, GrantedAt: stamp(g.At), Live: g.Live(a.Clock.Now())}
	if g.Organization == "" {
		return v, nil
	}
	o, err := a.Orgs.ByID(ctx, g.Organization)
	if fault.KindOf(err) == fault.NotFound { // deleted, and the news of the grant has not come yet
		v.Live = false
		return v, nil
	}
	v.Org = o.Name
	return v, err
}

type grantMade struct {
	Made
	ETag string `header:"ETag"`
	Body Grant
}

type grantPage struct {
	Body struct {
		Items []Grant `json:"items"`
		Next  *string `json:"next" doc:"Always null: all grants are on one page"`
	}
}

type giveRole struct {
	ByID
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect"`
	RawBody        []byte
	Body           struct {
		GrantBody
		Org string `json:"organization,omitempty" maxLength:"64" doc:"Within which it is to count, by name; whom it is given to is a member. Absent: the server as a whole"`
	}
}

// GrantBody is what is asked for of a grant. It is exported for the reason of ByID.
type GrantBody struct {
	Role   string     `json:"role"`
	Until  *time.Time `json:"until,omitempty" doc:"When the grant ends"`
	Reason string     `json:"reason,omitempty" maxLength:"1000"`
}

// of returns the grant for who g says.
func (b GrantBody) of(g rbac.Grant) rbac.Grant {
	g.Role, g.Until, g.Reason = b.Role, end(b.Until), b.Reason
	return g
}

// end returns when something is to end, to what is kept of a time; zero for never.
func end(until *time.Time) time.Time {
	if until == nil {
		return time.Time{}
	}
	return until.UTC().Truncate(time.Microsecond)
}

type takeRole struct {
	ByID
	Role    string `path:"role" maxLength:"64"`
	Org     string `query:"organization" maxLength:"64" doc:"The one within which it was given"`
	IfMatch string `header:"If-Match"`
}

// grantTag is the entity tag of a grant, which never changes: its id.
func grantTag(g rbac.Grant) string { return `"` + g.ID + `"` }

func (a *API) grants() {
	handle(a, operation("list-grants", http.MethodGet, "/users/{id}/roles", "roles", "List the roles of an account", one), a.listGrants)
	handle(a, operation("give-role", http.MethodPost, "/users/{id}/roles", "roles", "Give a role to an account", one, created), a.giveRole)
	handle(a, operation("take-role", http.MethodDelete, "/users/{id}/roles/{role}", "roles", "Take a role from an account", one, versioned, empty, clashing), a.takeRole)
}

// clientGrants are the same for clients that act for themselves.
func (a *API) clientGrants() {
	handle(a, operation("list-client-grants", http.MethodGet, "/clients/{id}/roles", "clients", "List the roles of a client", one), a.listClientGrants)
	handle(a, operation("give-client-role", http.MethodPost, "/clients/{id}/roles", "clients", "Give a role to a client", one, created), a.giveClientRole)
	handle(a, operation("take-client-role", http.MethodDelete, "/clients/{id}/roles/{role}", "clients", "Take a role from a client", one, versioned, empty, clashing), a.takeClientRole)
}

func (a *API) listGrants(ctx context.Context, in *ByID) (*grantPage, error) {
	if _, err := a.Accounts.User(ctx, in.ID); err != nil {
		return nil, err
	}
	return a.grantsOf(ctx, in.ID)
}

func (a *API) listClientGrants(ctx context.Context, in *ByID) (*grantPage, error) {
	if _, err := a.Clients.Fresh(ctx, in.ID); err != nil {
		return nil, err
	}
	return a.grantsOf(ctx, in.ID)
}

func (a *API) grantsOf(ctx context.Context, id string) (*grantPage, error) {
	h, err := a.Roles.Holding(ctx, id)
	if err != nil {
		return nil, err
	}
	page := &grantPage{}
	page.Body.Items = []Grant{}
	for _, g := range h.Grants {
		v, err := a.showGrant(ctx, g)
		if err != nil {
			return nil, err
		}
		page.Body.Items = append(page.Body.Items, v)
	}
	return page, nil
}

func (a *API) giveRole(ctx context.Context, in *giveRole) (*grantMade, error) {
	return a.giveTo(ctx, in, "users", principal.User)
}

func (a *API) giveClientRole(ctx context.Context, in *giveRole) (*grantMade, error) {
	return a.giveTo(ctx, in, "clients", principal.Service)
}

func (a *API) giveTo(ctx context.Context, in *giveRole, where string, kind principal.Kind) (*grantMade, error) {
	where += "/" + in.ID
	by, err := a.once(ctx, in.IdempotencyKey, "POST /"+where+"/roles", in.RawBody)
	if err != nil {
		return nil, err
	}
	asked := in.Body.of(rbac.Grant{Kind: kind, Principal: in.ID})
	if asked.Organization, err = a.organizationID(ctx, in.Body.Org); fault.KindOf(err) == fault.NotFound {
		return nil, fault.At("body.organization", "there is no such organization").Because(err)
	} else if err != nil {
		return nil, err
	}
	return a.give(ctx, by, asked, where)
}

func (a *API) give(ctx context.Context, by principal.Principal, asked rbac.Grant, where string) (*grantMade, error) {
	g, err := a.Roles.GiveGrant(ctx, by, asked)
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		g, err = a.grant(ctx, asked)
	}
	if err != nil {
		return nil, err
	}
	v, err := a.showGrant(ctx, g)
	if err != nil {
		return nil, err
	}
	location := strings.Join([]string{a.URL, where, "roles", g.Role}, "/")
	if v.Org != "" {
		location += "?organization=" + v.Org
	}
	return &grantMade{madeAt(location, replayed), grantTag(g), v}, nil
}

// grant returns the grant that an earlier request made.
func (a *API) grant(ctx context.Context, asked rbac.Grant) (rbac.Grant, error) {
	holder := asked.Principal
	if asked.Group != "" {
		holder = rbac.OfGroup(asked.Group)
	}
	h, err := a.Roles.Holding(ctx, holder)
	if err != nil {
		return rbac.Grant{}, err
	}
	for _, g := range h.Grants {
		if g.Role == asked.Role && g.Organization == asked.Organization && g.Principal == holder {
			return g, nil
		}
	}
	return rbac.Grant{}, fault.New(fault.Conflict, "the role was granted by this request, and taken away since")
}

func (a *API) takeRole(ctx context.Context, in *takeRole) (*struct{}, error) {
	return a.takeFrom(ctx, in, principal.User)
}

func (a *API) takeClientRole(ctx context.Context, in *takeRole) (*struct{}, error) {
	return a.takeFrom(ctx, in, principal.Service)
}

func (a *API) takeFrom(ctx context.Context, in *takeRole, kind principal.Kind) (*struct{}, error) {
	organization, err := a.organizationID(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	return a.take(ctx, rbac.Grant{Kind: kind, Principal: in.ID, Role: in.Role, Organization: organization}, in.IfMatch)
}

func (a *API) take(ctx context.Context, g rbac.Grant, tag string) (*struct{}, error) {
	if tag != "" && tag != "*" {
		g.ID = strings.Trim(tag, `"`)
		if g.ID == "" || grantTag(g) != tag {
			return nil, web.NewProblem(http.StatusPreconditionFailed, "it is not the grant that If-Match names; read it again")
		}
	}
	return nil, a.Roles.TakeGrant(ctx, web.By(ctx), g)
}
