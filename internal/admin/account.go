package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// User is an account as the API shows it.
type User struct {
	ID            string          `json:"id"`
	Username      string          `json:"username"`
	Email         string          `json:"email" doc:"Empty if there is none"`
	EmailVerified bool            `json:"email_verified"`
	Status        string          `json:"status" enum:"active,disabled"`
	Name          string          `json:"name"`
	Profile       account.Profile `json:"profile"`
	Attributes    jsonObject      `json:"attributes" doc:"A JSON object"`
	HasPassword   bool            `json:"has_password"`
	Roles         []string        `json:"roles" doc:"The roles that were granted on the server as a whole, also to groups that the account is in, without those that they inherit"`
	CreatedAt     string          `json:"created_at"`
	UpdatedAt     string          `json:"updated_at"`
	SignedInAt    string          `json:"signed_in_at,omitempty" doc:"Absent if never"`
	LockedUntil   string          `json:"locked_until,omitempty" doc:"When devices that are not known may try again; absent if they may now, and in lists"`
}

func (a *API) show(ctx context.Context, u account.User) (User, error) {
	v := User{
		ID: u.ID, Username: u.Username, Email: u.Email.String(), EmailVerified: u.EmailVerified, Status: string(u.Status), Name: u.Name,
		Profile: u.Profile, Attributes: jsonObject(u.Attributes), HasPassword: u.HasPassword, Roles: []string{}, CreatedAt: stamp(u.CreatedAt), UpdatedAt: stamp(u.UpdatedAt), SignedInAt: stamp(u.SignedInAt),
	}
	h, err := a.Roles.Holding(ctx, u.ID)
	if err != nil {
		return v, err
	}
	now := a.Clock.Now()
	for _, g := range h.Grants {
		if g.Live(now) && g.Organization == "" && !slices.Contains(v.Roles, g.Role) { // two groups may give the same
			v.Roles = append(v.Roles, g.Role)
		}
	}
	return v, nil
}

// stamp writes a time as every time in JSON is written; "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(audit.TimeFormat)
}

type userOut struct {
	ETag string `header:"ETag"`
	Body User
}

// Made are the headers of an answer to what made something. It is exported for the
// reason of ByID.
type Made struct {
	Location string `header:"Location"`
	Replayed string `header:"Idempotency-Replayed" doc:"true where an earlier request with the key had made it"`
}

func madeAt(location string, replayed bool) Made {
	m := Made{Location: location}
	if replayed {
		m.Replayed = "true"
	}
	return m
}

type userMade struct {
	Made
	ETag string `header:"ETag"`
	Body User
}

// The tag is that of what a PATCH changes. Roles and the last sign-in come and go
// without it, so that no GET of an account is answered with 304.
func (a *API) userOut(ctx context.Context, u account.User) (*userOut, error) {
	v, err := a.show(ctx, u)
	return &userOut{ETag: web.ETag(u.Version), Body: v}, err
}

// ByID is exported because huma reads no parameters from an embedded struct that
// is not.
type ByID struct {
	ID string `path:"id" maxLength:"64"`
}

type removeOne struct {
	ByID
	IfMatch string `header:"If-Match"`
}

type listUsers struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	After  string `query:"after" maxLength:"128" doc:"next of the page before"`
	Q      string `query:"q" maxLength:"254" doc:"How the username or the email begins"`
	Status string `query:"status" enum:"active,disabled"`
}

type userPage struct {
	Body struct {
		Items []User  `json:"items"`
		Next  *string `json:"next" doc:"What to send as after for the next page; null at the end"`
	}
}

type createUser struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect"`
	RawBody        []byte
	Body           struct {
		Username   string           `json:"username" doc:"a to z, digits, dot, underscore, hyphen; 1 to 64"`
		Email      string           `json:"email,omitempty"`
		Password   string           `json:"password,omitempty" format:"password"`
		Name       string           `json:"name,omitempty"`
		Profile    *account.Profile `json:"profile,omitempty"`
		Attributes jsonObject       `json:"attributes,omitempty" doc:"A JSON object"`
	}
}

type changeUser struct {
	ByID
	IfMatch string `header:"If-Match"`
	RawBody []byte
	Body    struct {
		Username      *string    `json:"username,omitempty"`
		Email         *string    `json:"email,omitempty" nullable:"true"`
		EmailVerified *bool      `json:"email_verified,omitempty" nullable:"false" doc:"That you know that the address is his, or not: he may sign in with it. Nobody says it of himself. false if email changes without it"`
		Status        *string    `json:"status,omitempty" enum:"active,disabled"`
		Name          *string    `json:"name,omitempty" nullable:"true"`
		Profile       jsonObject `json:"profile,omitempty" doc:"OpenID Connect profile claims; merged (RFC 7396)"`
		Attributes    jsonObject `json:"attributes,omitempty" doc:"A JSON object; merged (RFC 7396)"`
	}
}

func (a *API) users() {
	handle(a, operation("list-users", http.MethodGet, "/users", "users", "List accounts"), a.listUsers)
	handle(a, operation("create-user", http.MethodPost, "/users", "users", "Create an account", created, hashing), a.createUser)
	handle(a, operation("get-user", http.MethodGet, "/users/{id}", "users", "Get an account", one), a.getUser)
	handle(a, operation("update-user", http.MethodPatch, "/users/{id}", "users", "Change an account", one, versioned, clashing), a.updateUser)
	handle(a, operation("delete-user", http.MethodDelete, "/users/{id}", "users", "Delete an account", one, versioned, empty, clashing), a.deleteUser)
}

func (a *API) listUsers(ctx context.Context, in *listUsers) (*userPage, error) {
	after, err := a.after(ctx, in.After, "users", in.Q, in.Status)
	if err != nil {
		return nil, err
	}
	found, err := a.Accounts.List(ctx, account.Filter{Status: account.Status(in.Status), Prefix: in.Q, After: after, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	page := &userPage{}
	page.Body.Items = []User{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		next, err := a.cursor(ctx, found[in.Limit-1].ID, "users", in.Q, in.Status)
		if err != nil {
			return nil, err
		}
		page.Body.Next = &next
	}
	for _, u := range found {
		v, err := a.show(ctx, u)
		if err != nil {
			return nil, err
		}
		page.Body.Items = append(page.Body.Items, v)
	}
	return page, nil
}

func (a *API) createUser(ctx context.Context, in *createUser) (*userMade, error) {
	by, err := a.once(ctx, in.IdempotencyKey, "POST /users", in.RawBody)
	if err != nil {
		return nil, err
	}
	d := account.Draft{Username: in.Body.Username, Email: in.Body.Email, Name: in.Body.Name, Attributes: json.RawMessage(in.Body.Attributes)}
	if in.Body.Profile != nil {
		d.Profile = *in.Body.Profile
	}
	if in.Body.Password != "" && by.Lent() {
		return nil, fault.New(fault.Denied, "an API key, or a token that was exchanged, sets no passwords: make the account without one")
	}
	if in.Body.Password != "" {
		d.Hash, err = a.Issuer.SetPassword(ctx, by.Origin.Network, secret.From(in.Body.Password), in.Body.Username, in.Body.Email, in.Body.Name)
		if err != nil {
			return nil, err
		}
	}
	u, err := a.Accounts.Create(ctx, by, d)
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		u, err = a.Accounts.Fresh(ctx, replayedID(err))
	}
	if err != nil {
		return nil, err
	}
	out, err := a.userOut(ctx, u)
	if err != nil {
		return nil, err
	}
	return &userMade{madeAt(a.URL+"/users/"+u.ID, replayed), out.ETag, out.Body}, nil
}

// replayedID returns the id of what the first request made.
func replayedID(err error) string {
	f, _ := faultOf(err)
	_, id, _ := strings.Cut(f.ID, ":")
	return id
}

func (a *API) getUser(ctx context.Context, in *ByID) (*userOut, error) {
	u, err := a.Accounts.Fresh(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out, err := a.userOut(ctx, u)
	if err != nil {
		return nil, err
	}
	out.Body.LockedUntil = a.lockedUntil(ctx, u.ID)
	return out, nil
}

func (a *API) updateUser(ctx context.Context, in *changeUser) (*userOut, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return a.merge(ctx, in.ID, version, in.RawBody)
}

// editable is what a merge patch of an account is applied to.
type editable struct {
	Username      string          `json:"username"`
	Email         string          `json:"email"`
	EmailVerified *bool           `json:"email_verified,omitempty"` // only what the patch says: what it was is not said again
	Status        string          `json:"status"`
	Name          string          `json:"name"`
	Profile       account.Profile `json:"profile"`
	Attributes    json.RawMessage `json:"attributes"`
}

// merge applies a JSON merge patch (RFC 7396) to an account. Where the caller
// named no version, a change of somebody else's in between is not his conflict:
// the patch is applied again.
func (a *API) merge(ctx context.Context, id string, version int64, patch []byte) (*userOut, error) {
	for tries := 0; ; tries++ {
		u, err := a.Accounts.Fresh(ctx, id)
		if err != nil {
			return nil, err
		}
		change, err := merged(u, patch)
		if err != nil {
			return nil, err
		}
		change.Version = u.Version
		if version != 0 {
			change.Version = version
		}
		u, err = a.Accounts.Update(ctx, web.By(ctx), id, change)
		if fault.KindOf(err) == fault.Stale && version == 0 && tries < 3 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return a.userOut(ctx, u)
	}
}

func merged(u account.User, patch []byte) (account.Change, error) {
	said, err := object(patch)
	if err != nil {
		return account.Change{}, fault.At("body", "a merge patch is a JSON object").Because(err)
	}
	if verified, ok := said["email_verified"]; ok && verified == nil { // huma takes null for what is absent
		return account.Change{}, fault.At("body.email_verified", "it is true or false")
	}
	before := editable{Username: u.Username, Email: u.Email.String(), Status: string(u.Status), Name: u.Name, Profile: u.Profile, Attributes: u.Attributes}
	text, err := json.Marshal(before)
	if err != nil {
		return account.Change{}, err
	}
	if text, err = mergePatch(text, patch); err != nil {
		return account.Change{}, err
	}
	after, err := edited(text)
	if err != nil {
		return account.Change{}, err
	}
	if after.Attributes == nil { // null took them away
		after.Attributes = json.RawMessage("{}")
	}
	status := account.Status(after.Status)
	return account.Change{
		Username: &after.Username, Email: &after.Email, EmailVerified: after.EmailVerified, Status: &status, Name: &after.Name,
		Profile: &after.Profile, Attributes: after.Attributes,
	}, nil
}

// edited reads an account to which a patch was applied.
func edited(text []byte) (editable, error) {
	var named struct {
		Profile map[string]json.RawMessage `json:"profile"`
	}
	_ = json.Unmarshal(text, &named) // what is no object is told below
	for name := range named.Profile {
		if !claims[name] { // encoding/json would take Given_Name for given_name
			return editable{}, fault.At("body.profile."+bounded(name, 64), "a profile has no such claim")
		}
	}
	var e editable
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&e)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return editable{}, fault.At("body."+wrong.Field, "it is of a wrong type").Because(err)
	} else if err != nil {
		return editable{}, fault.At("body", "it does not fit an account").Because(err)
	}
	return e, nil
}

// claims are the names that a profile may hold.
var claims = func() map[string]bool {
	names := map[string]bool{}
	for f := range reflect.TypeFor[account.Profile]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names[name] = true
	}
	return names
}()

func (a *API) deleteUser(ctx context.Context, in *removeOne) (*struct{}, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return nil, a.Accounts.Delete(ctx, web.By(ctx), in.ID, version, false)
}
