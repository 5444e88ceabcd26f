package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/authzen"
	"github.com/doorward/doorward/internal/condition"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/web"
)

// What follows answers the AuthZEN Authorization API 1.0: the same decisions as
// /access/check, in that specification's words. The permission is the type of the
// resource and the name of the action, as in todo:update, or the name alone if there
// is a colon in it.

// evaluated is an answer (AuthZEN Authorization API 1.0, "Access Evaluation Response").
type evaluated struct {
	Decision bool     `json:"decision"`
	Context  *reasons `json:"context,omitempty"`
}

// reasons are the context of an answer.
type reasons struct {
	ID         string            `json:"id,omitempty"`
	Admin      map[string]string `json:"reason_admin,omitempty"`
	User       map[string]string `json:"reason_user,omitempty"`
	Conditions []Policy          `json:"conditions,omitempty"`
	Error      *itemError        `json:"error,omitempty"`
}

// itemError is why one of many questions is none.
type itemError struct {
	Status  int    `json:"status"`
	Message string `json:"message"`
}

const mayNot = "You do not have permission to do this."

// Evaluation answers POST /access/v1/evaluation.
func (a *API) Evaluation(w http.ResponseWriter, r *http.Request) error {
	body, err := jsonBody(r)
	if err != nil {
		return err
	}
	e, err := authzen.ParseEvaluation(body)
	if err != nil {
		return err
	}
	answer, err := a.evaluate(r.Context(), e)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, answer)
}

// Evaluations answers POST /access/v1/evaluations.
func (a *API) Evaluations(w http.ResponseWriter, r *http.Request) error {
	body, err := jsonBody(r)
	if err != nil {
		return err
	}
	all, err := authzen.ParseEvaluations(body)
	if err != nil {
		return err
	}
	if all.Single != nil {
		answer, err := a.evaluate(r.Context(), *all.Single)
		if err != nil {
			return err
		}
		return web.JSON(w, http.StatusOK, answer)
	}
	out := struct {
		Evaluations []evaluated `json:"evaluations"`
	}{}
	for _, item := range all.Items {
		answer := evaluated{Context: &reasons{}}
		if item.Err != nil {
			answer.Context.Error = &itemError{http.StatusBadRequest, item.Err.Error()}
		} else if answer, err = a.evaluate(r.Context(), item.Evaluation); err != nil {
			return err
		}
		out.Evaluations = append(out.Evaluations, answer)
		if all.Semantic.Ends(answer.Decision) {
			break
		}
	}
	return web.JSON(w, http.StatusOK, out)
}

// jsonBody reads the body of a request, which was bounded when it came.
func jsonBody(r *http.Request) ([]byte, error) {
	if _, err := web.MediaType(r, web.JSONType); err != nil {
		return nil, err
	}
	return io.ReadAll(r.Body)
}

// permission returns what an action on a resource needs.
func permission(action, resource string) string {
	if strings.Contains(action, ":") {
		return action
	}
	return resource + ":" + action
}

// ask returns the question of an evaluation, or false if its subject is of a type that
// this server does not know.
func ask(e authzen.Evaluation) (access.Question, bool) {
	q := access.Question{
		Subject: e.Subject.Type + ":" + e.Subject.ID, Permission: permission(e.Action.Name, e.Resource.Type),
		About: access.About{
			Object:  condition.Object{Type: e.Resource.Type, ID: e.Resource.ID, Properties: e.Resource.Properties},
			Subject: e.Subject.Properties, Action: e.Action.Properties, Context: e.Context,
		},
	}
	return q, (e.Subject.Type == "user" || e.Subject.Type == "client") && len(e.Subject.ID) <= longestSubject
}

// longestSubject is more than any id or name has, in bytes.
const longestSubject = 254

func (a *API) evaluate(ctx context.Context, e authzen.Evaluation) (evaluated, error) {
	q, known := ask(e)
	if !known {
		d := a.Access.Stranger(q, "This server knows no such subject: its type is user or client.")
		a.decided(ctx, d)
		return evaluated{Context: denied(d)}, nil
	}
	d, err := a.Access.Decide(ctx, q)
	if err != nil {
		return evaluated{}, err
	}
	a.decided(ctx, d)
	if d.Allowed {
		return evaluated{true, &reasons{ID: d.ID, Conditions: showPolicies(d.Conditions)}}, nil
	}
	context := denied(d)
	if e.Subject.Type == "user" && !id.Valid(e.Subject.ID) {
		// Whether there is somebody of a name, and what he has, is for who may know names.
		switch err := a.needs(ctx, web.By(ctx), "users:read"); {
		case fault.KindOf(err) == fault.Denied:
			context.Admin, context.Conditions = nil, nil
		case err != nil:
			return evaluated{}, err
		}
	}
	return evaluated{Context: context}, nil
}

func denied(d access.Decision) *reasons {
	return &reasons{
		ID: d.ID, Admin: map[string]string{"en": d.Reason}, User: map[string]string{"en": mayNot}, Conditions: showPolicies(d.Conditions),
	}
}

// Fail tells an error of these endpoints.
func (a *API) Fail(w http.ResponseWriter, r *http.Request, err error) {
	p := web.ProblemOf(err)
	if e, ok := errors.AsType[*oauth.Error](err); ok { // of a client that did not prove who it is
		p = web.NewProblem(http.StatusBadRequest, e.Description)
		if e.Code == oauth.InvalidClient {
			p = web.NewProblem(http.StatusUnauthorized, e.Description)
			w.Header().Set("WWW-Authenticate", `Basic realm="doorward"`)
		}
		err = nil
	}
	if p.DecisionID == "" {
		a.denied(r.Context(), p, err)
	}
	if err == nil || p.DecisionID != "" {
		err = p
	}
	web.FailProblem(w, r, err)
}

// AuthZEN answers GET /.well-known/authzen-configuration. There is no search for
// resources, which this server does not know.
func (a *API) AuthZEN(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	return web.JSON(w, http.StatusOK, struct {
		PDP            string `json:"policy_decision_point"`
		Evaluation     string `json:"access_evaluation_endpoint"`
		Evaluations    string `json:"access_evaluations_endpoint"`
		SearchSubjects string `json:"search_subject_endpoint"`
		SearchActions  string `json:"search_action_endpoint"`
	}{a.URL, a.URL + "/access/v1/evaluation", a.URL + "/access/v1/evaluations", a.URL + "/access/v1/search/subject", a.URL + "/access/v1/search/action"})
}
