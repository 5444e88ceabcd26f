package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/web"
)

// Group is a group as the API shows it.
type Group struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	CreatedAt   string `json:"created_at"`
	UpdatedAt   string `json:"updated_at"`
}

// ShowGroup returns a group as the API shows it.
func ShowGroup(g rbac.Group) Group {
	return Group{g.Name, g.Description, stamp(g.CreatedAt), stamp(g.UpdatedAt)}
}

// Member is somebody's place in a group.
type Member struct {
	ID      string `json:"id" doc:"Of the account or the client"`
	Kind    string `json:"kind" enum:"user,service" doc:"user for an account, service for a client"`
	Until   string `json:"until,omitempty" doc:"When it ends; absent if it does not"`
	Reason  string `json:"reason,omitempty"`
	AddedBy string `json:"added_by"`
	AddedAt string `json:"added_at"`
	Live    bool   `json:"live" doc:"false once it has ended"`
}

// ShowMember returns a member as the API shows it.
func ShowMember(m rbac.Member, now time.Time) Member {
	return Member{m.Principal, string(m.Kind), stamp(m.Until), m.Reason, m.By, stamp(m.At), m.Live(now)}
}

type groupOut struct {
	ETag string `header:"ETag"`
	Body Group
}

func newGroupOut(g rbac.Group) *groupOut { return &groupOut{web.ETag(g.Version), ShowGroup(g)} }

type groupMade struct {
	Made
	ETag string `header:"ETag"`
	Body Group
}

type groupPage struct {
	Body struct {
		Items []Group `json:"items"`
		Next  *string `json:"next" doc:"What to send as after for the next page; null at the end"`
	}
}

type memberMade struct {
	Made
	Body Member
}

type memberPage struct {
	Body struct {
		Items []Member `json:"items"`
		Next  *string  `json:"next" doc:"What to send as after for the next page; null at the end"`
	}
}

type createGroup struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect"`
	RawBody        []byte
	Body           struct {
		Name        string `json:"name"`
		Description string `json:"description,omitempty"`
	}
}

type changeGroup struct {
	ByName
	IfMatch string `header:"If-Match"`
	RawBody []byte
	Body    struct {
		Description *string `json:"description,omitempty" nullable:"true"`
	}
}

type listMembers struct {
	ByName
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	After string `query:"after" maxLength:"128" doc:"next of the page before"`
}

type addMember struct {
	ByName
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect"`
	RawBody        []byte
	Body           struct {
		ID     string     `json:"id" maxLength:"64" doc:"Of the account or the client"`
		Kind   string     `json:"kind,omitempty" enum:"user,service" doc:"user if it is absent"`
		Until  *time.Time `json:"until,omitempty" doc:"When it ends"`
		Reason string     `json:"reason,omitempty" maxLength:"1000"`
	}
}

type removeMember struct {
	ByName
	ID string `path:"id" maxLength:"64"`
}

type giveGroupRole struct {
	ByName
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect"`
	RawBody        []byte
	Body           GrantBody
}

type takeGroupRole struct {
	ByName
	Role    string `path:"role" maxLength:"64"`
	IfMatch string `header:"If-Match"`
}

func (a *API) groups() {
	handle(a, operation("list-groups", http.MethodGet, "/groups", "groups", "List groups"), a.listGroups)
	handle(a, operation("create-group", http.MethodPost, "/groups", "groups", "Create a group", created), a.createGroup)
	handle(a, operation("get-group", http.MethodGet, "/groups/{name}", "groups", "Get a group", one, conditional), a.getGroup)
	handle(a, operation("update-group", http.MethodPatch, "/groups/{name}", "groups", "Change what is said of a group", one, versioned), a.updateGroup)
	handle(a, operation("delete-group", http.MethodDelete, "/groups/{name}", "groups", "Delete a group: who is in it loses what it was given", one, versioned, empty, clashing), a.deleteGroup)

	handle(a, operation("list-members", http.MethodGet, "/groups/{name}/members", "groups", "List who is in a group", one), a.listMembers)
	handle(a, operation("add-member", http.MethodPost, "/groups/{name}/members", "groups", "Bring somebody into a group: to give him all its roles", one, created), a.addMember)
	handle(a, operation("remove-member", http.MethodDelete, "/groups/{name}/members/{id}", "groups", "Take somebody out of a group", one, empty, clashing), a.removeMember)

	handle(a, operation("list-group-grants", http.MethodGet, "/groups/{name}/roles", "groups", "List the roles of a group", one), a.listGroupGrants)
	handle(a, operation("give-group-role", http.MethodPost, "/groups/{name}/roles", "groups", "Give a role to a group: to all who are in it", one, created), a.giveGroupRole)
	handle(a, operation("take-group-role", http.MethodDelete, "/groups/{name}/roles/{role}", "groups", "Take a role from a group", one, versioned, empty, clashing), a.takeGroupRole)
}

func (a *API) listGroups(ctx context.Context, in *listRoles) (*groupPage, error) {
	after, err := a.after(ctx, in.After, "groups")
	if err != nil {
		return nil, err
	}
	found, err := a.Roles.Groups(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := &groupPage{}
	page.Body.Items = []Group{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		next, err := a.cursor(ctx, found[in.Limit-1].Name, "groups")
		if err != nil {
			return nil, err
		}
		page.Body.Next = &next
	}
	for _, g := range found {
		page.Body.Items = append(page.Body.Items, ShowGroup(g))
	}
	return page, nil
}

func (a *API) createGroup(ctx context.Context, in *createGroup) (*groupMade, error) {
	by, err := a.once(ctx, in.IdempotencyKey, "POST /groups", in.RawBody)
	if err != nil {
		return nil, err
	}
	g, err := a.Roles.CreateGroup(ctx, by, rbac.Group{Name: in.Body.Name, Description: in.Body.Description})
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		g, err = a.Roles.Group(ctx, replayedID(err))
	}
	if err != nil {
		return nil, err
	}
	return &groupMade{madeAt(a.URL+"/groups/"+g.Name, replayed), web.ETag(g.Version), ShowGroup(g)}, nil
}

func (a *API) getGroup(ctx context.Context, in *readRole) (*groupOut, error) {
	g, err := a.Roles.Group(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	out := newGroupOut(g)
	return out, fresh(in.IfNoneMatch, out.ETag)
}

// updateGroup applies a JSON merge patch (RFC 7396). Where the caller named no
// version, a change of somebody else's in between is not his conflict.
func (a *API) updateGroup(ctx context.Context, in *changeGroup) (*groupOut, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	g, err := a.Roles.Group(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	var e struct {
		Description string `json:"description"`
	}
	e.Description = g.Description
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	if text, err = mergePatch(text, in.RawBody); err != nil {
		return nil, err
	}
	e.Description = ""
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, fault.At("body.description", "it is of a wrong type").Because(err)
	}
	g, err = a.Roles.UpdateGroup(ctx, web.By(ctx), rbac.Group{Name: in.Name, Description: e.Description, Version: version})
	if err != nil {
		return nil, err
	}
	return newGroupOut(g), nil
}

func (a *API) deleteGroup(ctx context.Context, in *removeRole) (*struct{}, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return nil, a.Roles.DeleteGroup(ctx, web.By(ctx), in.Name, version)
}

func (a *API) listMembers(ctx context.Context, in *listMembers) (*memberPage, error) {
	if _, err := a.Roles.Group(ctx, in.Name); err != nil {
		return nil, err
	}
	after, err := a.after(ctx, in.After, "members", in.Name)
	if err != nil {
		return nil, err
	}
	found, err := a.Roles.Members(ctx, in.Name, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := &memberPage{}
	page.Body.Items = []Member{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		next, err := a.cursor(ctx, found[in.Limit-1].Principal, "members", in.Name)
		if err != nil {
			return nil, err
		}
		page.Body.Next = &next
	}
	for _, m := range found {
		page.Body.Items = append(page.Body.Items, ShowMember(m, a.Clock.Now()))
	}
	return page, nil
}

func (a *API) addMember(ctx context.Context, in *addMember) (*memberMade, error) {
	by, err := a.once(ctx, in.IdempotencyKey, "POST /groups/"+in.Name+"/members", in.RawBody)
	if err != nil {
		return nil, err
	}
	b := in.Body
	m, err := a.Roles.AddMember(ctx, by, rbac.Member{Group: in.Name, Kind: principal.Kind(b.Kind), Principal: b.ID, Until: end(b.Until), Reason: b.Reason})
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		m, err = a.Roles.Member(ctx, in.Name, b.ID)
	}
	if err != nil {
		return nil, err
	}
	return &memberMade{madeAt(a.URL+"/groups/"+in.Name+"/members/"+m.Principal, replayed), ShowMember(m, a.Clock.Now())}, nil
}

func (a *API) removeMember(ctx context.Context, in *removeMember) (*struct{}, error) {
	return nil, a.Roles.RemoveMember(ctx, web.By(ctx), in.Name, in.ID)
}

func (a *API) listGroupGrants(ctx context.Context, in *ByName) (*grantPage, error) {
	if _, err := a.Roles.Group(ctx, in.Name); err != nil {
		return nil, err
	}
	return a.grantsOf(ctx, rbac.OfGroup(in.Name))
}

func (a *API) giveGroupRole(ctx context.Context, in *giveGroupRole) (*grantMade, error) {
	by, err := a.once(ctx, in.IdempotencyKey, "POST /groups/"+in.Name+"/roles", in.RawBody)
	if err != nil {
		return nil, err
	}
	return a.give(ctx, by, in.Body.of(rbac.Grant{Group: in.Name}), "groups/"+in.Name)
}

func (a *API) takeGroupRole(ctx context.Context, in *takeGroupRole) (*struct{}, error) {
	return a.take(ctx, rbac.Grant{Group: in.Name, Role: in.Role}, in.IfMatch)
}
