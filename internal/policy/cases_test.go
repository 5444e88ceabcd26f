package policy

import (
	"strings"
	"testing"
	"time"
)

func TestParseCases(t *testing.T) {
	cases, err := ParseCases("cases", []byte("# who may do what\n\nana can orders:refund in acme\r\n  support\tcannot users:write   # only admins\nclient:billing can a#b\nuser:ana can write"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Case{
		{3, "", "ana", true, "orders:refund", "acme"},
		{4, "", "support", false, "users:write", ""},
		{5, "client", "billing", true, "a#b", ""},
		{6, "user", "ana", true, "write", ""},
	}
	if len(cases) != len(want) {
		t.Fatalf("%d cases", len(cases))
	}
	for i, c := range cases {
		if c != want[i] {
			t.Errorf("%+v; want %+v", c, want[i])
		}
	}
	for _, r := range []struct{ text, want string }{
		{"", "cases: there is no case in it"},
		{"# nothing\n\n", "cases: there is no case in it"},
		{"ana\n", "cases:1: is no case; write it like"},
		{"ana can\n", "cases:1: is no case"},
		{"\nana can read write\n", "cases:2: is no case"},
		{"ana can read at acme\n", "cases:1: is no case"},
		{"ana can read in acme today\n", "cases:1: is no case"},
		{"ana may read\n", `cases:1: says neither can nor cannot: "may"`},
		{"ana Can read\n", "says neither can nor cannot"},
		{"team:ops can read\n", `is about "team", and cases are about user, role, group, client`},
		{":ana can read\n", "is about"},
		{"user: can read\n", "names nobody"},
		{"ana can orders:*\n", "a permission holds a \"*\""},
		{"ana cannot openid\n", "cases:1: "},
		{"ana can re\xffad\n", "is not UTF-8"},
		{"ana can re\x00ad\n", "cases:1: "},
		{strings.Repeat("ana can read\n", MostCases+1), "there are more than 10000 cases"},
		{strings.Repeat("#", MostFile+1), "is longer than 8 MiB"},
	} {
		if _, err := ParseCases("cases", []byte(r.text)); err == nil || !strings.Contains(err.Error(), r.want) {
			t.Errorf("%.40q: %v; want %s", r.text, err, r.want)
		}
	}
	if _, err := ParseCases("cases", []byte("a b\nc d\ne can read\n")); strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("not both mistakes: %v", err)
	}
}

func FuzzParseCases(f *testing.F) {
	f.Add([]byte("ana can orders:refund in acme # x\nrole:support cannot users:write\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cases, err := ParseCases("cases", data)
		if err != nil {
			return
		}
		for _, c := range cases {
			again, err := ParseCases("cases", []byte(c.String()))
			if c.Line = 1; err != nil || len(again) != 1 || again[0] != c {
				t.Errorf("%+v is written %q and read %+v, %v", c, c, again, err)
			}
		}
	})
}

const tested = `version: 1
roles:
  refunder: {permissions: [orders:refund]}
  support: {inherits: [refunder], permissions: [orders:read]}
  ben: {permissions: [b]}
clients:
  billing: {scope: [orders:read]}
  off: {scope: [orders:read], status: disabled}
grants:
  users:
    ana: [support, {role: editor, until: 2026-01-02T00:00:00Z}]
    ben: [viewer, {role: admin, until: 2025-12-31T00:00:00Z}]
  clients:
    billing: [support]
    off: [support]
`

func TestOffline(t *testing.T) {
	d, err := Read("p.yaml", []byte(tested))
	if err != nil {
		t.Fatal(err)
	}
	j, err := NewOffline(d, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"ana can orders:refund":               "user:ana → role:support → role:refunder → orders:refund",
		"ana can write":                       "user:ana → role:editor → write",
		"ana cannot users:write":              "has none of the roles that hold \"users:write\": admin",
		"user:ben cannot users:write":         "but that grant ended at 2025-12-31T00:00:00Z",
		"user:ben can read":                   "user:ben → role:viewer → read",
		"role:ben can b":                      "role:ben → b",
		"support can orders:refund":           "role:support → role:refunder → orders:refund",
		"support cannot users:write":          "has none of the roles",
		"viewer can read":                     "role:viewer → read",
		"billing can orders:read":             "client:billing → role:support → orders:read",
		"client:billing cannot orders:refund": "is not registered for this scope",
		"off cannot orders:read":              "The client is disabled.",

		"! ana can users:write":        "has none of the roles",
		"! ana cannot read":            "user:ana → role:editor → role:viewer → read",
		"! ben can read":               "it could be any of them; say which: user:ben or role:ben",
		"! ben cannot users:write":     "it could be any of them",
		"! zoe can read":               `there is no user, role, group or client "zoe"`,
		"! zoe cannot read":            `there is no user, role, group or client "zoe"`,
		"! user:support cannot read":   `there is no user "support"`,
		"! role:ana cannot read":       `there is no role "ana"`,
		"! client:zoe cannot read":     `there is no client "zoe"`,
		"! ana can orders:read in far": "elsewhere, but not in this organization",
	} {
		line, fails := strings.CutPrefix(text, "! ")
		cases, err := ParseCases("cases", []byte(line))
		if err != nil {
			t.Fatal(err)
		}
		results, err := Run(t.Context(), cases, j)
		if err != nil {
			t.Fatal(err)
		}
		r := results[0]
		if said := r.Reason + strings.Join(r.Path, " → "); r.Passed == fails || !strings.Contains(said, want) {
			t.Errorf("%s: passed = %t: %q; want %s", line, r.Passed, said, want)
		}
	}
	// A file that can be no policy answers nothing.
	for _, text := range []string{
		"roles: {a: {inherits: [b]}, b: {inherits: [a]}}", "roles: {a: {inherits: [viewr]}}", "grants: {users: {ana: [nobody]}}", "grants: {clients: {x: [viewer]}}",
	} {
		d, err := Read("p.yaml", []byte("version: 1\n"+text+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewOffline(d, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil || !strings.HasPrefix(err.Error(), "p.yaml") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
