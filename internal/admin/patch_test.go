package admin

import (
	"testing"

	"github.com/doorward/doorward/internal/fault"
)

// The examples of RFC 7396, Appendix A, whose target and patch are objects, and
// what is no patch.
func TestMergePatch(t *testing.T) {
	for _, tt := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"a":"b"}`, `{"a":{"c":1}}`, `{"a":{"c":1}}`},
		{`{"a":1}`, `{}`, `{"a":1}`},
		{`{"n":12345678901234567890}`, `{"m":1.50}`, `{"m":1.50,"n":12345678901234567890}`}, // numbers stay as they are written
	} {
		got, err := mergePatch([]byte(tt.target), []byte(tt.patch))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s patched with %s: %s, %v; want %s", tt.target, tt.patch, got, err, tt.want)
		}
	}
	for _, patch := range []string{`null`, `[]`, `"x"`, `1`, `{`, ``} {
		if _, err := mergePatch([]byte(`{"a":1}`), []byte(patch)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s as a patch: %v", patch, err)
		}
	}
}

func TestPlace(t *testing.T) {
	for field, want := range map[string]string{
		"username": "body.username", "profile.website": "body.profile.website", "permissions[2]": "body.permissions[2]",
		"body": "body", "body.name": "body.name", "query.after": "query.after", "query": "query", "header.If-Match": "header.If-Match", "Idempotency-Key": "header.Idempotency-Key",
	} {
		if got := place(field); got != want {
			t.Errorf("%s: %s, want %s", field, got, want)
		}
	}
}
