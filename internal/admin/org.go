package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/org"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/web"
)

// Organization is an organization as the API shows it.
type Organization struct {
	ID          string `json:"id" doc:"What tokens name it by (org)"`
	Name        string `json:"name"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
	UpdatedAt   string `json:"updated_at"`
}

// ShowOrganization returns an organization as the API shows it.
func ShowOrganization(o org.Organization) Organization {
	return Organization{ID: o.ID, Name: o.Name, DisplayName: o.DisplayName, CreatedAt: stamp(o.CreatedAt), UpdatedAt: stamp(o.UpdatedAt)}
}

// OrganizationMember is who belongs to an organization.
type OrganizationMember struct {
	ID      string   `json:"id" doc:"Of the account or the client"`
	Type    string   `json:"type" doc:"user or client"`
	Name    string   `json:"name" doc:"The username, or the name of the client"`
	Roles   []string `json:"roles" doc:"What it was given within the organization"`
	AddedBy string   `json:"added_by"`
	AddedAt string   `json:"added_at"`
}

type organizationOut struct {
	ETag string `header:"ETag"`
	Body Organization
}

type organizationMade struct {
	Made
	ETag string `header:"ETag"`
	Body Organization
}

type listOrganizations struct {
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	After string `query:"after" maxLength:"128" doc:"next of the page before"`
}

type organizationPage struct {
	Body struct {
		Items []Organization `json:"items"`
		Next  *string        `json:"next" doc:"What to send as after for the next page; null at the end"`
	}
}

type createOrganization struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect"`
	RawBody        []byte
	Body           struct {
		Name        string `json:"name" doc:"a to z, digits, dot, underscore, hyphen; 1 to 64. It never changes"`
		DisplayName string `json:"display_name,omitempty"`
	}
}

type changeOrganization struct {
	ByName
	IfMatch string `header:"If-Match"`
	RawBody []byte
	Body    struct {
		Name        *string `json:"name,omitempty" doc:"If given, the name in the path"`
		DisplayName *string `json:"display_name,omitempty" nullable:"true"`
	}
}

type removeOrganization struct {
	ByName
	IfMatch string `header:"If-Match"`
}

type listOrganizationMembers struct {
	ByName
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	After string `query:"after" maxLength:"128" doc:"next of the page before"`
}

type organizationMemberPage struct {
	Body struct {
		Items []OrganizationMember `json:"items"`
		Next  *string              `json:"next" doc:"What to send as after for the next page; null at the end"`
	}
}

type addOrganizationMember struct {
	ByName
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect"`
	RawBody        []byte
	Body           struct {
		ID   string `json:"id" doc:"Of an account, or of a client"`
		Type string `json:"type,omitempty" enum:"user,client" doc:"user if it is absent"`
	}
}

type organizationMemberMade struct {
	Made
	Body OrganizationMember
}

type removeOrganizationMember struct {
	ByName
	ID string `path:"id" maxLength:"64"`
}

func (a *API) organizations() {
	handle(a, operation("list-organizations", http.MethodGet, "/organizations", "organizations", "List organizations"), a.listOrganizations)
	handle(a, operation("create-organization", http.MethodPost, "/organizations", "organizations", "Make an organization", created), a.createOrganization)
	handle(a, operation("get-organization", http.MethodGet, "/organizations/{name}", "organizations", "Get an organization", one), a.getOrganization)
	handle(a, operation("update-organization", http.MethodPatch, "/organizations/{name}", "organizations", "Change an organization", one, versioned), a.updateOrganization)
	handle(a, operation("delete-organization", http.MethodDelete, "/organizations/{name}", "organizations", "Delete an organization with all roles that are held in it", one, versioned, empty), a.deleteOrganization)
	handle(a, operation("list-organization-members", http.MethodGet, "/organizations/{name}/members", "organizations", "List who belongs to an organization", one), a.listOrganizationMembers)
	handle(a, operation("add-organization-member", http.MethodPost, "/organizations/{name}/members", "organizations", "Make an account or a client a member", one, created), a.addOrganizationMember)
	handle(a, operation("remove-organization-member", http.MethodDelete, "/organizations/{name}/members/{id}", "organizations", "End a membership, with the roles that were held by it", one, empty), a.removeOrganizationMember)
}

func (a *API) listOrganizations(ctx context.Context, in *listOrganizations) (*organizationPage, error) {
	after, err := a.after(ctx, in.After, "organizations")
	if err != nil {
		return nil, err
	}
	found, err := a.Orgs.List(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := &organizationPage{}
	page.Body.Items = []Organization{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		next, err := a.cursor(ctx, found[in.Limit-1].Name, "organizations")
		if err != nil {
			return nil, err
		}
		page.Body.Next = &next
	}
	for _, o := range found {
		page.Body.Items = append(page.Body.Items, ShowOrganization(o))
	}
	return page, nil
}

func (a *API) createOrganization(ctx context.Context, in *createOrganization) (*organizationMade, error) {
	by, err := a.once(ctx, in.IdempotencyKey, "POST /organizations", in.RawBody)
	if err != nil {
		return nil, err
	}
	o, err := a.Orgs.Create(ctx, by, in.Body.Name, in.Body.DisplayName)
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		o, err = a.Orgs.ByID(ctx, replayedID(err))
	}
	if err != nil {
		return nil, err
	}
	return &organizationMade{madeAt(a.URL+"/organizations/"+o.Name, replayed), web.ETag(o.Version), ShowOrganization(o)}, nil
}

func (a *API) getOrganization(ctx context.Context, in *ByName) (*organizationOut, error) {
	o, err := a.Orgs.Fresh(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return &organizationOut{web.ETag(o.Version), ShowOrganization(o)}, nil
}

// updateOrganization applies a JSON merge patch (RFC 7396). Where the caller named no
// version, a change of somebody else's in between is not his conflict.
func (a *API) updateOrganization(ctx context.Context, in *changeOrganization) (*organizationOut, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		o, err := a.Orgs.Fresh(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		if o, err = patchedOrganization(o, in.RawBody); err != nil {
			return nil, err
		}
		if version != 0 {
			o.Version = version
		}
		o, err = a.Orgs.Update(ctx, web.By(ctx), o)
		if fault.KindOf(err) == fault.Stale && version == 0 && tries < 3 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &organizationOut{web.ETag(o.Version), ShowOrganization(o)}, nil
	}
}

// editableOrganization is what a merge patch of an organization is applied to.
type editableOrganization struct {
	Name        string `json:"name"`
	DisplayName string `json:"display_name"`
}

func patchedOrganization(o org.Organization, patch []byte) (org.Organization, error) {
	text, err := json.Marshal(editableOrganization{o.Name, o.DisplayName})
	if err != nil {
		return o, err
	}
	if text, err = mergePatch(text, patch); err != nil {
		return o, err
	}
	var e editableOrganization
	err = json.Unmarshal(text, &e)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return o, fault.At("body."+wrong.Field, "it is of a wrong type").Because(err)
	} else if err != nil {
		return o, fault.At("body", "it does not fit an organization").Because(err)
	}
	if e.Name != o.Name {
		return o, fault.At("body.name", "an organization keeps its name; create another one instead")
	}
	o.DisplayName = e.DisplayName
	return o, nil
}

func (a *API) deleteOrganization(ctx context.Context, in *removeOrganization) (*struct{}, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return nil, a.Orgs.Delete(ctx, web.By(ctx), in.Name, version)
}

// A cursor of members is one of its organization: elsewhere it opens nothing.
func (a *API) listOrganizationMembers(ctx context.Context, in *listOrganizationMembers) (*organizationMemberPage, error) {
	o, err := a.Orgs.Fresh(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	after, err := a.after(ctx, in.After, "members", o.ID)
	if err != nil {
		return nil, err
	}
	found, err := a.Orgs.Members(ctx, o, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := &organizationMemberPage{}
	page.Body.Items = []OrganizationMember{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		next, err := a.cursor(ctx, found[in.Limit-1].Principal, "members", o.ID)
		if err != nil {
			return nil, err
		}
		page.Body.Next = &next
	}
	for _, m := range found {
		v, err := a.organizationMember(ctx, m)
		if err != nil {
			return nil, err
		}
		page.Body.Items = append(page.Body.Items, v)
	}
	return page, nil
}

// organizationMember shows who belongs to an organization, with what he was given there.
func (a *API) organizationMember(ctx context.Context, m org.Member) (OrganizationMember, error) {
	v := OrganizationMember{ID: m.Principal, Type: "user", Name: m.Principal, Roles: []string{}, AddedBy: m.By, AddedAt: stamp(m.At)}
	if m.Kind == principal.Service {
		v.Type = "client"
		c, err := a.Clients.Fresh(ctx, m.Principal)
		if err != nil && fault.KindOf(err) != fault.NotFound { // deleted since the list was read
			return v, err
		}
		v.Name = c.Name
	} else {
		u, err := a.Accounts.User(ctx, m.Principal)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return v, err
		}
		v.Name = u.Username
	}
	h, err := a.Roles.Holding(ctx, m.Principal)
	if err != nil {
		return v, err
	}
	for _, g := range h.Grants {
		if g.Organization == m.Organization && g.Live(a.Clock.Now()) {
			v.Roles = append(v.Roles, g.Role)
		}
	}
	return v, nil
}

func (a *API) addOrganizationMember(ctx context.Context, in *addOrganizationMember) (*organizationMemberMade, error) {
	by, err := a.once(ctx, in.IdempotencyKey, "POST /organizations/"+in.Name+"/members", in.RawBody)
	if err != nil {
		return nil, err
	}
	o, err := a.Orgs.Fresh(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	kind := principal.User
	if in.Body.Type == "client" {
		kind = principal.Service
	}
	m, err := a.Orgs.Add(ctx, by, o, kind, in.Body.ID)
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		m, err = a.Orgs.Member(ctx, o, in.Body.ID)
	}
	if err != nil {
		return nil, err
	}
	v, err := a.organizationMember(ctx, m)
	if err != nil {
		return nil, err
	}
	return &organizationMemberMade{madeAt(a.URL+"/organizations/"+o.Name+"/members/"+m.Principal, replayed), v}, nil
}

func (a *API) removeOrganizationMember(ctx context.Context, in *removeOrganizationMember) (*struct{}, error) {
	o, err := a.Orgs.Fresh(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return nil, a.Orgs.Remove(ctx, web.By(ctx), o, in.ID)
}

// organizationID returns the id of an organization by its name; none for none.
func (a *API) organizationID(ctx context.Context, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	o, err := a.Orgs.Fresh(ctx, name)
	return o.ID, err
}
