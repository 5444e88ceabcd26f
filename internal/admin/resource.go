package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/web"
)

// Resource is an API that tokens are meant for, as this API shows it.
type Resource struct {
	ID          string       `json:"id"`
	Identifier  string       `json:"identifier" doc:"What tokens for it are for (aud); clients ask for one by it (resource, RFC 8707)"`
	Name        string       `json:"name"`
	Permissions []Permission `json:"permissions" doc:"Those that it knows: a token for it carries no others"`
	AccessTTL   int64        `json:"access_ttl,omitempty" doc:"How many seconds its access tokens live; absent: as long as all others (tokens.access_ttl)"`
	Alg         string       `json:"signing_alg,omitempty" doc:"What its access tokens are signed with; absent: as all others (tokens.signing_alg)"`
	CreatedAt   string       `json:"created_at"`
	UpdatedAt   string       `json:"updated_at"`
}

// Permission is one of an API's, with what people read of it.
type Permission struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// ShowResource returns an API that tokens are meant for as this API shows it.
func ShowResource(r resource.Resource) Resource {
	v := Resource{
		ID: r.ID, Identifier: r.Identifier, Name: r.Name, Permissions: []Permission{}, AccessTTL: int64(r.AccessTTL / time.Second), Alg: string(r.Alg),
		CreatedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.UpdatedAt),
	}
	for _, p := range r.Permissions {
		v.Permissions = append(v.Permissions, Permission(p))
	}
	return v
}

type resourceOut struct {
	ETag string `header:"ETag"`
	Body Resource
}

type resourceMade struct {
	Made
	ETag string `header:"ETag"`
	Body Resource
}

type listResources struct {
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	After string `query:"after" maxLength:"128" doc:"next of the page before"`
}

type resourcePage struct {
	Body struct {
		Items []Resource `json:"items"`
		Next  *string    `json:"next" doc:"What to send as after for the next page; null at the end"`
	}
}

type createResource struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect"`
	RawBody        []byte
	Body           struct {
		ID          string       `json:"id,omitempty" doc:"a to z, digits, dot, underscore, hyphen; 1 to 64. One is made if it is absent"`
		Identifier  string       `json:"identifier" doc:"An absolute URI without a fragment; it never changes"`
		Name        string       `json:"name,omitempty"`
		Permissions []Permission `json:"permissions,omitempty"`
		AccessTTL   int64        `json:"access_ttl,omitempty" minimum:"60" maximum:"86400"`
		Alg         string       `json:"signing_alg,omitempty" enum:"ES256,EdDSA,RS256,PS256"`
	}
}

type changeResource struct {
	ByID
	IfMatch string `header:"If-Match"`
	RawBody []byte
	Body    struct {
		Identifier  *string      `json:"identifier,omitempty" doc:"If given, the one that it has"`
		Name        *string      `json:"name,omitempty" nullable:"true"`
		Permissions []Permission `json:"permissions,omitempty" nullable:"true"`
		AccessTTL   *int64       `json:"access_ttl,omitempty" nullable:"true" minimum:"60" maximum:"86400"`
		Alg         *string      `json:"signing_alg,omitempty" nullable:"true"`
	}
}

func (a *API) resources() {
	handle(a, operation("list-resources", http.MethodGet, "/resources", "resources", "List the APIs that tokens are meant for"), a.listResources)
	handle(a, operation("create-resource", http.MethodPost, "/resources", "resources", "Register an API", created), a.createResource)
	handle(a, operation("get-resource", http.MethodGet, "/resources/{id}", "resources", "Get an API", one), a.getResource)
	handle(a, operation("update-resource", http.MethodPatch, "/resources/{id}", "resources", "Change an API", one, versioned), a.updateResource)
	handle(a, operation("delete-resource", http.MethodDelete, "/resources/{id}", "resources", "Delete an API; tokens for it are refused", one, versioned, empty), a.deleteResource)
}

func (a *API) listResources(ctx context.Context, in *listResources) (*resourcePage, error) {
	after, err := a.after(ctx, in.After, "resources")
	if err != nil {
		return nil, err
	}
	found, err := a.Resources.List(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := &resourcePage{}
	page.Body.Items = []Resource{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		next, err := a.cursor(ctx, found[in.Limit-1].ID, "resources")
		if err != nil {
			return nil, err
		}
		page.Body.Next = &next
	}
	for _, r := range found {
		page.Body.Items = append(page.Body.Items, ShowResource(r))
	}
	return page, nil
}

func (a *API) createResource(ctx context.Context, in *createResource) (*resourceMade, error) {
	by, err := a.once(ctx, in.IdempotencyKey, "POST /resources", in.RawBody)
	if err != nil {
		return nil, err
	}
	b := in.Body
	r, err := a.Resources.Create(ctx, by, resource.Resource{
		ID: b.ID, Identifier: b.Identifier, Name: b.Name, Permissions: permissionsOf(b.Permissions), AccessTTL: time.Duration(b.AccessTTL) * time.Second, Alg: jose.Algorithm(b.Alg),
	})
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		r, err = a.Resources.Fresh(ctx, replayedID(err))
	}
	if err != nil {
		return nil, err
	}
	return &resourceMade{madeAt(a.URL+"/resources/"+r.ID, replayed), web.ETag(r.Version), ShowResource(r)}, nil
}

func permissionsOf(list []Permission) []resource.Permission {
	permissions := make([]resource.Permission, len(list))
	for i, p := range list {
		permissions[i] = resource.Permission(p)
	}
	return permissions
}

func (a *API) getResource(ctx context.Context, in *ByID) (*resourceOut, error) {
	r, err := a.Resources.Fresh(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &resourceOut{web.ETag(r.Version), ShowResource(r)}, nil
}

// updateResource applies a JSON merge patch (RFC 7396). Where the caller named no
// version, a change of somebody else's in between is not his conflict.
func (a *API) updateResource(ctx context.Context, in *changeResource) (*resourceOut, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		r, err := a.Resources.Fresh(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if r, err = patchedResource(r, in.RawBody); err != nil {
			return nil, err
		}
		if version != 0 {
			r.Version = version
		}
		r, err = a.Resources.Update(ctx, web.By(ctx), r)
		if fault.KindOf(err) == fault.Stale && version == 0 && tries < 3 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &resourceOut{web.ETag(r.Version), ShowResource(r)}, nil
	}
}

// editableResource is what a merge patch of an API is applied to.
type editableResource struct {
	Identifier  string       `json:"identifier"`
	Name        string       `json:"name"`
	Permissions []Permission `json:"permissions"`
	AccessTTL   int64        `json:"access_ttl"`
	Alg         string       `json:"signing_alg"`
}

func patchedResource(r resource.Resource, patch []byte) (resource.Resource, error) {
	v := ShowResource(r)
	text, err := json.Marshal(editableResource{v.Identifier, v.Name, v.Permissions, v.AccessTTL, v.Alg})
	if err != nil {
		return r, err
	}
	if text, err = mergePatch(text, patch); err != nil {
		return r, err
	}
	var e editableResource
	err = json.Unmarshal(text, &e)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return r, fault.At("body."+wrong.Field, "it is of a wrong type").Because(err)
	} else if err != nil {
		return r, fault.At("body", "it does not fit a resource").Because(err)
	}
	r.Identifier, r.Name, r.Permissions, r.AccessTTL, r.Alg = e.Identifier, e.Name, permissionsOf(e.Permissions), time.Duration(e.AccessTTL)*time.Second, jose.Algorithm(e.Alg)
	if r.Name == "" {
		r.Name = r.ID
	}
	return r, nil
}

func (a *API) deleteResource(ctx context.Context, in *removeOne) (*struct{}, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return nil, a.Resources.Delete(ctx, web.By(ctx), in.ID, version)
}
