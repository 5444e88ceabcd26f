package admin

import (
	"context"
	"net/http"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/web"
)

// Exchange is a rule of which tokens a client may exchange, as the API shows it.
type Exchange struct {
	ID            string `json:"id"`
	From          string `json:"from" doc:"client: and the id of whom the tokens were issued to, or api-keys"`
	Resource      string `json:"resource" doc:"The identifier of the API that it gets tokens for"`
	Impersonation bool   `json:"impersonation" doc:"Also without an actor token, in the place of the subject"`
	CreatedAt     string `json:"created_at"`
}

// ShowExchange returns a rule as the API shows it.
func ShowExchange(x client.Exchange) Exchange {
	return Exchange{x.ID, x.From, x.Resource, x.Impersonation, stamp(x.CreatedAt)}
}

type exchangeMade struct {
	Made
	Body Exchange
}

type exchangePage struct {
	Body struct {
		Items []Exchange `json:"items"`
		Next  *string    `json:"next" doc:"Always null: all are on one page"`
	}
}

type allowExchange struct {
	ByID
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect"`
	RawBody        []byte
	Body           struct {
		From          string `json:"from" doc:"client: and an id, or api-keys"`
		Resource      string `json:"resource"`
		Impersonation bool   `json:"impersonation,omitempty" doc:"false if it is absent: an actor token is needed"`
	}
}

type forbidExchange struct {
	ByID
	Rule string `path:"rule" maxLength:"64"`
}

func (a *API) exchanges() {
	handle(a, operation("list-exchanges", http.MethodGet, "/clients/{id}/exchanges", "clients", "List which tokens a client may exchange", one), a.listExchanges)
	handle(a, operation("allow-exchange", http.MethodPost, "/clients/{id}/exchanges", "clients", "Let a client exchange tokens", created, one), a.allowExchange)
	handle(a, operation("forbid-exchange", http.MethodDelete, "/clients/{id}/exchanges/{rule}", "clients", "Let a client exchange tokens no more", one, empty), a.forbidExchange)
}

func (a *API) listExchanges(ctx context.Context, in *ByID) (*exchangePage, error) {
	list, err := a.Clients.Exchanges(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	page := &exchangePage{}
	page.Body.Items = []Exchange{}
	for _, x := range list {
		page.Body.Items = append(page.Body.Items, ShowExchange(x))
	}
	return page, nil
}

func (a *API) allowExchange(ctx context.Context, in *allowExchange) (*exchangeMade, error) {
	where := "/clients/" + in.ID + "/exchanges"
	by, err := a.once(ctx, in.IdempotencyKey, "POST "+where, in.RawBody)
	if err != nil {
		return nil, err
	}
	if err := KnownResource(ctx, a.Resources, in.Body.Resource); err != nil {
		return nil, err
	}
	x, err := a.Clients.AllowExchange(ctx, by, client.Exchange{Client: in.ID, From: in.Body.From, Resource: in.Body.Resource, Impersonation: in.Body.Impersonation})
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		x, err = a.Clients.Exchange(ctx, in.ID, replayedID(err))
	}
	if err != nil {
		return nil, err
	}
	return &exchangeMade{madeAt(a.URL+where+"/"+x.ID, replayed), ShowExchange(x)}, nil
}

// KnownResource returns an Invalid fault for what is neither the identifier of a resource
// nor this server's own.
func KnownResource(ctx context.Context, all *resource.Service, identifier string) error {
	if all.IsOwn(identifier) {
		return nil
	}
	_, err := all.ByIdentifier(ctx, identifier)
	if fault.KindOf(err) == fault.NotFound {
		return fault.At("resource", "there is no such resource").Because(err)
	}
	return err
}

func (a *API) forbidExchange(ctx context.Context, in *forbidExchange) (*struct{}, error) {
	return nil, a.Clients.ForbidExchange(ctx, web.By(ctx), in.ID, in.Rule)
}
