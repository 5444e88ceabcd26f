package strictjson

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, s := range []string{`{}`, `[]`, `"a"`, `{"a":1,"b":{"a":2}}`, ` {"a":[1,2,{"b":null}]} `, `"\ud83d\ude00"`, `"\\ud800"`, strings.Repeat("[", Depth) + strings.Repeat("]", Depth)} {
		if err := Check([]byte(s)); err != nil {
			t.Errorf("%.60s: %v", s, err)
		}
	}
	for name, s := range map[string]string{
		"empty":                     ``,
		"repeated name":             `{"a":1,"a":2}`,
		"repeated name, escaped":    `{"a":1,"\u0061":2}`,
		"repeated name, nested":     `[{"b":{"a":1,"a":1}}]`,
		"second value":              `{"a":1}{"a":2}`,
		"trailing text":             `{"a":1} x`,
		"trailing comma":            `{"a":1,}`,
		"comment":                   `{/**/"a":1}`,
		"not UTF-8":                 "{\"a\":\"\xff\"}",
		"half a character":          `{"a":"\ud800"}`,
		"the other half":            `{"a":"x\uDC00"}`,
		"two first halves":          `{"a":"\ud83d\ud83d"}`,
		"half after a backslash":    `{"a":"\\\ud800"}`,
		"deep":                      strings.Repeat("[", Depth+1) + strings.Repeat("]", Depth+1),
		"very deep":                 strings.Repeat(`{"a":`, 10_000),
		"cut":                       `{"a":`,
		"a name that is a number":   `{1:2}`,
		"single quotes":             `{'a':1}`,
		"byte order mark":           "\ufeff{}",
		"closed by another bracket": `{"a":1]`,
	} {
		if Check([]byte(s)) == nil {
			t.Errorf("%s: %.60q was let pass", name, s)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if Check(data) == nil && !json.Valid(data) {
			t.Errorf("%q was let pass", data)
		}
	})
}
