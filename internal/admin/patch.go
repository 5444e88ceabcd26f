package admin

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"github.com/doorward/doorward/internal/fault"
)

// mergePatch applies a JSON merge patch to a JSON object (RFC 7396, Section 2).
func mergePatch(target, patch []byte) ([]byte, error) {
	t, err := object(target)
	if err != nil {
		return nil, err
	}
	p, err := object(patch)
	if err != nil || p == nil {
		return nil, fault.At("body", "a merge patch is a JSON object").Because(err)
	}
	return json.Marshal(merge(t, p))
}

// object decodes a JSON object and keeps its numbers as they are written.
func object(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var o map[string]any
	err := d.Decode(&o)
	return o, err
}

func merge(target, patch map[string]any) map[string]any {
	if target == nil {
		target = map[string]any{}
	}
	for name, value := range patch {
		switch v := value.(type) {
		case nil:
			delete(target, name)
		case map[string]any:
			inner, _ := target[name].(map[string]any)
			target[name] = merge(inner, v)
		default:
			target[name] = v
		}
	}
	return target
}

func faultOf(err error) (*fault.Error, bool) { return errors.AsType[*fault.Error](err) }

// clashing is for an operation that changes what is there and may clash.
func clashing(op *huma.Operation) { op.Errors = append(op.Errors, 409) }
