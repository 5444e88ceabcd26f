package condition

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/fault"
)

const all = `permit (principal, action, resource);`

func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		c     Condition
		field string // empty: it is accepted
		says  string
	}{
		"one policy":            {Condition{Name: "a", Policy: all}, "", ""},
		"two":                   {Condition{Name: "a.b_c-9", Description: "Zwei", Policy: all + "\n" + strings.Replace(all, "permit", "forbid", 1)}, "", ""},
		"fifty":                 {Condition{Name: "a", Policy: strings.Repeat(all, MostPolicies)}, "", ""},
		"deep":                  {Condition{Name: "a", Policy: nested(deepest - 2)}, "", ""},
		"no name":               {Condition{Policy: all}, "name", "1 to 64"},
		"a name of another":     {Condition{Name: "A", Policy: all}, "name", "1 to 64"},
		"a long name":           {Condition{Name: strings.Repeat("a", 65), Policy: all}, "name", "1 to 64"},
		"a line break":          {Condition{Name: "a", Description: "a\nb", Policy: all}, "description", "control"},
		"a long description":    {Condition{Name: "a", Description: strings.Repeat("a", 1001), Policy: all}, "description", "1000 bytes"},
		"no text":               {Condition{Name: "a", Description: "\xff", Policy: all}, "description", "UTF-8"},
		"nothing":               {Condition{Name: "a"}, "policy", "there is no policy"},
		"a comment alone":       {Condition{Name: "a", Policy: "// permit\n"}, "policy", "there is no policy"},
		"fifty-one":             {Condition{Name: "a", Policy: strings.Repeat(all, MostPolicies+1)}, "policy", "at most 50"},
		"too long":              {Condition{Name: "a", Policy: all + strings.Repeat(" ", largestPolicy)}, "policy", "16384 bytes"},
		"a NUL":                 {Condition{Name: "a", Policy: all + "\x00"}, "policy", "UTF-8"},
		"bytes":                 {Condition{Name: "a", Policy: all + "// \xff"}, "policy", "UTF-8"},
		"too deep":              {Condition{Name: "a", Policy: nested(deepest)}, "policy", "deep"},
		"a comma is missing":    {Condition{Name: "a", Policy: "permit (principal action, resource);"}, "policy", "line 1, column 25: \"action\" stands where \",\" must"},
		"on the second line":    {Condition{Name: "a", Policy: "permit (principal, action, resource)\nwhen { nothing(1) };"}, "policy", "line 2, column 16: \"1\": `nothing` is not a function"},
		"a text without an end": {Condition{Name: "a", Policy: `permit (principal, action, resource) when { principal.x == "a };`}, "policy", "line 1, column 60: literal not terminated"},
		"a template":            {Condition{Name: "a", Policy: `permit (principal == ?principal, action, resource);`}, "policy", "line 1, column 23:"},
		"an end that is not":    {Condition{Name: "a", Policy: "permit (principal, action, resource)"}, "policy", "line 1, column 37:"},
	} {
		err := tt.c.check()
		f, _ := err.(*fault.Error)
		switch {
		case tt.field == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.field != "" && (f == nil || f.Kind != fault.Invalid || f.Field != tt.field || !strings.Contains(f.Message, tt.says)):
			t.Errorf("%s: %v, want %s: … %s", name, err, tt.field, tt.says)
		}
	}
}

func nested(n int) string {
	return "permit (principal, action, resource) when { " + strings.Repeat("(", n) + "true" + strings.Repeat(")", n) + " };"
}

// set compiles policies, each a condition of the name in front.
func set(t *testing.T, named ...string) *Set {
	t.Helper()
	var list []Condition
	for i := 0; i < len(named); i += 2 {
		c := Condition{Name: named[i], Policy: named[i+1]}
		if err := c.check(); err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	return NewSet(list)
}

func properties(t *testing.T, text string) Properties {
	t.Helper()
	var p Properties
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p
}

// told is a verdict in a line: what it is, and of which policies.
func told(v Verdict) string {
	s := ""
	if v.Forbidden {
		s += "forbidden "
	}
	if v.Permitted {
		s += "permitted "
	}
	for _, m := range append(v.Matches, v.Errors...) {
		s += m.Condition + "/" + m.Policy
		if m.Error != "" {
			s += "!"
		}
		s += " "
	}
	return strings.TrimSpace(s)
}

func TestEvaluate(t *testing.T) {
	ana := Principal{
		ID: "1", Username: "ana", Email: "ana@example.com", Roles: []string{"support", "viewer"},
		Attributes: properties(t, `{"department":"sales","level":3}`), Properties: properties(t, `{"mfa":true}`),
	}
	when := func(effect, condition string) string {
		return effect + " (principal, action, resource) when { " + condition + " };"
	}
	object := func(text string) Object { return Object{"order", "7", properties(t, text)} }
	for name, tt := range map[string]struct {
		policy string
		r      Request
		want   string
	}{
		"nothing matches":              {when("permit", "false"), Request{}, ""},
		"everything does":              {all, Request{}, "permitted c/1"},
		"his id":                       {when("permit", "resource.owner == principal.id"), Request{Object: object(`{"owner":"1"}`)}, "permitted c/1"},
		"another's":                    {when("permit", "resource.owner == principal.id"), Request{Object: object(`{"owner":"2"}`)}, ""},
		"his username and email":       {when("permit", `principal.username == "ana" && principal.email == "ana@example.com"`), Request{}, "permitted c/1"},
		"his own attributes":           {when("permit", `principal.attributes.department == "sales" && principal.attributes.level > 2`), Request{}, "permitted c/1"},
		"what the request says of him": {when("permit", "principal.properties.mfa"), Request{}, "permitted c/1"},
		"the two are apart":            {when("permit", "principal.attributes has mfa || principal.properties has level"), Request{}, ""},
		"a role":                       {`permit (principal in Role::"support", action, resource);`, Request{}, "permitted c/1"},
		"another role":                 {`permit (principal in Role::"admin", action, resource);`, Request{}, ""},
		"himself":                      {`permit (principal == User::"1", action, resource);`, Request{}, "permitted c/1"},
		"a client of his id":           {`permit (principal == Client::"1", action, resource);`, Request{}, ""},
		"an action":                    {`permit (principal, action == Action::"order:read", resource);`, Request{Action: "order:read"}, "permitted c/1"},
		"another action":               {`permit (principal, action == Action::"order:read", resource);`, Request{Action: "order:write"}, ""},
		"one of some":                  {`permit (principal, action in [Action::"a", Action::"order:read"], resource);`, Request{Action: "order:read"}, "permitted c/1"},
		"an action of another type":    {`permit (principal, action == Order::"order:read", resource);`, Request{Action: "order:read"}, ""},
		"properties of the action":     {when("permit", "context.action.soft"), Request{ActionProperties: properties(t, `{"soft":true}`)}, "permitted c/1"},
		"the context":                  {when("permit", `context.ip == "10.0.0.1" && ip(context.ip).isInRange(ip("10.0.0.0/8"))`), Request{Context: properties(t, `{"ip":"10.0.0.1"}`)}, "permitted c/1"},
		"the context says action":      {when("permit", "context.action has soft"), Request{Context: properties(t, `{"action":{"soft":true}}`)}, ""},
		"a type":                       {`permit (principal, action, resource is order);`, Request{Object: object(`{}`)}, "permitted c/1"},
		"a thing":                      {`permit (principal, action, resource == order::"7");`, Request{Object: object(`{}`)}, "permitted c/1"},
		"a label":                      {`@id("owner") ` + all, Request{}, "permitted c/owner"},
		"forbid counts more":           {all + ` @id("no") forbid (principal, action, resource);`, Request{}, "forbidden c/no"},
		"permit that cannot tell":      {when("permit", "resource.owner == principal.id"), Request{Object: object(`{}`)}, "c/1!"},
		"forbid that cannot tell":      {all + when("forbid", `resource.status == "archived"`), Request{Object: object(`{}`)}, "forbidden c/2!"},
		"forbid that asks first":       {all + when("forbid", `resource has status && resource.status == "archived"`), Request{Object: object(`{}`)}, "permitted c/1"},
		"no thing at all":              {all + when("forbid", `resource has status && resource.status == "archived"`), Request{}, "permitted c/1"},
		"another type of value":        {when("forbid", `resource.n > 3`), Request{Object: object(`{"n":"4"}`)}, "forbidden c/1!"},
		"decimals":                     {when("permit", `resource.n.greaterThan(decimal("1.2"))`), Request{Object: object(`{"n":1.25}`)}, "permitted c/1"},
		"lists are sets":               {when("permit", `resource.tags.contains("a")`), Request{Object: object(`{"tags":["b","a","a"]}`)}, "permitted c/1"},
		"records":                      {when("permit", `resource.at.city == "Ulm"`), Request{Object: object(`{"at":{"city":"Ulm"}}`)}, "permitted c/1"},
		"what Cedar has no value for":  {when("permit", `resource has a || resource has b || resource has c || resource has d || resource has e`), Request{Object: object(`{"a":null,"b":1.23456,"c":99999999999999999999,"d":[1,null],"e":1e3}`)}, ""},
		"no entity is made up":         {when("permit", `resource.who in Role::"support"`), Request{Object: object(`{"who":{"__entity":{"type":"User","id":"1"}}}`)}, "c/1!"},
		"who acts is who he is": {
			when("permit", `resource.id == "2" || principal.id == "2"`),
			Request{Object: Object{"User", "1", properties(t, `{"id":"2"}`)}},
			"",
		},
		"a role is nobody's to make": {
			`permit (principal in Role::"admin", action, resource);`,
			Request{Object: Object{"Role", "admin", properties(t, `{"members":["1"]}`)}},
			"",
		},
	} {
		r := tt.r
		r.Principal = ana
		s := set(t, "c", tt.policy)
		if got := told(s.Evaluate(r)); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestEvaluateClient(t *testing.T) {
	job := Principal{Client: true, ID: "job", Roles: []string{"support"}}
	s := set(t, "a", `permit (principal == Client::"job", action, resource) when { principal in Role::"support" && !(principal has username) };`,
		"b", `permit (principal == User::"job", action, resource);`)
	if got := told(s.Evaluate(Request{Principal: job})); got != "permitted a/1" {
		t.Error(got)
	}
}

// Policies are evaluated where their actions are asked for, in the order of their
// conditions, and every answer is the same.
func TestSet(t *testing.T) {
	s := set(t, "b", `permit (principal, action == Action::"x:read", resource);`, "a", all, "c", `forbid (principal, action in [Action::"x:read", Action::"x:write"], resource) when { resource.a };`)
	r := Request{Action: "x:read", Principal: Principal{ID: "1"}, Object: Object{Type: "x", ID: "7"}}
	for range 20 {
		if got := told(s.Evaluate(r)); got != "forbidden c/1!" {
			t.Fatal(got)
		}
		r.Object.Properties = properties(t, `{"a":false}`)
		if got := told(s.Evaluate(r)); got != "permitted a/1 b/1" {
			t.Fatal(got)
		}
		r.Object.Properties = nil
	}
	if got := told(s.Evaluate(Request{Action: "y:read"})); got != "permitted a/1" {
		t.Error(got)
	}
	if !s.MayPermit("y:read") || s.Empty() || len(s.List()) != 3 || s.List()[0].Name != "a" || fmt.Sprint(s.Permits()) != "[x:read]" {
		t.Errorf("%v, %v", s.List(), s.Permits())
	}
	if _, ok := s.Condition("bb"); ok {
		t.Error("there is another one")
	}
	if c, ok := s.Condition("b"); !ok || c.Name != "b" {
		t.Error("there is no b")
	}
	narrow := set(t, "a", `forbid (principal, action == Action::"x:read", resource);`)
	if narrow.Concerns("y:read") || !narrow.Concerns("x:read") || narrow.MayPermit("x:read") {
		t.Error("a policy about x:read has a word on another action, or permits")
	}
}

// A condition that cannot be read may be one that forbids: so it does.
func TestBrokenForbids(t *testing.T) {
	s := NewSet([]Condition{{Name: "a", Policy: all}, {Name: "new", Policy: "permit someday (principal);"}})
	v := s.Evaluate(Request{Action: "x:read"})
	if !v.Forbidden || !s.Concerns("x:read") || len(s.Broken()) != 1 || told(v) != "forbidden new/!" {
		t.Errorf("%+v", v)
	}
	none := NewSet(nil)
	if none.Concerns("x") || !none.Empty() || told(none.Evaluate(Request{})) != "" {
		t.Error("no condition decides something")
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		all, nested(3), `@id("x") forbid (principal in Role::"a", action in [Action::"b"], resource is T in U::"v") when { context.action.soft } unless { [1, -2].contains(principal.n) };`,
		`permit (principal, action, resource) when { resource.s like "a*\*" && if resource has x then decimal("1.5").lessThan(resource.x) else ip("::1").isIpv6() };`,
		"// only\n", "permit", `permit (principal, action, resource) when { "` + "\\u{1F600}" + `" == "é" };`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := Condition{Name: "fuzz", Policy: text}
		err := c.check()
		if err == nil {
			s := NewSet([]Condition{c})
			r := Request{Principal: Principal{ID: "1", Roles: []string{"a"}}, Action: "b", Object: Object{"T", "1", Properties{"s": "abc"}}}
			first := told(s.Evaluate(r))
			if len(s.Broken()) != 0 || told(s.Evaluate(r)) != first {
				t.Errorf("%q: two answers, or it cannot be read again", text)
			}
			return
		}
		if f, ok := err.(*fault.Error); !ok || f.Kind != fault.Invalid || f.Field != "policy" || f.Message == "" || len(f.Message) > 300 {
			t.Errorf("%q: %v", text, err)
		}
	})
}
