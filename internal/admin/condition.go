package admin

import (
	"context"
	"net/http"

	"github.com/doorward/doorward/internal/condition"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/web"
)

// Condition is a condition as the API shows it.
type Condition struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Policy      string `json:"policy" doc:"One or more policies in Cedar, each of which permits or forbids"`
	CreatedAt   string `json:"created_at"`
	UpdatedAt   string `json:"updated_at"`
}

// ShowCondition returns a condition as the API shows it.
func ShowCondition(c condition.Condition) Condition {
	return Condition{c.Name, c.Description, c.Policy, stamp(c.CreatedAt), stamp(c.UpdatedAt)}
}

type conditionOut struct {
	ETag string `header:"ETag"`
	Body Condition
}

type conditionMade struct {
	Made
	ETag string `header:"ETag"`
	Body Condition
}

type conditionPage struct {
	Body struct {
		Items []Condition `json:"items"`
		Next  *string     `json:"next"`
	}
}

type createCondition struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Names this request: sent again within 24 hours it has no second effect"`
	RawBody        []byte
	Body           struct {
		Name        string `json:"name"`
		Description string `json:"description,omitempty"`
		Policy      string `json:"policy"`
	}
}

type replaceCondition struct {
	ByName
	IfMatch string `header:"If-Match"`
	Body    struct {
		Name        string `json:"name,omitempty" doc:"If given, the name in the path"`
		Description string `json:"description,omitempty"`
		Policy      string `json:"policy"`
	}
}

func (a *API) conditions() {
	handle(a, operation("list-conditions", http.MethodGet, "/conditions", "conditions", "List conditions"), a.listConditions)
	handle(a, operation("create-condition", http.MethodPost, "/conditions", "conditions", "Create a condition", created), a.createCondition)
	handle(a, operation("get-condition", http.MethodGet, "/conditions/{name}", "conditions", "Get a condition", one, conditional), a.getCondition)
	handle(a, operation("replace-condition", http.MethodPut, "/conditions/{name}", "conditions", "Give a condition another content", one, versioned), a.replaceCondition)
	handle(a, operation("delete-condition", http.MethodDelete, "/conditions/{name}", "conditions", "Delete a condition", one, versioned, empty), a.deleteCondition)
}

func (a *API) listConditions(_ context.Context, in *listRoles) (*conditionPage, error) {
	page := &conditionPage{}
	page.Body.Items = []Condition{}
	for _, c := range a.Access.Conditions.Set().List() { // sorted by name
		if c.Name <= in.After {
			continue
		}
		if len(page.Body.Items) == in.Limit {
			last := page.Body.Items[in.Limit-1].Name
			page.Body.Next = &last
			break
		}
		page.Body.Items = append(page.Body.Items, ShowCondition(c))
	}
	return page, nil
}

func (a *API) condition(name string) (condition.Condition, error) {
	c, ok := a.Access.Conditions.Set().Condition(name)
	if !ok {
		return c, condition.Absent()
	}
	return c, nil
}

func (a *API) createCondition(ctx context.Context, in *createCondition) (*conditionMade, error) {
	by, err := a.once(ctx, in.IdempotencyKey, "POST /conditions", in.RawBody)
	if err != nil {
		return nil, err
	}
	c, err := a.Access.Conditions.Create(ctx, by, condition.Condition{Name: in.Body.Name, Description: in.Body.Description, Policy: in.Body.Policy})
	replayed := fault.KindOf(err) == fault.Replayed
	if replayed {
		c, err = a.condition(replayedID(err))
	}
	if err != nil {
		return nil, err
	}
	return &conditionMade{madeAt(a.URL+"/conditions/"+c.Name, replayed), web.ETag(c.Version), ShowCondition(c)}, nil
}

func (a *API) getCondition(_ context.Context, in *readRole) (*conditionOut, error) {
	c, err := a.condition(in.Name)
	if err != nil {
		return nil, err
	}
	out := &conditionOut{web.ETag(c.Version), ShowCondition(c)}
	return out, fresh(in.IfNoneMatch, out.ETag)
}

func (a *API) replaceCondition(ctx context.Context, in *replaceCondition) (*conditionOut, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	if in.Body.Name != "" && in.Body.Name != in.Name {
		return nil, fault.At("body.name", "a condition keeps its name; create another one instead")
	}
	c, err := a.Access.Conditions.Replace(ctx, web.By(ctx), condition.Condition{
		Name: in.Name, Description: in.Body.Description, Policy: in.Body.Policy, Version: version,
	})
	if err != nil {
		return nil, err
	}
	return &conditionOut{web.ETag(c.Version), ShowCondition(c)}, nil
}

func (a *API) deleteCondition(ctx context.Context, in *removeRole) (*struct{}, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return nil, a.Access.Conditions.Delete(ctx, web.By(ctx), in.Name, version)
}
