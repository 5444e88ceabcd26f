package oauth

import (
	"encoding/json"
	"slices"

	"github.com/doorward/doorward/internal/strictjson"
)

// ParseJSON reads parameters that were sent as a JSON object of strings; those
// that may repeat may be arrays. Unlike in a form, a name that is not known is
// an error: nobody is to think that it did something.
func ParseJSON(body []byte, known ...string) (Params, error) {
	if err := strictjson.Check(body); err != nil {
		return nil, invalid("the body is not a JSON object, or another parser could read it differently").Because(err)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		return nil, invalid("the body is not a JSON object").Because(err)
	}
	p := Params{}
	for name, raw := range object {
		if !slices.Contains(known, name) {
			return nil, invalid("the body holds a name that is not known here")
		}
		var one *string
		if err := json.Unmarshal(raw, &one); err == nil && one != nil {
			if *one != "" {
				p[name] = []string{*one}
			}
			continue
		}
		var many []string
		if err := json.Unmarshal(raw, &many); err != nil || many == nil || !repeatable[name] || slices.Contains(many, "") || len(many) > mostParams {
			return nil, invalid("a value in the body is not a string")
		}
		p[name] = many
	}
	return p, nil
}
