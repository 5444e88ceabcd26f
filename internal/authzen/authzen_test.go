package authzen

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/fault"
)

const whole = `{"subject":{"type":"user","id":"alice","properties":{"n":1.50}},"action":{"name":"read","properties":{"soft":true}},"resource":{"type":"record","id":"1","properties":{"a":[null]}},"context":{"time":"now"},"new":{}}`

func TestParseEvaluation(t *testing.T) {
	e, err := ParseEvaluation([]byte(whole))
	if err != nil || fmt.Sprint(e) != "{{user alice map[n:1.50]} {read map[soft:true]} {record 1 map[a:[<nil>]]} map[time:now]}" {
		t.Errorf("%v, %v", e, err)
	}
	if _, ok := e.Subject.Properties["n"].(json.Number); !ok {
		t.Error("a number has lost its digits")
	}
	for body, place := range map[string]string{
		``: "body", `7`: "body", `null`: "body", `{"a":1,"a":2}`: "body", whole + `x`: "body",
		`{}`:               "body.subject",
		`{"subject":null}`: "body.subject", `{"subject":[]}`: "body.subject",
		`{"subject":{}}`:                                                           "body.subject.type",
		`{"subject":{"type":null}}`:                                                "body.subject.type",
		`{"subject":{"type":""}}`:                                                  "body.subject.type",
		`{"subject":{"type":"user"}}`:                                              "body.subject.id",
		`{"subject":{"Type":"user","id":"1"}}`:                                     "body.subject.type",
		`{"subject":{"type":"user","id":1}}`:                                       "body.subject.id",
		`{"subject":{"properties":7}}`:                                             "body.subject.properties",
		`{"subject":{"type":"user","id":"1"}}`:                                     "body.action",
		`{"subject":{"type":"user","id":"1"},"action":{}}`:                         "body.action.name",
		`{"action":{"name":{}}}`:                                                   "body.action.name",
		`{"action":{"properties":""}}`:                                             "body.action.properties",
		`{"subject":{"type":"user","id":"1"},"action":{"name":"a"}}`:               "body.resource",
		`{"subject":{"type":"user","id":"1"},"action":{"name":"a"},"resource":{}}`: "body.resource.type",
		`{"context":1}`:                                                            "body.context",
		strings.Replace(whole, "alice", strings.Repeat("a", longestID+1), 1):       "body.subject.id",
		strings.Replace(whole, "record", strings.Repeat("a", longestType+1), 1):    "body.resource.type",
		strings.Replace(whole, "read", strings.Repeat("a", longestType+1), 1):      "body.action.name",
	} {
		_, err := ParseEvaluation([]byte(body))
		if f, ok := err.(*fault.Error); !ok || f.Kind != fault.Invalid || f.Field != place {
			t.Errorf("%.80s: %v, want a fault at %s", body, err, place)
		}
	}
}

func TestParseEvaluations(t *testing.T) {
	many := func(rest string) string { return whole[:len(whole)-1] + `,` + rest + `}` }
	for body, want := range map[string]string{
		whole:                         "one",
		many(`"evaluations":[]`):      "one",
		many(`"evaluations":null`):    "one",
		many(`"evaluations":[{},{}]`): "alice read record/1 map[time:now]; alice read record/1 map[time:now]",
		many(`"evaluations":[{"resource":{"id":"2"}}]`):                     "alice read record/2 map[time:now]",
		many(`"evaluations":[{"subject":{"id":"bob"},"context":{}}]`):       "bob read record/1 map[]",
		many(`"evaluations":[{"action":{"properties":{}}}]`):                "alice read record/1 map[time:now]",
		many(`"evaluations":[{"action":{"name":"write"}}]`):                 "alice write record/1 map[time:now]",
		many(`"evaluations":[7,{"subject":{"id":7}},{"resource":null},{}]`): "body.evaluations[0]; body.evaluations[1].subject.id; body.evaluations[2].resource; alice read record/1 map[time:now]",
		`{"evaluations":[{}]}`:                                                   "body.evaluations[0].subject",
		`{"evaluations":[{"subject":{}}]}`:                                       "body.evaluations[0].subject.type",
		`{"subject":{"type":"user"},"evaluations":[{}]}`:                         "body.evaluations[0].subject.id",
		`{"subject":{"type":7},"evaluations":[{}]}`:                              "body.subject.type",
		`{"evaluations":7}`:                                                      "body.evaluations",
		many(`"evaluations":[{}],"options":7`):                                   "body.options",
		many(`"options":{"evaluations_semantic":"a"}`):                           "body.options.evaluations_semantic",
		many(`"options":{"evaluations_semantic":null}`):                          "body.options.evaluations_semantic",
		many(`"evaluations":[` + strings.Repeat(`{},`, MostEvaluations) + `{}]`): "body.evaluations",
	} {
		all, err := ParseEvaluations([]byte(body))
		var got []string
		if f, ok := err.(*fault.Error); ok {
			got = append(got, f.Field)
		} else if all.Single != nil {
			got = append(got, "one")
		}
		for _, i := range all.Items {
			if f, ok := i.Err.(*fault.Error); ok {
				got = append(got, f.Field)
				continue
			}
			got = append(got, fmt.Sprint(i.Subject.ID, " ", i.Action.Name, " ", i.Resource.Type, "/", i.Resource.ID, " ", i.Context))
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%.300s:\n\t%v\n\twant %s", body, got, want)
		}
	}
	all, err := ParseEvaluations([]byte(many(`"evaluations":[{"subject":{"id":"bob"}}],"options":{"evaluations_semantic":"permit_on_first_permit","more":1}`)))
	if err != nil || all.Semantic != PermitOnFirstPermit || all.Items[0].Subject.Properties != nil || all.Items[0].Subject.Type != "user" {
		t.Errorf("%+v, %v", all, err)
	}
	for s, ends := range map[Semantic][2]bool{ExecuteAll: {}, DenyOnFirstDeny: {true, false}, PermitOnFirstPermit: {false, true}} {
		if s.Ends(false) != ends[0] || s.Ends(true) != ends[1] {
			t.Errorf("%s ends wrongly", s)
		}
	}
}

func TestParseSearch(t *testing.T) {
	for sought, bodies := range map[Sought]map[string]string{
		Subjects:  {`{"subject":{"type":"user"},"action":{"name":"a"},"resource":{"type":"r","id":"1"}}`: "", whole: "", `{"subject":{"type":"user"},"action":{"name":"a"},"resource":{"type":"r"}}`: "body.resource.id", `{"subject":{"type":"user"}}`: "body.action"},
		Resources: {`{"subject":{"type":"user","id":"1"},"action":{"name":"a"},"resource":{"type":"r"}}`: "", whole: "", `{"subject":{"type":"user"},"action":{"name":"a"},"resource":{"type":"r"}}`: "body.subject.id"},
		Actions:   {`{"subject":{"type":"user","id":"1"},"resource":{"type":"r","id":"1"}}`: "", `{"subject":{"type":"user","id":"1"},"action":7,"resource":{"type":"r","id":"1"}}`: "", whole: "", `{"subject":{"type":"user","id":"1"}}`: "body.resource"},
	} {
		for body, place := range bodies {
			_, err := ParseSearch([]byte(body), sought)
			if f, ok := err.(*fault.Error); (place == "") != (err == nil) || ok && f.Field != place {
				t.Errorf("%s for %s: %v, want a fault at %q", body, sought, err, place)
			}
		}
	}
	for page, want := range map[string]string{
		`{}`: "50 ", `null`: "50 ", `{"limit":7,"token":"t","properties":{}}`: "7 t", `{"limit":0,"token":""}`: "50 ", `{"limit":1000}`: "200 ",
		`7`: "body.page", `{"limit":-1}`: "body.page.limit", `{"limit":1.5}`: "body.page.limit", `{"limit":"1"}`: "body.page.limit", `{"limit":1e99}`: "body.page.limit", `{"token":1}`: "body.page.token",
	} {
		s, err := ParseSearch([]byte(whole[:len(whole)-1]+`,"page":`+page+`}`), Actions)
		got := fmt.Sprint(s.Limit, " ", s.Token)
		if f, ok := err.(*fault.Error); ok {
			got = f.Field
		}
		if got != want {
			t.Errorf("%s: %s, want %s", page, got, want)
		}
	}
}

// Whatever comes, it is a question with all that a question has, or a fault that says
// where it is none.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Fuzz(func(t *testing.T, body []byte) {
		sound := func(err error) bool {
			if err == nil {
				return true
			}
			if f, ok := err.(*fault.Error); !ok || f.Kind != fault.Invalid || !strings.HasPrefix(f.Field, "body") || f.Message == "" {
				t.Errorf("%q: %v", body, err)
			}
			return false
		}
		complete := func(e Evaluation) {
			if e.Subject.Type == "" || e.Subject.ID == "" || e.Action.Name == "" || e.Resource.Type == "" || e.Resource.ID == "" {
				t.Errorf("%q: %+v", body, e)
			}
		}
		e, err := ParseEvaluation(body)
		if sound(err) {
			complete(e)
		}
		one := err == nil
		all, err := ParseEvaluations(body)
		if sound(err) {
			if all.Single != nil {
				complete(*all.Single)
			} else if len(all.Items) == 0 {
				t.Errorf("%q: no question", body)
			}
			if all.Single != nil != one && all.Items == nil {
				t.Errorf("%q is one question, and it is not", body)
			}
		}
		for _, i := range all.Items {
			if sound(i.Err) {
				complete(i.Evaluation)
			}
		}
		for _, sought := range []Sought{Subjects, Resources, Actions} {
			s, err := ParseSearch(body, sought)
			if sound(err) && (s.Subject.Type == "" || s.Resource.Type == "" || s.Limit < 1 || s.Limit > MostResults || sought == Subjects && s.Subject.ID != "") {
				t.Errorf("%q for %s: %+v", body, sought, s)
			}
		}
	})
}
