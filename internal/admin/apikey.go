package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// APIKey is an API key as the API shows it.
type APIKey struct {
	ID            string   `json:"id" doc:"It stands in the key, and is no secret"`
	Name          string   `json:"name"`
	Owner         string   `json:"owner" doc:"user:ID or client:ID"`
	Scopes        []string `json:"scopes" doc:"Permissions. Of these it has what its owner holds when it is used"`
	Networks      []string `json:"networks" doc:"From which it may be used; none: from everywhere"`
	Resources     []string `json:"resources" doc:"The APIs that it may be used at; none: at all"`
	RateLimit     int      `json:"rate_limit" doc:"How often it may be used in a minute; 0: no limit"`
	SecretAt      string   `json:"secret_created_at"`
	PreviousUntil string   `json:"previous_secret_until,omitempty" doc:"Until when the secret before works, too"`
	ExpiresAt     *string  `json:"expires_at" doc:"null: never"`
	Expired       bool     `json:"expired"`
	UsedAt        *string  `json:"last_used_at" doc:"null: never. It is written some seconds after the use"`
	UsedFrom      string   `json:"last_used_address,omitempty"`
	CreatedBy     string   `json:"created_by"`
	CreatedAt     string   `json:"created_at"`
	UpdatedAt     string   `json:"updated_at"`
}

// APIKeySecret is an API key with the key itself.
type APIKeySecret struct {
	APIKey
	Key string `json:"key,omitempty" doc:"It is shown this once"`
}

// DayOfUse is how often a key was used on a day.
type DayOfUse struct {
	Day   string `json:"day" doc:"A date in UTC"`
	Count int64  `json:"count"`
}

// APIKeyDetail is an API key with how it is used.
type APIKeyDetail struct {
	APIKey
	Usage []DayOfUse `json:"usage" doc:"The days of the last 30 on which it was used, the newest first"`
}

const daysShown = 30

// ShowAPIKey returns a key as the API shows it.
func ShowAPIKey(k apikey.Key, now time.Time) APIKey {
	v := APIKey{
		ID: k.ID, Name: k.Name, Owner: k.Owner.String(), Scopes: some(k.Scopes), Networks: apikey.FormatNetworks(k.Networks), Resources: some(k.Resources),
		RateLimit: k.Rate, SecretAt: stamp(k.SecretAt), ExpiresAt: stampOr(k.ExpiresAt), Expired: k.Expired(now), UsedAt: stampOr(k.UsedAt), UsedFrom: k.UsedFrom,
		CreatedBy: k.CreatedBy, CreatedAt: stamp(k.CreatedAt), UpdatedAt: stamp(k.UpdatedAt),
	}
	if now.Before(k.Previous) {
		v.PreviousUntil = stamp(k.Previous)
	}
	return v
}

// ShowUsage returns how a key was used as the API shows it.
func ShowUsage(list []apikey.Use) []DayOfUse {
	days := make([]DayOfUse, len(list))
	for i, u := range list {
		days[i] = DayOfUse{u.Day.Format(time.DateOnly), u.Times}
	}
	return days
}

// stampOr returns a time as JSON has it, or nil for none.
func stampOr(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := stamp(t)
	return &text
}

type apiKeyOut struct {
	ETag string `header:"ETag"`
	Body APIKey
}

type apiKeyDetailOut struct {
	ETag string `header:"ETag"`
	Body APIKeyDetail
}

type apiKeyMade struct {
	Made
	ETag string `header:"ETag"`
	Body APIKeySecret
}

type listAPIKeys struct {
	Owner string `query:"owner" maxLength:"128" doc:"Whose: user:ID or client:ID. Another's needs keys:read; one's own if absent"`
	All   bool   `query:"all" doc:"Everybody's; this needs keys:read"`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	After string `query:"after" maxLength:"128" doc:"next of the page before"`
}

type apiKeyPage struct {
	Body struct {
		Items []APIKey `json:"items"`
		Next  *string  `json:"next" doc:"What to send as after for the next page; null at the end"`
	}
}

type createAPIKey struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect, and its answer no key"`
	RawBody        []byte
	Body           struct {
		Name      string   `json:"name"`
		Scopes    []string `json:"scopes" doc:"Permissions that the owner holds"`
		ExpiresIn *int64   `json:"expires_in,omitempty" minimum:"1" maximum:"315360000" doc:"In how many seconds it expires. It must be there, unless this server allows keys without end"`
		Networks  []string `json:"networks,omitempty" doc:"In CIDR notation"`
		Resources []string `json:"resources,omitempty"`
		RateLimit int      `json:"rate_limit,omitempty" minimum:"0" maximum:"1000000"`
		Owner     string   `json:"owner,omitempty" maxLength:"128" doc:"user:ID or client:ID. Another's needs keys:write; oneself if absent"`
	}
}

type changeAPIKey struct {
	ByID
	IfMatch string `header:"If-Match"`
	RawBody []byte
	Body    struct {
		Name      *string  `json:"name,omitempty"`
		Scopes    []string `json:"scopes,omitempty" nullable:"true"`
		Networks  []string `json:"networks,omitempty" nullable:"true"`
		Resources []string `json:"resources,omitempty" nullable:"true"`
		RateLimit *int     `json:"rate_limit,omitempty" nullable:"true" minimum:"0" maximum:"1000000"`
	}
}

type rotateAPIKey struct {
	ByID
	IfMatch string `header:"If-Match"`
	Body    struct {
		Overlap   *int64 `json:"overlap,omitempty" minimum:"0" maximum:"2592000" doc:"For how many seconds the present key works beside the new one: 86400 if it is absent"`
		ExpiresIn *int64 `json:"expires_in,omitempty" minimum:"1" maximum:"315360000" doc:"In how many seconds the new one expires; when the present one would, if it is absent"`
	}
}

func (a *API) apiKeys() {
	handle(a, operation("list-api-keys", http.MethodGet, "/api-keys", "API keys", "List API keys", one), a.listAPIKeys)
	handle(a, operation("create-api-key", http.MethodPost, "/api-keys", "API keys", "Make an API key", created, one), a.createAPIKey)
	handle(a, operation("get-api-key", http.MethodGet, "/api-keys/{id}", "API keys", "Get an API key, and how it is used", one), a.getAPIKey)
	handle(a, operation("update-api-key", http.MethodPatch, "/api-keys/{id}", "API keys", "Change what an API key may do", one, versioned), a.updateAPIKey)
	handle(a, operation("revoke-api-key", http.MethodDelete, "/api-keys/{id}", "API keys", "Revoke an API key: it is refused from then on", one, versioned, empty), a.revokeAPIKey)
	handle(a, operation("rotate-api-key", http.MethodPost, "/api-keys/{id}/rotate", "API keys", "Give an API key another secret", one, versioned), a.rotateAPIKey)
	handle(a, operation("verify-api-key", http.MethodPost, "/api-keys/verify", "API keys", "Ask whether an API key is good, and what it may do", hashing), a.verifyAPIKey)
}

// ownerOf reads whose a key is to be: user:ID, client:ID, or an id alone.
func ownerOf(field, text string) (principal.Owner, error) {
	kind, name, said := strings.Cut(text, ":")
	switch {
	case !said && id.Valid(text), kind == string(principal.User) && id.Valid(name):
		return principal.Owner{Kind: principal.User, ID: text[strings.IndexByte(text, ':')+1:]}, nil
	case !said:
		return principal.Owner{Kind: principal.Service, ID: text}, nil
	case kind == "client" && name != "":
		return principal.Owner{Kind: principal.Service, ID: name}, nil
	}
	return principal.Owner{}, fault.At(field, "it is user: and an id, or client: and an id")
}

// upon returns who asks, with the permission that he needs to do something to a key: for
// one's own none, for another's the one named. Another's is absent for who may not, and
// what is lent needs the permission for those of its own owner, too.
func (a *API) upon(ctx context.Context, k apikey.Key, permission string) (principal.Principal, error) {
	by := web.By(ctx)
	if k.Owner == by.Holder() && !by.Lent() {
		return by, nil
	}
	by.Needs = permission
	err := a.needs(ctx, by, permission)
	if fault.KindOf(err) == fault.Denied {
		err = fault.New(fault.NotFound, "there is no such API key")
	}
	return by, err
}

func (a *API) listAPIKeys(ctx context.Context, in *listAPIKeys) (*apiKeyPage, error) {
	by := web.By(ctx)
	owner := by.Holder()
	if in.All {
		owner = principal.Owner{}
	} else if in.Owner != "" {
		var err error
		if owner, err = ownerOf("query.owner", in.Owner); err != nil {
			return nil, err
		}
	}
	if owner != by.Holder() || by.Lent() {
		if err := a.needs(ctx, by, "keys:read"); err != nil {
			return nil, err
		}
	}
	after, err := a.after(ctx, in.After, "api-keys", owner.String())
	if err != nil {
		return nil, err
	}
	found, err := a.APIKeys.List(ctx, owner, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := &apiKeyPage{}
	page.Body.Items = []APIKey{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		next, err := a.cursor(ctx, found[in.Limit-1].ID, "api-keys", owner.String())
		if err != nil {
			return nil, err
		}
		page.Body.Next = &next
	}
	for _, k := range found {
		page.Body.Items = append(page.Body.Items, ShowAPIKey(k, a.Clock.Now()))
	}
	return page, nil
}

func (a *API) createAPIKey(ctx context.Context, in *createAPIKey) (*apiKeyMade, error) {
	by, err := a.once(ctx, in.IdempotencyKey, "POST /api-keys", in.RawBody)
	if err != nil {
		return nil, err
	}
	b := in.Body
	d := apikey.Draft{Name: b.Name, Owner: by.Holder(), Scopes: b.Scopes, Resources: b.Resources, Rate: b.RateLimit, Lasts: seconds(b.ExpiresIn)}
	if b.Owner != "" {
		if d.Owner, err = ownerOf("body.owner", b.Owner); err != nil {
			return nil, err
		}
	}
	if d.Owner != by.Holder() {
		by.Needs = "keys:write"
		if err := a.needs(ctx, by, by.Needs); err != nil {
			return nil, err
		}
	} else if _, err := client.FirstParty(by.Client); by.Kind == principal.User && err != nil {
		return nil, fault.New(fault.Denied, "an application of others makes no keys of yours: sign in at one of this server's own")
	}
	if d.Networks, err = apikey.ParseNetworks(b.Networks); err != nil {
		return nil, err
	}
	k, fresh, err := a.APIKeys.Create(ctx, by, d)
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		fresh = secret.Text{}
		k, err = a.APIKeys.Fresh(ctx, replayedID(err))
	}
	if err != nil {
		return nil, err
	}
	return a.apiKeyMade(k, fresh, replayed), nil
}

func seconds(n *int64) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(*n) * time.Second
}

func (a *API) apiKeyMade(k apikey.Key, fresh secret.Text, replayed bool) *apiKeyMade {
	made := &apiKeyMade{Made: madeAt(a.URL+"/api-keys/"+k.ID, replayed), ETag: web.ETag(k.Version)}
	made.Body = APIKeySecret{APIKey: ShowAPIKey(k, a.Clock.Now())}
	if !fresh.IsZero() {
		made.Body.Key = fresh.Reveal()
	}
	return made
}

func (a *API) getAPIKey(ctx context.Context, in *ByID) (*apiKeyDetailOut, error) {
	k, err := a.APIKeys.Fresh(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if _, err := a.upon(ctx, k, "keys:read"); err != nil {
		return nil, err
	}
	usage, err := a.APIKeys.Usage(ctx, k.ID, daysShown)
	if err != nil {
		return nil, err
	}
	return &apiKeyDetailOut{ETag: web.ETag(k.Version), Body: APIKeyDetail{ShowAPIKey(k, a.Clock.Now()), ShowUsage(usage)}}, nil
}

// updateAPIKey applies a JSON merge patch (RFC 7396). Where the caller named no
// version, a change of somebody else's in between is not his conflict.
func (a *API) updateAPIKey(ctx context.Context, in *changeAPIKey) (*apiKeyOut, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		k, err := a.APIKeys.Fresh(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		by, err := a.upon(ctx, k, "keys:write")
		if err != nil {
			return nil, err
		}
		if k, err = patchedAPIKey(k, in.RawBody); err != nil {
			return nil, err
		}
		if version != 0 {
			k.Version = version
		}
		k, err = a.APIKeys.Update(ctx, by, k)
		if fault.KindOf(err) == fault.Stale && version == 0 && tries < 3 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &apiKeyOut{ETag: web.ETag(k.Version), Body: ShowAPIKey(k, a.Clock.Now())}, nil
	}
}

// editableAPIKey is what a merge patch of a key is applied to.
type editableAPIKey struct {
	Name      string   `json:"name"`
	Scopes    []string `json:"scopes"`
	Networks  []string `json:"networks"`
	Resources []string `json:"resources"`
	RateLimit int      `json:"rate_limit"`
}

func patchedAPIKey(k apikey.Key, patch []byte) (apikey.Key, error) {
	text, err := json.Marshal(editableAPIKey{k.Name, k.Scopes, apikey.FormatNetworks(k.Networks), k.Resources, k.Rate})
	if err != nil {
		return k, err
	}
	if text, err = mergePatch(text, patch); err != nil {
		return k, err
	}
	var e editableAPIKey
	err = json.Unmarshal(text, &e)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return k, fault.At("body."+wrong.Field, "it is of a wrong type").Because(err)
	} else if err != nil {
		return k, fault.At("body", "it does not fit an API key").Because(err)
	}
	k.Name, k.Scopes, k.Resources, k.Rate = e.Name, e.Scopes, e.Resources, e.RateLimit
	k.Networks, err = apikey.ParseNetworks(e.Networks)
	return k, err
}

func (a *API) rotateAPIKey(ctx context.Context, in *rotateAPIKey) (*apiKeyMade, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	k, err := a.APIKeys.Fresh(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	by, err := a.upon(ctx, k, "keys:write")
	if err != nil {
		return nil, err
	}
	r := apikey.Rotation{Overlap: apikey.Overlap, Version: version}
	if in.Body.Overlap != nil {
		r.Overlap = seconds(in.Body.Overlap)
	}
	if in.Body.ExpiresIn != nil {
		lasts := seconds(in.Body.ExpiresIn)
		r.Lasts = &lasts
	}
	k, fresh, err := a.APIKeys.Rotate(ctx, by, in.ID, r)
	if err != nil {
		return nil, err
	}
	return a.apiKeyMade(k, fresh, false), nil
}

func (a *API) revokeAPIKey(ctx context.Context, in *removeOne) (*struct{}, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	k, err := a.APIKeys.Fresh(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	by, err := a.upon(ctx, k, "keys:write")
	if err != nil {
		return nil, err
	}
	return nil, a.APIKeys.Revoke(ctx, by, in.ID, version)
}
