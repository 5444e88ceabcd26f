package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// InitialToken is an initial access token as the API shows it.
type InitialToken struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Scopes    []string `json:"scopes" doc:"The permissions that clients registered by it may ask for at the most"`
	Uses      int64    `json:"uses_left" doc:"How many clients it may still register"`
	CreatedBy string   `json:"created_by"`
	CreatedAt string   `json:"created_at"`
	ExpiresAt string   `json:"expires_at"`
}

// InitialTokenSecret is a token with its secret.
type InitialTokenSecret struct {
	InitialToken
	Secret string `json:"token,omitempty" doc:"What is shown at POST /oauth2/register. It is shown this once"`
}

// ShowInitialToken returns a token as the API shows it.
func ShowInitialToken(t client.InitialToken) InitialToken {
	return InitialToken{t.ID, t.Name, some(t.Scopes), t.Uses, t.CreatedBy, stamp(t.CreatedAt), stamp(t.ExpiresAt)}
}

type initialTokenOut struct{ Body InitialToken }

type initialTokenMade struct {
	Made
	Body InitialTokenSecret
}

type listInitialTokens struct {
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	After string `query:"after" maxLength:"128" doc:"next of the page before"`
}

type initialTokenPage struct {
	Body struct {
		Items []InitialToken `json:"items"`
		Next  *string        `json:"next" doc:"What to send as after for the next page; null at the end"`
	}
}

type createInitialToken struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect, and its answer no token"`
	RawBody        []byte
	Body           struct {
		Name      string   `json:"name" doc:"For people: whom it is for"`
		Scopes    []string `json:"scopes,omitempty" doc:"Permissions that you hold yourself. The scopes of identity every client may ask for"`
		Uses      int64    `json:"uses,omitempty" minimum:"1" maximum:"10000" doc:"How many clients it may register; 1 if it is absent"`
		ExpiresIn int64    `json:"expires_in,omitempty" minimum:"1" maximum:"31536000" doc:"In how many seconds it expires; 86400 if it is absent"`
	}
}

func (a *API) initialTokens() {
	handle(a, operation("list-registration-tokens", http.MethodGet, "/registration-tokens", "clients", "List the tokens by which clients can be registered"), a.listInitialTokens)
	handle(a, operation("create-registration-token", http.MethodPost, "/registration-tokens", "clients", "Make a token by which clients can be registered", created), a.createInitialToken)
	handle(a, operation("get-registration-token", http.MethodGet, "/registration-tokens/{id}", "clients", "Get such a token", one), a.getInitialToken)
	handle(a, operation("revoke-registration-token", http.MethodDelete, "/registration-tokens/{id}", "clients", "Revoke such a token; the clients that it registered stay", one, empty), a.revokeInitialToken)
}

func (a *API) listInitialTokens(ctx context.Context, in *listInitialTokens) (*initialTokenPage, error) {
	after, err := a.after(ctx, in.After, "registration-tokens")
	if err != nil {
		return nil, err
	}
	found, err := a.Clients.InitialTokens(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := &initialTokenPage{}
	page.Body.Items = []InitialToken{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		next, err := a.cursor(ctx, found[in.Limit-1].ID, "registration-tokens")
		if err != nil {
			return nil, err
		}
		page.Body.Next = &next
	}
	for _, t := range found {
		page.Body.Items = append(page.Body.Items, ShowInitialToken(t))
	}
	return page, nil
}

func (a *API) createInitialToken(ctx context.Context, in *createInitialToken) (*initialTokenMade, error) {
	by, err := a.once(ctx, in.IdempotencyKey, "POST /registration-tokens", in.RawBody)
	if err != nil {
		return nil, err
	}
	b := in.Body
	t, fresh, err := a.Clients.CreateInitialToken(ctx, by, client.InitialDraft{Name: b.Name, Scopes: b.Scopes, Uses: b.Uses, Lasts: time.Duration(b.ExpiresIn) * time.Second})
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		fresh = secret.Text{}
		t, err = a.Clients.InitialToken(ctx, replayedID(err))
	}
	if err != nil {
		return nil, err
	}
	made := &initialTokenMade{Made: madeAt(a.URL+"/registration-tokens/"+t.ID, replayed), Body: InitialTokenSecret{InitialToken: ShowInitialToken(t)}}
	if !fresh.IsZero() {
		made.Body.Secret = fresh.Reveal()
	}
	return made, nil
}

func (a *API) getInitialToken(ctx context.Context, in *ByID) (*initialTokenOut, error) {
	t, err := a.Clients.InitialToken(ctx, in.ID)
	return &initialTokenOut{ShowInitialToken(t)}, err
}

func (a *API) revokeInitialToken(ctx context.Context, in *ByID) (*struct{}, error) {
	return nil, a.Clients.RevokeInitialToken(ctx, web.By(ctx), in.ID)
}
