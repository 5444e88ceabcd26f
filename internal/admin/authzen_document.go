package admin

import (
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/doorward/doorward/internal/authzen"
)

// describeAuthZEN adds to the document what /access/v1/ serves. It is described by
// hand, since it passes over what it does not know.
func (a *API) describeAuthZEN() {
	object := func(required []string, properties map[string]*huma.Schema) *huma.Schema {
		return &huma.Schema{Type: huma.TypeObject, Properties: properties, Required: required, AdditionalProperties: true}
	}
	text := &huma.Schema{Type: huma.TypeString}
	anything := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Nullable: true}
	entity := object([]string{"type", "id"}, map[string]*huma.Schema{"type": text, "id": text, "properties": anything})
	kind := object([]string{"type"}, map[string]*huma.Schema{"type": text, "properties": anything})
	action := object([]string{"name"}, map[string]*huma.Schema{"name": text, "properties": anything})
	question := map[string]*huma.Schema{"subject": entity, "action": action, "resource": entity, "context": anything}
	in := map[string]*huma.Schema{"en": text}
	reason := &huma.Schema{Type: huma.TypeObject, Properties: in}
	policies := &huma.Schema{Type: huma.TypeArray, Items: object([]string{"name", "effect"}, map[string]*huma.Schema{"name": text, "effect": text, "policy": text, "error": text})}
	because := object(nil, map[string]*huma.Schema{
		"id": {Type: huma.TypeString, Description: "By which /access/decisions tells of it for 7 days"}, "reason_admin": reason, "reason_user": reason, "conditions": policies,
		"error": object(nil, map[string]*huma.Schema{"status": {Type: huma.TypeInteger}, "message": text}),
	})
	yes := &huma.Schema{Type: huma.TypeBoolean}
	answer := object([]string{"decision"}, map[string]*huma.Schema{"decision": yes, "context": because})
	page := object(nil, map[string]*huma.Schema{"token": text, "limit": {Type: huma.TypeInteger}})
	next := object([]string{"next_token", "count"}, map[string]*huma.Schema{"next_token": {Type: huma.TypeString, Description: "Empty at the end"}, "count": {Type: huma.TypeInteger}})
	results := func(item *huma.Schema) *huma.Schema {
		return object([]string{"results", "page"}, map[string]*huma.Schema{"results": {Type: huma.TypeArray, Items: item}, "page": next})
	}
	a.post("evaluate-access", "/access/v1/evaluation", "Ask whether a subject may do something to a resource", object([]string{"subject", "action", "resource"}, question), answer)
	most := authzen.MostEvaluations
	a.post("evaluate-accesses", "/access/v1/evaluations", "Ask many such questions", object(nil, map[string]*huma.Schema{
		"subject": kind, "action": action, "resource": kind, "context": anything,
		"evaluations": {Type: huma.TypeArray, MaxItems: &most, Items: object(nil, map[string]*huma.Schema{"subject": kind, "action": action, "resource": kind, "context": anything})},
		"options":     object(nil, map[string]*huma.Schema{"evaluations_semantic": {Type: huma.TypeString, Enum: []any{authzen.ExecuteAll, authzen.DenyOnFirstDeny, authzen.PermitOnFirstPermit}}}),
	}), object(nil, map[string]*huma.Schema{"decision": yes, "context": because, "evaluations": {Type: huma.TypeArray, Items: answer}}))
	a.post("search-subjects", "/access/v1/search/subject", "Search for who may do something to a resource", object([]string{"subject", "action", "resource"},
		map[string]*huma.Schema{"subject": kind, "action": action, "resource": entity, "context": anything, "page": page}), results(entity))
	a.post("search-actions", "/access/v1/search/action", "Search for what a subject may do to a resource", object([]string{"subject", "resource"},
		map[string]*huma.Schema{"subject": entity, "resource": entity, "context": anything, "page": page}), results(action))
}

func (a *API) post(id, path, summary string, body, good *huma.Schema) {
	doc := a.huma.OpenAPI()
	responses := map[string]*huma.Response{"200": {Description: "The answer", Content: map[string]*huma.MediaType{"application/json": {Schema: good}}}}
	for _, status := range []int{400, 401, 403, 413, 415, 429, 503} {
		problem := *doc.Paths["/users"].Get.Responses["400"]
		problem.Description = http.StatusText(status)
		responses[strconv.Itoa(status)] = &problem
	}
	doc.AddOperation(&huma.Operation{
		OperationID: id, Method: http.MethodPost, Path: path, Tags: []string{"AuthZEN"}, Summary: summary,
		Description: "AuthZEN Authorization API 1.0. A confidential client may come with its secret instead of a token (HTTP Basic).",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: body}}}, Responses: responses,
	})
}
