package policy

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/principal"
)

// whole is a file with everything that there can be in one.
const whole = `version: 1
roles:
  refunder:
    permissions: [orders:refund]
  support:
    description: Helps people
    inherits: [refunder, viewer]
    permissions:
      - orders:read
  empty:
groups:
  desk:
    description: Who answers
  nobody: {}
resources:
  orders:
    identifier: https://orders.example.com
    name: Orders
    permissions: [orders:read, {name: orders:refund, description: Give money back}]
    access_ttl: 5m
    signing_alg: PS256
  stock: {identifier: 'urn:stock'}
clients:
  billing:
    client_name: Billing
    status: disabled
    token_endpoint_auth_method: client_secret_post
    grant_types: []
    scope: [orders:read, stock:read]
    default_scope: [orders:read]
    audiences: [https://orders.example.com]
  plain: {}
grants:
  users:
    ana: [support]
    ben:
      - role: support
        until: 2999-01-01T00:00:00Z
        reason: covers for Ana
  clients:
    billing: [support]
  groups:
    desk: [refunder]
members:
  desk:
    users:
      - ana
      - name: ben
        until: 2999-01-01T00:00:00Z
        reason: covers for Ana
    clients: [billing]
`

func TestRead(t *testing.T) {
	d, err := Read("policy.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Roles) != 3 || len(d.Clients) != 2 || len(d.Grants) != 4 || len(d.Groups) != 2 || len(d.Members) != 3 || len(d.Resources) != 2 || d.Resources["orders"].AccessTTL != 5*time.Minute || d.Resources["orders"].Permissions[1].Description != "Give money back" || d.Roles["support"].Description != "Helps people" {
		t.Errorf("read %+v", d)
	}
	if c := d.Clients["plain"]; c.Name != "plain" || c.Status != "active" || c.Method != "client_secret_basic" || len(c.Grants) != 1 {
		t.Errorf("a client of nothing is %+v", c)
	}
	ben := d.Grants[Subject{principal.User, "ben"}]
	if len(ben) != 1 || ben[0].Role != "support" || ben[0].Reason != "covers for Ana" || !ben[0].Until.Equal(time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("ben has %+v", ben)
	}
	// What is not there is not the same as what is there and empty.
	d, err = Read("policy.yaml", []byte("version: 1\nclients: {}\ngrants:\n"))
	if err != nil || d.Roles != nil || d.Clients == nil || d.Grants == nil {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestReadMistakes(t *testing.T) {
	const begin = "version: 1\n"
	for _, r := range []struct{ name, yaml, want string }{
		{"nothing", "", "p.yaml: there is nothing in it"},
		{"comments", "# nothing\n", "p.yaml: there is nothing in it"},
		{"no version", "roles: {}\n", "p.yaml: version is missing; it is 1"},
		{"another version", "version: 2\n", "p.yaml:1:1: version: only version 1 is known"},
		{"a version as a list", "version: [1]\n", "p.yaml:1:1: version: only version 1 is known"},
		{"a list", "- a\n", "p.yaml: is not a policy"},
		{"a text", "policy\n", "p.yaml: is not a policy"},

		{"unknown section", begin + "rolls: {}\n", "p.yaml:2:1: rolls: unknown; did you mean roles?"},
		{"unknown section, far", begin + "banana: {}\n", "p.yaml:2:1: banana: unknown; there can be version, roles"},
		{"unknown key", begin + "roles:\n  a:\n    permisssions: [x]\n", "p.yaml:4:5: roles.a.permisssions: unknown; did you mean permissions?"},
		{"unknown key of a grant", begin + "grants:\n  users:\n    ana:\n    - role: a\n      untl: x\n", "p.yaml:6:7: grants.users.ana[0].untl: unknown; did you mean until?"},
		{"twice", begin + "roles:\n  a: {}\n  b: {}\n  a: {}\n", "p.yaml:5:3: a: is here twice; it is on line 3 too"},
		{"a section twice", begin + "roles: {}\nroles: {}\n", "p.yaml:3:1: roles: is here twice; it is on line 2 too"},
		{"a field twice", begin + "roles: {a: {permissions: [], permissions: []}}\n", "is here twice"},
		{"a secret", begin + "clients: {a: {client_secret: dws_x}}\n", "clients.a.client_secret: unknown"},

		{"roles as a list", begin + "roles: [a]\n", "p.yaml:2:1: roles: is to have names below it"},
		{"a role as a text", begin + "roles: {a: b}\n", "p.yaml:2:9: roles.a: is to have names below it"},
		{"permissions as a text", begin + "roles: {a: {permissions: x}}\n", "p.yaml:2:13: roles.a.permissions: is a list"},
		{"a permission as a number", begin + "roles: {a: {permissions: [1]}}\n", "roles.a.permissions[0]: is to be text; put it in quotes"},
		{"a permission as a list", begin + "roles: {a: {permissions: [[x]]}}\n", "roles.a.permissions[0]: is to be text"},
		{"no permission", begin + "roles: {a: {permissions: [~]}}\n", "roles.a.permissions[0]: is to be text"},
		{"a name as a number", begin + "roles: {1: {}}\n", "p.yaml:2:9: a key is to be text"},
		{"a name as a list", begin + "roles: {[a]: {}}\n", "a key is to be text"},
		{"a name that is nothing", begin + "roles: {~: {}}\n", "a key is to be text"},
		{"a description as a list", begin + "roles: {a: {description: [x]}}\n", "roles.a.description: is to be text"},

		{"a wildcard", begin + "roles:\n  a:\n    permissions:\n    - x\n    - orders:*\n", "p.yaml:6:7: roles.a.permissions[1]: a permission holds a \"*\""},
		{"a permission twice", begin + "roles: {a: {permissions: [x, x]}}\n", "roles.a.permissions[1]: \"x\" is there twice"},
		{"a bad name", begin + "roles: {Big Role: {}}\n", "roles.Big Role: a role's name is 1 to 64"},
		{"an empty name", begin + "roles: {'': {}}\n", "a role's name is 1 to 64"},
		{"an escape in a name", begin + "roles: {\"\\e[31m\": {}}\n", `"roles.\x1b[31m": a role's name`},
		{"NUL", begin + "roles: {a: {description: \"a\\0b\"}}\n", "roles.a.description: control characters are not allowed"},
		{"a built-in role", begin + "roles:\n  admin: {permissions: [x]}\n", "p.yaml:3:3: roles.admin: is built in"},
		{"a line break", begin + "roles: {a: {description: \"a\\nb\"}}\n", "roles.a.description: control characters"},

		{"a bad client", begin + "clients: {Big One: {}}\n", "clients.Big One: it is 1 to 64"},
		{"the built-in client", begin + "clients: {doorward: {}}\n", "it is that of the built-in client"},
		{"a bad status", begin + "clients: {a: {status: gone}}\n", "clients.a.status: it is active or disabled"},
		{"a method that is none", begin + "clients: {a: {token_endpoint_auth_method: own}}\n", "clients.a.token_endpoint_auth_method: "},
		{"a registration of no client", begin + "clients: {a: {registration: {redirects: []}}}\n", "clients.a.registration: does not fit: unknown field \"redirects\""},
		{"a redirect URI", begin + "clients: {a: {registration: {redirect_uris: [\"http://a.example\"]}}}\n", "clients.a"},
		{"another grant", begin + "clients: {a: {grant_types: [password]}}\n", "clients.a.grant_types: "},
		{"a scope as a text", begin + "clients: {a: {scope: a b}}\n", "clients.a.scope: is a list"},
		{"a default beyond", begin + "clients: {a: {scope: [a], default_scope: [b]}}\n", "clients.a.default_scope: each is one of scope"},
		{"an audience that is none", begin + "clients: {a: {audiences: [x]}}\n", "clients.a.audiences: "},

		{"a bad username", begin + "grants: {users: {Ana: []}}\n", "grants.users.Ana: is not a username"},
		{"an email", begin + "grants: {users: {a@example.com: []}}\n", "is not a username"},
		{"a role of no name", begin + "grants: {users: {ana: [{reason: x}]}}\n", "grants.users.ana[0]: is to name a role"},
		{"a role twice", begin + "grants: {users: {ana: [a, {role: a, reason: x}]}}\n", "grants.users.ana[1]: role \"a\" is there twice"},
		{"no time", begin + "grants: {users: {ana: [{role: a, until: soon}]}}\n", "grants.users.ana[0].until: is a time, like"},
		{"grants as a text", begin + "grants: {users: {ana: a}}\n", "grants.users.ana: is a list"},
		{"a group", begin + "grants: {people: {}}\n", "grants.people: unknown"},

		{"a bad group", begin + "groups: {Big One: {}}\n", "groups.Big One: a group's name is 1 to 64"},
		{"a group with roles", begin + "groups: {a: {roles: [b]}}\n", "groups.a.roles: unknown; there can be description"},
		{"a member twice", begin + "members: {a: {users: [ana, {name: ana}]}}\n", "members.a.users[1]: \"ana\" is there twice"},
		{"a member with a bad name", begin + "members: {a: {users: [Ana]}}\n", "members.a.users[0]: is not a username"},
		{"members as a list", begin + "members: {a: [ana]}\n", "members.a: is to have names below it"},
		{"a group in a group", begin + "members: {a: {groups: [b]}}\n", "members.a.groups: unknown"},

		{"an API without an identifier", begin + "resources: {a: {}}\n", "p.yaml:2:13: resources.a: it is an absolute URI without a fragment"},
		{"a bad identifier", begin + "resources: {a: {identifier: x}}\n", "resources.a.identifier: it is an absolute URI"},
		{"no duration", begin + "resources: {a: {identifier: 'urn:a', access_ttl: 300}}\n", "resources.a.access_ttl: is a duration, like 5m"},
		{"a short lifetime", begin + "resources: {a: {identifier: 'urn:a', access_ttl: 1s}}\n", "resources.a.access_ttl: it is from 60 to 86400 seconds"},
		{"an algorithm that is none", begin + "resources: {a: {identifier: 'urn:a', signing_alg: none}}\n", "resources.a.signing_alg: it is ES256"},
		{"a wildcard of an API", begin + "resources: {a: {identifier: 'urn:a', permissions: ['*']}}\n", "resources.a.permissions: each is a permission"},

		{"an anchor", begin + "roles: &a {}\n", "p.yaml:2:1: roles: anchors and aliases are refused"},
		{"an alias", begin + "roles: *a\n", "p.yaml:2: anchors and aliases are refused"},
		{"a known alias", begin + "roles: {a: &x {}, b: *x}\n", "anchors and aliases are refused"},
		{"a merge", begin + "roles: {a: {<<: {permissions: [x]}}}\n", "a key is to be text"},
		{"a tag", begin + "roles: !!map {}\n", "tags are refused"},
		{"a tag at a key", begin + "!!str roles: {}\n", "tags are refused"},
		{"a binary", begin + "roles: {a: {description: !!binary YQ==}}\n", "tags are refused"},
		{"two documents", begin + "---\nversion: 1\n", "p.yaml:2: begins a second document"},
		{"a tab", begin + "roles:\n\ta: {}\n", "p.yaml:3: found character that cannot start any token"},
		{"a NUL", begin + "roles: \x00\n", "p.yaml: control characters are not allowed"},
		{"not UTF-8", begin + "roles: \xff\n", "p.yaml:2: is not UTF-8"},
		{"too long", begin + "#" + strings.Repeat(" ", MostFile), "p.yaml: is longer than 8 MiB"},
		{"deep", begin + "roles: " + strings.Repeat("[", 20_000), "p.yaml:2: exceeded max depth"},
		{"deep, and whole", begin + "roles: " + strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000), "p.yaml:2:1: roles: is to have names below it"},
	} {
		_, err := Read("p.yaml", []byte(r.yaml))
		if err == nil || !strings.Contains(err.Error(), r.want) {
			t.Errorf("%s: %v; want %s", r.name, err, r.want)
		}
	}
}

// All mistakes are told at once, up to a hundred.
func TestReadAllMistakes(t *testing.T) {
	_, err := Read("p.yaml", []byte("version: 3\nrolls: {}\nclients: {a: {scope: [x, 'a b'], status: x}}\ngrants: {users: {A: [b b]}}\n"))
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 5 {
		t.Errorf("%d lines:\n%v", len(lines), err)
	}
	var b strings.Builder
	b.WriteString("version: 1\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "roles%d: x\n", i)
	}
	_, err = Read("p.yaml", []byte(b.String()))
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 101 || lines[100] != "and 19900 more" {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

// An alias bomb is refused before anything is made of it.
func TestReadAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\na0: &a0 [x]\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9))
	}
	began := time.Now()
	if _, err := Read("p.yaml", []byte(b.String())); err == nil || time.Since(began) > time.Second {
		t.Errorf("%v, after %v", err, time.Since(began))
	}
}

// What is written is read as the same, and written as the same bytes.
func roundTrip(t *testing.T, d *Document) {
	t.Helper()
	first := write(t, d)
	again, err := Read("again.yaml", first)
	if err != nil {
		t.Fatalf("what was written is not read: %v\n%s", err, first)
	}
	if second := write(t, again); !bytes.Equal(first, second) {
		t.Errorf("written\n%s\nand then\n%s", first, second)
	}
}

func write(t *testing.T, d *Document) []byte {
	t.Helper()
	var s State
	for _, name := range byName(d.Roles) {
		s.Roles = append(s.Roles, d.Roles[name])
	}
	for _, name := range byName(d.Groups) {
		s.Groups = append(s.Groups, Group{Group: d.Groups[name]})
	}
	for _, id := range byName(d.Resources) {
		s.Resources = append(s.Resources, d.Resources[id])
	}
	for _, id := range byName(d.Clients) {
		s.Clients = append(s.Clients, d.Clients[id])
	}
	e := newExport(s, true)
	for subject, list := range d.Grants {
		e.add(subject, list, nil)
	}
	for subject, places := range d.Members {
		e.add(subject, nil, places)
	}
	var b bytes.Buffer
	if err := e.WriteYAML(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWrite(t *testing.T) {
	d, err := Read("policy.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, d)
	// Names that YAML could take for something else.
	odd, err := Read("p.yaml", []byte("version: 1\nroles: {'1': {permissions: ['2', 'true', '0x1f', '2001-01-01', '1e3', '#a', '&a', '!a', \"'\", '~']}, 'null': {}, 'no': {}, '1.5': {}}\nclients: {'7': {}}\ngrants: {users: {'007': ['1', 'null']}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, odd)
	if again, err := Read("p.yaml", write(t, odd)); err != nil || !reflect.DeepEqual(sorted(again.Roles["1"].Permissions), sorted(odd.Roles["1"].Permissions)) {
		t.Errorf("%+v, %v", again, err)
	}
}

// No file makes Read panic or hang, and what it accepts is written so that it is
// read as the same.
func FuzzRead(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("version: 1\nroles: {a: {inherits: [b]}, b: {inherits: [a]}}\n"))
	f.Add([]byte("version: 1\ngrants: {users: {ana: [{role: a, until: 2027-01-01T00:00:00.5+02:00}]}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64<<10 {
			return // the parser of YAML needs its time
		}
		d, err := Read("p.yaml", data)
		if err != nil {
			return
		}
		roundTrip(t, d)
	})
}
