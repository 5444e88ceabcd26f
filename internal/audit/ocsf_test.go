package audit_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/principal"
)

var update = flag.Bool("update", false, "write docs/reference/audit-events.md anew")

const reference = "../../docs/reference/audit-events.md"

// TestEveryActionIsMapped holds that each action has its name in OWASP's
// vocabulary, its class in OCSF, and words that say when it is recorded.
func TestEveryActionIsMapped(t *testing.T) {
	if len(audit.Actions()) < 26 {
		t.Fatalf("only %v", audit.Actions())
	}
	for _, a := range audit.Actions() {
		m := a.OCSF()
		if m.When == "" {
			t.Errorf("%s has no line in the table of ocsf.go: give it its class of OCSF, and say when it is recorded", a)
			continue
		}
		if a.OWASP() == "" || m.Class.UID/1000 != m.Class.Category || m.Activity < 1 || m.Name == "" || m.Severity < audit.Informational || m.Severity > audit.High {
			t.Errorf("%s: %q, %+v", a, a.OWASP(), m)
		}
	}
	if m := audit.Action("later.known").OCSF(); m.Activity != 99 || m.Class.UID != 6003 {
		t.Errorf("an action of a later version is %+v", m)
	}
}

// TestReferenceOfEvents holds the manual of the actions and the code together.
func TestReferenceOfEvents(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`# Events of the audit log

<!-- Made from the code by: go test ./internal/audit -run Reference -update -->

What is recorded, when, by which name of the OWASP Logging Vocabulary, and in which class of the Open Cybersecurity Schema
Framework (OCSF ` + audit.OCSFVersion + `) ` + "`doorward audit list -o ocsf`" + ` prints it. How to read and ship the log: [Reading and shipping](../guides/audit-sinks.md).

| action | when | OWASP | OCSF class | activity | severity |
| --- | --- | --- | --- | --- | --- |
`)
	for _, a := range audit.Actions() {
		m := a.OCSF()
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %d %s | %d %s | %s |\n", a, m.When, a.OWASP(), m.Class.UID, m.Class.Name, m.Activity, m.Name, m.Severity)
	}
	if *update {
		if err := os.WriteFile(reference, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(reference)
	if err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("%s is out of date (%v); run: go test ./internal/audit -run Reference -update", reference, err)
	}
}

// TestOCSF holds what a tool that knows the framework reads of an event.
func TestOCSF(t *testing.T) {
	at := time.Date(2026, 2, 28, 23, 59, 59, 999_000_000, time.UTC)
	ann := "0123456789abcdefghijklmnop"
	by := principal.Principal{Kind: principal.User, ID: ann, Client: "app", Origin: principal.Origin{RequestID: "R1", Address: "192.0.2.7", UserAgent: "agent"}}
	for _, tt := range []struct {
		event audit.Event
		want  map[string]any
	}{
		{audit.Now(by, at, audit.LoginFailed, "user:"+ann).Because(audit.Failure, "wrong-password"), map[string]any{
			"class_uid": 3002., "class_name": "Authentication", "category_uid": 3., "activity_id": 1., "type_uid": 300201., "severity_id": 2.,
			"status_id": 2., "status": "Failure", "status_detail": "wrong-password", "time": float64(at.UnixMilli()),
			"user": map[string]any{"uid": ann, "type": "user"}, "src_endpoint": map[string]any{"ip": "192.0.2.7"},
			"http_request": map[string]any{"uid": "R1", "user_agent": "agent"},
			"actor":        map[string]any{"user": map[string]any{"uid": ann, "type": "user"}, "app_name": "app"},
		}},
		{audit.Now(by, at, audit.RoleCreated, "role:x"), map[string]any{"class_uid": 3004., "status_id": 1., "entity": map[string]any{"uid": "x", "type": "role"}, "user": nil}},
		{audit.Now(by, at, audit.MemberAdded, "user:"+ann).With("group", "x"), map[string]any{
			"class_uid": 3006., "activity_name": "Add User", "group": map[string]any{"uid": "x", "type": "group"}, "user": map[string]any{"uid": ann, "type": "user"},
		}},
		{audit.Now(by, at, audit.AuditRead, "audit:events"), map[string]any{"class_uid": 6003., "category_uid": 6., "api": map[string]any{"operation": "Read"}}},
		{audit.Now(principal.Principal{Kind: principal.System, ID: "serve"}, at, audit.ServerStarted, "server"), map[string]any{
			"class_uid": 6002., "app": map[string]any{"name": "Doorward", "vendor_name": "Doorward"}, "src_endpoint": nil, "http_request": nil,
		}},
	} {
		r := tt.event.Record()
		e := audit.Entry{ID: r.ID, Leaf: 0, Public: r.Public}
		for i, p := range r.Private {
			e.Private = append(e.Private, audit.Part{Number: i, Person: p.Person, Data: p.Data})
		}
		text, err := e.OCSF()
		var got map[string]any
		if err != nil || json.Unmarshal(text, &got) != nil {
			t.Fatalf("%s, %v", text, err)
		}
		for name, want := range tt.want {
			if fmt.Sprint(got[name]) != fmt.Sprint(want) {
				t.Errorf("%s: %s is %v, want %v", r.Action, name, got[name], want)
			}
		}
		metadata, _ := got["metadata"].(map[string]any)
		if metadata["sequence"] != 0. || metadata["uid"] != r.ID || metadata["event_code"] != string(r.Action) {
			t.Errorf("%s: its metadata are %v", r.Action, metadata)
		}
		if !bytes.Contains(text, append([]byte(`"unmapped":`), r.Public...)) {
			t.Errorf("%s: the leaf's bytes are not in %s", r.Action, text)
		}
	}
	for _, bad := range []string{``, `[]`, `{"at":"yesterday"}`, `{"v":`} {
		if text, err := (audit.Entry{Public: []byte(bad)}).OCSF(); err == nil {
			t.Errorf("%q is shown as %s", bad, text)
		}
	}
}

// TestOCSFIsWhole holds each action against what version 1.4.0 of the framework
// requires of its class: attributes, the names of its activities, and that nobody
// is without a name.
func TestOCSFIsWhole(t *testing.T) {
	type class struct {
		must, may  []string // beside what all have
		activities map[int]string
	}
	crud := map[int]string{1: "Create", 2: "Read", 3: "Update", 4: "Delete"}
	from := []string{"src_endpoint", "http_request"}
	classes := map[int]class{
		3001: {[]string{"user"}, from, map[int]string{1: "Create", 2: "Enable", 3: "Password Change", 5: "Disable", 6: "Delete", 9: "Lock", 12: "Unlock"}},
		3002: {[]string{"user", "service"}, from, map[int]string{1: "Logon", 2: "Logoff", 3: "Authentication Ticket", 5: "Service Ticket Renew"}},
		3004: {[]string{"entity"}, from, map[int]string{1: "Create", 2: "Read", 3: "Update", 4: "Delete", 8: "Enable", 9: "Disable"}},
		3005: {[]string{"user", "privileges"}, from, map[int]string{1: "Assign Privileges", 2: "Revoke Privileges"}},
		3006: {[]string{"group"}, append([]string{"user"}, from...), map[int]string{3: "Add User", 4: "Remove User", 5: "Delete", 6: "Create"}},
		6002: {[]string{"app"}, nil, map[int]string{3: "Start", 4: "Stop"}},
		6003: {[]string{"api", "src_endpoint"}, []string{"resources", "http_request"}, crud},
	}
	all := strings.Fields("class_uid class_name category_uid category_name activity_id activity_name type_uid severity_id severity status_id status status_detail time metadata actor unmapped")
	for _, action := range audit.Actions() {
		for _, target := range []string{"user", "user:0123456789abcdefghijklmnop", "server"} {
			r := audit.Now(principal.Principal{Kind: principal.Anonymous}, time.Unix(1, 0), action, target).With("role", "editor").Because(audit.Failure, "why").Record()
			text, err := audit.Entry{Leaf: -1, Public: r.Public}.OCSF()
			var got map[string]any
			if err != nil || json.Unmarshal(text, &got) != nil {
				t.Fatalf("%s, %v", text, err)
			}
			m := action.OCSF()
			c, ok := classes[m.Class.UID]
			if !ok || m.Activity != 99 && c.activities[m.Activity] != m.Name || m.Activity == 99 && slices.Contains(slices.Collect(maps.Values(c.activities)), m.Name) {
				t.Errorf("%s is %+v", action, m)
			}
			for _, name := range c.must {
				if got[name] == nil {
					t.Errorf("%s upon %s has no %s, which its class requires", action, target, name)
				}
			}
			for name, value := range got {
				if !slices.Contains(slices.Concat(all, c.must, c.may), name) {
					t.Errorf("%s upon %s has %s, which its class does not know", action, target, name)
				}
				if o, ok := value.(map[string]any); ok && (name == "user" || name == "entity") && o["uid"] == nil {
					t.Errorf("%s upon %s: %s has no name: %v", action, target, name, o)
				}
			}
		}
	}
}
