package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/authzen"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/web"
)

// mostTried is how many candidates one request of a search looks at. A page may be
// short, or empty, and go on all the same.
const mostTried = 500

// found is the answer to a search.
type found[T any] struct {
	Results []T  `json:"results"`
	Page    page `json:"page"`
}

type page struct {
	Next  string `json:"next_token"` // empty at the end
	Count int    `json:"count"`
}

// subject is somebody who may, by the name that evaluations take, too.
type subject struct {
	Type       string            `json:"type"`
	ID         string            `json:"id"`
	Properties map[string]string `json:"properties,omitempty"`
}

type doing struct {
	Name string `json:"name"`
}

func (a *API) search(r *http.Request, sought authzen.Sought) (authzen.Search, error) {
	body, err := jsonBody(r)
	if err != nil {
		return authzen.Search{}, err
	}
	return authzen.ParseSearch(body, sought)
}

// SearchSubject answers POST /access/v1/search/subject: who may. It looks at all
// accounts, or clients, in the order of their making.
func (a *API) SearchSubject(w http.ResponseWriter, r *http.Request) error {
	s, err := a.search(r, authzen.Subjects)
	if err != nil {
		return err
	}
	ctx := r.Context()
	query := []string{"search", s.Subject.Type, s.Action.Name, s.Resource.Type, s.Resource.ID}
	after, err := a.token(ctx, s.Token, query)
	if err != nil {
		return err
	}
	q, _ := ask(s.Evaluation)
	out := found[subject]{Results: []subject{}}
	var last string
	switch s.Subject.Type {
	case "user":
		last, err = a.searchUsers(ctx, s, q, after, &out)
	case "client":
		last, err = a.searchClients(ctx, s, q, after, &out)
	}
	if err == nil && last != "" {
		out.Page.Next, err = a.cursor(ctx, last, query...)
	}
	if err != nil {
		return err
	}
	out.Page.Count = len(out.Results)
	return web.JSON(w, http.StatusOK, out)
}

// token returns where a page begins.
func (a *API) token(ctx context.Context, token string, query []string) (string, error) {
	after, err := a.after(ctx, token, query...)
	if fault.KindOf(err) == fault.Invalid {
		return "", fault.At("body.page.token", "it is not the token of this search; begin again without it")
	}
	return after, err
}

// searchUsers adds accounts that may, and returns the last that was looked at where
// there may be more.
func (a *API) searchUsers(ctx context.Context, s authzen.Search, q access.Question, after string, out *found[subject]) (string, error) {
	if err := a.needs(ctx, web.By(ctx), "users:read"); err != nil { // it tells names
		return "", err
	}
	list, err := a.Accounts.List(ctx, account.Filter{Status: account.Active, After: after, Limit: mostTried})
	if err != nil {
		return "", err
	}
	for _, u := range list {
		d, err := a.Access.DecideUser(ctx, u, q)
		if err != nil {
			return "", err
		}
		if d.Allowed {
			out.Results = append(out.Results, subject{"user", u.Username, map[string]string{"id": u.ID}})
		}
		if len(out.Results) == s.Limit {
			return u.ID, nil
		}
	}
	if len(list) < mostTried {
		return "", nil
	}
	return list[len(list)-1].ID, nil
}

func (a *API) searchClients(ctx context.Context, s authzen.Search, q access.Question, after string, out *found[subject]) (string, error) {
	if err := a.needs(ctx, web.By(ctx), "clients:read"); err != nil {
		return "", err
	}
	list, err := a.Clients.List(ctx, after, mostTried)
	if err != nil {
		return "", err
	}
	for _, c := range list {
		d, err := a.Access.DecideClient(ctx, c, q)
		if err != nil {
			return "", err
		}
		if d.Allowed && c.Status == client.Active {
			out.Results = append(out.Results, subject{Type: "client", ID: c.ID})
		}
		if len(out.Results) == s.Limit {
			return c.ID, nil
		}
	}
	if len(list) < mostTried {
		return "", nil
	}
	return list[len(list)-1].ID, nil
}

// SearchAction answers POST /access/v1/search/action: what somebody may do to a
// resource, of all that roles hold for its type, or conditions name.
func (a *API) SearchAction(w http.ResponseWriter, r *http.Request) error {
	s, err := a.search(r, authzen.Actions)
	if err != nil {
		return err
	}
	ctx := r.Context()
	query := []string{"search-action", s.Subject.Type, s.Subject.ID, s.Resource.Type, s.Resource.ID}
	after, err := a.token(ctx, s.Token, query)
	if err != nil {
		return err
	}
	out := found[doing]{Results: []doing{}}
	prefix := s.Resource.Type + ":"
	candidates := slices.DeleteFunc(append(a.Roles.Snapshot().All().Permissions(), a.Access.Conditions.Set().Permits()...),
		func(p string) bool {
			return !strings.HasPrefix(p, prefix) || p <= after || strings.Contains(p[len(prefix):], ":")
		})
	slices.Sort(candidates)
	candidates = slices.Compact(candidates)
	more := len(candidates) > mostTried
	candidates = candidates[:min(mostTried, len(candidates))]
	if q, known := ask(s.Evaluation); known {
		allowed, err := a.Access.Which(ctx, q, candidates)
		if err != nil {
			return err
		}
		last := ""
		if more {
			last = candidates[len(candidates)-1]
		}
		if len(allowed) > s.Limit {
			allowed = allowed[:s.Limit]
			last = allowed[s.Limit-1]
		}
		for _, p := range allowed {
			out.Results = append(out.Results, doing{p[len(prefix):]})
		}
		if last != "" {
			if out.Page.Next, err = a.cursor(ctx, last, query...); err != nil {
				return err
			}
		}
	}
	out.Page.Count = len(out.Results)
	return web.JSON(w, http.StatusOK, out)
}

// SearchResource answers POST /access/v1/search/resource, once it has read what was
// asked: this server decides about resources, and knows none.
func (a *API) SearchResource(_ http.ResponseWriter, r *http.Request) error {
	if _, err := a.search(r, authzen.Resources); err != nil {
		return err
	}
	return web.NewProblem(http.StatusNotImplemented, "this server knows no resources, and so cannot list them: ask whether somebody may act on one, by /access/v1/evaluation")
}
