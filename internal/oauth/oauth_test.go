package oauth

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseForm(t *testing.T) {
	good := map[string]map[string]string{
		"":                                    {},
		"a=1&b=2":                             {"a": "1", "b": "2"},
		"a=&b=x":                              {"a": "", "b": "x"},
		"a=%20+%2B":                           {"a": "  +"},
		"unknown=1&username=ann&code%5B%5D=x": {"username": "ann", "code": ""},
		"resource=a&resource=b":               {"resource": "a"},
	}
	for body, want := range good {
		p, err := ParseForm(body)
		if err != nil {
			t.Errorf("%q: %v", body, err)
		}
		for name, value := range want {
			if p.Get(name) != value {
				t.Errorf("%q: %s = %q, want %q", body, name, p.Get(name), value)
			}
		}
	}
	for name, body := range map[string]string{
		"repeated":             "a=1&a=2",
		"repeated, equal":      "a=1&a=1",
		"repeated, one empty":  "a=&a=1",
		"repeated by encoding": "a=1&%61=2",
		"semicolon":            "grant_type=authorization_code;code=X",
		"bad escape":           "a=%zz&b=2",
		"bad escape in name":   "%=1",
		"cut escape":           "a=%2",
		"not UTF-8":            "a=%ff%fe",
		"65 parameters":        strings.Repeat("a=&", 65),
	} {
		var e *Error
		if p, err := ParseForm(body); !errors.As(err, &e) || e.Code != InvalidRequest {
			t.Errorf("%s: %v, %v; want invalid_request", name, p, err)
		}
	}
}

func TestParseScope(t *testing.T) {
	if got, err := ParseScope("write read write"); err != nil || !slices.Equal(got, []string{"read", "write"}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, s := range []string{
		" read", "read ", "read  write", "read\twrite", "read\nadmin", `read "x"`, `a\b`, "é", "a\x00b", "a\x7fb",
		strings.Repeat("a", 10_000), strings.Repeat("a ", 1001) + "a",
	} {
		var e *Error
		if got, err := ParseScope(s); !errors.As(err, &e) || e.Code != InvalidScope {
			t.Errorf("%.40q: %v, %v; want invalid_scope", s, got, err)
		}
	}
}

func FuzzParseForm(f *testing.F) {
	for _, s := range []string{"a=1", "a=%41&b", "=", "&&", "a;b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		p, err := ParseForm(body)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("an error without a code: %v", err)
			}
			return
		}
		for name, values := range p {
			if len(values) > 1 && !repeatable[name] {
				t.Errorf("%q was taken %d times", name, len(values))
			}
		}
	})
}

func FuzzParseScope(f *testing.F) {
	f.Add("read write")
	f.Fuzz(func(t *testing.T, s string) {
		tokens, err := ParseScope(s)
		if err != nil {
			return
		}
		again, err := ParseScope(strings.Join(tokens, " "))
		if err != nil || !slices.Equal(tokens, again) {
			t.Errorf("%q was read as %q, then as %q, %v", s, tokens, again, err)
		}
	})
}
