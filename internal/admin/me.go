package admin

import (
	"context"
	"net/http"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// Me is the principal that signed in.
type Me struct {
	User
	EffectiveRoles []string `json:"effective_roles" doc:"The granted roles and all that they inherit"`
	Permissions    []string `json:"permissions" doc:"What the roles allow"`
	Scope          []string `json:"scope" doc:"What this access token carries"`
	Organization   string   `json:"organization,omitempty" doc:"The one that this access token is for: roles and permissions are those within it"`

	Organizations []MyOrganization `json:"organizations" doc:"Those that I belong to"`
}

// MyOrganization is one that somebody belongs to.
type MyOrganization struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	DisplayName string `json:"display_name"`
}

type meOut struct {
	ETag string `header:"ETag"`
	Body Me
}

type changeMe struct {
	IfMatch string `header:"If-Match"`
	RawBody []byte
	Body    struct {
		Name    *string        `json:"name,omitempty" nullable:"true"`
		Profile map[string]any `json:"profile,omitempty" doc:"OpenID Connect profile claims; merged (RFC 7396)"`
	}
}

type changePassword struct {
	Body struct {
		Current string `json:"current_password" format:"password"`
		New     string `json:"new_password" format:"password"`
	}
}

type changedPassword struct {
	Device string `header:"Set-Cookie" doc:"A browser that was known for the account stays so"`
}

func (a *API) me() {
	handle(a, operation("get-me", http.MethodGet, "/users/me", "me", "Who am I, and what may I do"), a.getMe)
	handle(a, operation("update-me", http.MethodPatch, "/users/me", "me", "Change my profile", versioned), a.updateMe)
	handle(a, operation("change-my-password", http.MethodPost, "/users/me/password", "me", "Change my password and end all that is signed in with it", empty, hashing), a.changePassword)
}

// person returns the account of the person who asks.
func person(ctx context.Context) (principal.Principal, error) {
	by := web.By(ctx)
	if by.Kind != principal.User {
		return by, forPeople()
	}
	return by, nil
}

func forPeople() error { return fault.New(fault.Denied, "this is for people who signed in") }

func (a *API) getMe(ctx context.Context, _ *struct{}) (*meOut, error) {
	by := web.By(ctx)
	who := by.Holder() // an API key says whose it is
	if who.Kind != principal.User {
		return nil, forPeople()
	}
	u, err := a.Accounts.User(ctx, who.ID)
	if err != nil {
		return nil, err
	}
	held, err := a.Roles.Using(ctx, who.ID, by.Organization, nil)
	if err != nil {
		return nil, err
	}
	v, err := a.show(ctx, u)
	if err != nil {
		return nil, err
	}
	me := Me{User: v, EffectiveRoles: some(held.Roles()), Permissions: some(held.Permissions()), Scope: some(by.Scopes), Organizations: []MyOrganization{}}
	belongs, err := a.Orgs.Of(ctx, who.ID)
	for _, o := range belongs {
		me.Organizations = append(me.Organizations, MyOrganization{o.ID, o.Name, o.DisplayName})
		if o.ID == by.Organization {
			me.Organization = o.Name
		}
	}
	return &meOut{ETag: web.ETag(u.Version), Body: me}, err
}

// some returns list, or an empty one that JSON writes as [].
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (a *API) updateMe(ctx context.Context, in *changeMe) (*userOut, error) {
	by, err := person(ctx)
	if err != nil {
		return nil, err
	}
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return a.merge(ctx, by.ID, version, in.RawBody)
}

func (a *API) changePassword(ctx context.Context, in *changePassword) (*changedPassword, error) {
	by, err := person(ctx)
	if err != nil {
		return nil, err
	}
	device, err := a.Issuer.ChangePassword(ctx, by, secret.From(in.Body.Current), secret.From(in.Body.New))
	if err != nil {
		return nil, err
	}
	return &changedPassword{a.Cookies.Line(web.DeviceCookie, device, web.DeviceLasts)}, nil
}
