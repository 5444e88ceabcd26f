package admin

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// Example is a call of an operation that works: what is sent, and what is answered.
// The document shows them, and a test makes them, in this order.
type Example struct {
	Operation string            `json:"operation"`      // its id
	As        string            `json:"as,omitempty"`   // who calls: "person", "client", "browser", "app", "registrar", "nobody"; else the administrator
	Path      map[string]string `json:"path,omitempty"` // parameters
	Query     map[string]string `json:"query,omitempty"`
	Request   json.RawMessage   `json:"request,omitempty"` // an object; where bodies are forms, its members are the fields
	Status    int               `json:"status"`
	Answer    json.RawMessage   `json:"answer,omitempty"`
}

//go:embed examples.json
var exampleText []byte

// Examples returns them.
func Examples() ([]Example, error) {
	var all []Example
	if err := json.Unmarshal(exampleText, &all); err != nil {
		return nil, fmt.Errorf("reading the examples: %w", err)
	}
	return all, nil
}

// exemplify puts the first example of each operation into the document.
func exemplify(doc *huma.OpenAPI) error {
	all, err := Examples()
	if err != nil {
		return err
	}
	first := map[string]Example{}
	for _, e := range all {
		if _, ok := first[e.Operation]; !ok {
			first[e.Operation] = e
		}
	}
	for _, item := range doc.Paths {
		for _, op := range operations(item) {
			if op == nil {
				continue
			}
			if e, ok := first[op.OperationID]; ok {
				e.show(op)
			}
		}
	}
	return nil
}

// show puts an example where the document has the place for it.
func (e Example) show(op *huma.Operation) {
	for _, p := range op.Parameters {
		if value, ok := e.Path[p.Name]; ok && p.In == "path" {
			p.Example = value
		} else if value, ok := e.Query[p.Name]; ok && p.In == "query" {
			p.Example = value
		}
	}
	if op.RequestBody != nil && e.Request != nil {
		for _, media := range op.RequestBody.Content {
			media.Example = e.Request
		}
	}
	if r := op.Responses[strconv.Itoa(e.Status)]; r != nil && e.Answer != nil {
		for _, media := range r.Content {
			media.Example = e.Answer
		}
	}
}
