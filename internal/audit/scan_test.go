package audit

import (
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/principal"
)

// agrees holds what the scanner reads against what encoding/json does.
func agrees(t interface{ Errorf(string, ...any) }, data []byte) (scanned bool) {
	got, ok := scanLeaf(data)
	if !ok {
		return false
	}
	var want Leaf
	if err := json.Unmarshal(data, &want); err != nil {
		t.Errorf("%q is no JSON, and was read: %v", data, err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("%q is read as\n%+v, and by encoding/json as\n%+v", data, got, want)
	}
	return true
}

// An event is read by the scanner as encoding/json reads it, and the usual one is
// read by the scanner.
func TestScanLeaf(t *testing.T) {
	by := principal.Principal{Kind: principal.User, ID: "06h2cl91gb8k3mccglsp25rm6c", Client: "doorward", Origin: principal.Origin{RequestID: "R", Address: "192.0.2.7"}}
	usual := record(t, Now(by, at, TokenRefreshed, "family:06h2cl91gb8k3mccglsp25rm6c").With("scope", "orders:read").About("other", map[string]string{"name": "x"})).Public
	if !agrees(t, usual) {
		t.Errorf("%s is left to encoding/json", usual)
	}
	for name, special := range map[string]Event{
		"retired":   Now(by, at, AuditRetired, "audit:events").With("until_leaf", "7"),
		"a key":     Now(by, at, AuditKeyCreated, "audit-key:1").With("public_key", "x").With("voucher", "y"),
		"lists":     Now(by, at, RoleUpdated, "role:x").WithList("permissions_added", []string{"a"}),
		"escaped":   Now(by, at, LoginFailed, "user:\"x\"").Because(Failure, "<b>"),
		"not ASCII": Now(by, at, LoginFailed, "user:é"),
	} {
		if data := record(t, special).Public; agrees(t, data) {
			t.Errorf("%s: %s was not left to encoding/json", name, data)
		}
	}
	texts := rapid.SampledFrom([]string{"", "a", "user:x", "until_leaf", "UNTIL_LEAF", "é", `"`, "<", "voucher", "a,b", "]", "}"})
	rapid.Check(t, func(t *rapid.T) {
		p := public{
			V: rapid.IntRange(0, 2).Draw(t, "v"), ID: texts.Draw(t, "id"), At: texts.Draw(t, "at"), Action: Action(texts.Draw(t, "action")),
			OWASP: texts.Draw(t, "owasp"), Outcome: Outcome(texts.Draw(t, "outcome")), Actor: texts.Draw(t, "actor"), Client: texts.Draw(t, "client"),
			Target: texts.Draw(t, "target"), Reason: texts.Draw(t, "reason"), Request: texts.Draw(t, "request"),
			Detail: rapid.MapOf(texts, texts).Draw(t, "detail"), Private: rapid.SliceOf(texts).Draw(t, "private"), Persons: rapid.SliceOf(texts).Draw(t, "persons"),
		}
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		agrees(t, data)
	})
}

func FuzzScanLeaf(f *testing.F) {
	for _, s := range []string{
		`{"v":1,"id":"1","at":"2026-02-28T22:59:59.123456Z","action":"a","outcome":"success","actor":"user:x"}`,
		`{"v":1,"id":"1","at":"2","action":"a","owasp":"o","outcome":"success","actor":"user:x","client":"c","target":"t","reason":"r","request":"q","detail":{"a":"b","c":"d"},"private":["x","y"],"persons":["","z"]}`,
		`{"v":1,"id":"1","at":"2","action":"a","outcome":"","actor":"","private":[],"persons":[,]}`,
		`{"v":1,"id":"1","at":"2","action":"a","outcome":"","actor":"","detail":{}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { agrees(t, data) })
}
