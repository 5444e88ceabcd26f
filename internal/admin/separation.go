package admin

import (
	"context"
	"net/http"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/web"
)

// Separation is a set of roles that are kept apart, as the API shows it.
type Separation struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Kind        string   `json:"kind" enum:"static,dynamic"`
	Roles       []string `json:"roles"`
	CreatedAt   string   `json:"created_at"`
	UpdatedAt   string   `json:"updated_at"`
}

// ShowSeparation returns a separation as the API shows it.
func ShowSeparation(p rbac.Separation) Separation {
	return Separation{p.Name, p.Description, string(p.Kind), some(p.Roles), stamp(p.CreatedAt), stamp(p.UpdatedAt)}
}

type separationOut struct {
	ETag string `header:"ETag"`
	Body Separation
}

func newSeparationOut(p rbac.Separation) *separationOut {
	return &separationOut{web.ETag(p.Version), ShowSeparation(p)}
}

type separationMade struct {
	Made
	ETag string `header:"ETag"`
	Body Separation
}

type separationPage struct {
	Body struct {
		Items []Separation `json:"items"`
		Next  *string      `json:"next" doc:"Always null: all are on one page"`
	}
}

type createSeparation struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect"`
	RawBody        []byte
	Body           struct {
		Name        string   `json:"name"`
		Description string   `json:"description,omitempty"`
		Kind        string   `json:"kind" enum:"static,dynamic" doc:"static: nobody holds two of the roles; dynamic: nobody uses two of them in one session or token"`
		Roles       []string `json:"roles" doc:"2 to 50, none of which inherits another"`
	}
}

type replaceSeparation struct {
	ByName
	IfMatch string `header:"If-Match"`
	Body    struct {
		Name        string   `json:"name,omitempty" doc:"If given, the name in the path"`
		Description string   `json:"description,omitempty"`
		Kind        string   `json:"kind" enum:"static,dynamic"`
		Roles       []string `json:"roles"`
	}
}

func (a *API) separations() {
	handle(a, operation("list-separations", http.MethodGet, "/separations", "separations", "List what is kept apart"), a.listSeparations)
	handle(a, operation("create-separation", http.MethodPost, "/separations", "separations", "Keep roles apart", created), a.createSeparation)
	handle(a, operation("get-separation", http.MethodGet, "/separations/{name}", "separations", "Get a separation", one, conditional), a.getSeparation)
	handle(a, operation("replace-separation", http.MethodPut, "/separations/{name}", "separations", "Keep other roles apart", one, versioned, clashing), a.replaceSeparation)
	handle(a, operation("delete-separation", http.MethodDelete, "/separations/{name}", "separations", "Let roles be held together", one, versioned, empty), a.deleteSeparation)
}

func (a *API) listSeparations(ctx context.Context, _ *struct{}) (*separationPage, error) {
	all, err := a.Roles.Separations(ctx)
	if err != nil {
		return nil, err
	}
	page := &separationPage{}
	page.Body.Items = []Separation{}
	for _, p := range all {
		page.Body.Items = append(page.Body.Items, ShowSeparation(p))
	}
	return page, nil
}

func (a *API) createSeparation(ctx context.Context, in *createSeparation) (*separationMade, error) {
	by, err := a.once(ctx, in.IdempotencyKey, "POST /separations", in.RawBody)
	if err != nil {
		return nil, err
	}
	b := in.Body
	p, err := a.Roles.CreateSeparation(ctx, by, rbac.Separation{Name: b.Name, Description: b.Description, Kind: rbac.Apart(b.Kind), Roles: b.Roles})
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		p, err = a.Roles.Separation(ctx, replayedID(err))
	}
	if err != nil {
		return nil, err
	}
	return &separationMade{madeAt(a.URL+"/separations/"+p.Name, replayed), web.ETag(p.Version), ShowSeparation(p)}, nil
}

func (a *API) getSeparation(ctx context.Context, in *readRole) (*separationOut, error) {
	p, err := a.Roles.Separation(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	out := newSeparationOut(p)
	return out, fresh(in.IfNoneMatch, out.ETag)
}

func (a *API) replaceSeparation(ctx context.Context, in *replaceSeparation) (*separationOut, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	b := in.Body
	if b.Name != "" && b.Name != in.Name {
		return nil, fault.At("body.name", "a separation keeps its name; create another one instead")
	}
	if _, err := a.Roles.Separation(ctx, in.Name); err != nil {
		return nil, err
	}
	p, err := a.Roles.ReplaceSeparation(ctx, web.By(ctx), rbac.Separation{
		Name: in.Name, Description: b.Description, Kind: rbac.Apart(b.Kind), Roles: b.Roles, Version: version,
	})
	if err != nil {
		return nil, err
	}
	return newSeparationOut(p), nil
}

func (a *API) deleteSeparation(ctx context.Context, in *removeRole) (*struct{}, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return nil, a.Roles.DeleteSeparation(ctx, web.By(ctx), in.Name, version)
}
