// Package peers measures others with the data of Doorward's own benchmarks. It is a
// module of its own, so that nothing of theirs is among the product's dependencies.
package peers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/cedar-policy/cedar-go"

	"github.com/doorward/doorward/bench/decide"
)

const users = 10_000

const casbinModel = `
[request_definition]
r = sub, act
[policy_definition]
p = sub, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && g(r.sub, p.sub)
`

// loaded is what casbin's two enforcers have in common.
type loaded interface {
	AddPolicies(rules [][]string) (bool, error)
	AddGroupingPolicies(rules [][]string) (bool, error)
	Enforce(args ...any) (bool, error)
}

// load gives an enforcer the roles and the users. Without a database of its own it
// keeps them in memory.
func load(b *testing.B, e loaded) {
	b.Helper()
	var rules, groups [][]string
	for _, r := range decide.Policy() {
		for _, p := range r.Permissions {
			rules = append(rules, []string{r.Name, p})
		}
		for _, parent := range r.Inherits {
			groups = append(groups, []string{r.Name, parent})
		}
	}
	for u := range users {
		seen := map[string]bool{}
		for _, role := range decide.RolesOf(u) {
			if !seen[role] {
				groups = append(groups, []string{decide.User(u), role})
			}
			seen[role] = true
		}
	}
	if _, err := e.AddPolicies(rules); err != nil {
		b.Fatal(err)
	}
	if _, err := e.AddGroupingPolicies(groups); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCasbin asks 64 questions in turn. The cached enforcer has seen each of
// them before.
func BenchmarkCasbin(b *testing.B) {
	m, err := model.NewModelFromString(casbinModel)
	if err != nil {
		b.Fatal(err)
	}
	plain, err := casbin.NewEnforcer(m)
	if err != nil {
		b.Fatal(err)
	}
	load(b, plain)
	b.Run("plain", func(b *testing.B) { enforce(b, plain) })

	again, _ := model.NewModelFromString(casbinModel)
	cached, err := casbin.NewCachedEnforcer(again)
	if err != nil {
		b.Fatal(err)
	}
	load(b, cached)
	b.Run("cached", func(b *testing.B) { enforce(b, cached) })
}

func enforce(b *testing.B, e loaded) {
	questions := decide.Questions(64, users)
	check := func(q decide.Question) bool {
		ok, err := e.Enforce(decide.User(q.User), q.Permission)
		if err != nil {
			b.Fatal(err)
		}
		return ok
	}
	for i, q := range questions {
		if ok := check(q); i%2 == 0 && !ok {
			b.Fatalf("%s lacks %s", decide.User(q.User), q.Permission)
		}
	}
	names := make([]string, len(questions))
	for i, q := range questions {
		names[i] = decide.User(q.User)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		q := i & (len(questions) - 1)
		i++
		if _, err := e.Enforce(names[q], questions[q].Permission); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCedar knows roles as entities that users and roles are in. A permission is
// a resource. "roles" has one policy, and each permission says in an attribute which
// roles hold it; "policies" has a policy for each role.
func BenchmarkCedar(b *testing.B) {
	entities := cedar.EntityMap{}
	holders := map[string][]cedar.Value{}
	var text strings.Builder
	for _, r := range decide.Policy() {
		var parents []cedar.EntityUID
		for _, p := range r.Inherits {
			parents = append(parents, uid("Role", p))
		}
		entities[uid("Role", r.Name)] = cedar.Entity{UID: uid("Role", r.Name), Parents: cedar.NewEntityUIDSet(parents...)}
		var list []string
		for _, p := range r.Permissions {
			holders[p] = append(holders[p], uid("Role", r.Name))
			list = append(list, fmt.Sprintf("resource == Permission::%q", p))
		}
		fmt.Fprintf(&text, "permit (principal in Role::%q, action, resource) when { %s };\n", r.Name, strings.Join(list, " || "))
	}
	for p, roles := range holders {
		attributes := cedar.NewRecord(cedar.RecordMap{"roles": cedar.NewSet(roles...)})
		entities[uid("Permission", p)] = cedar.Entity{UID: uid("Permission", p), Attributes: attributes}
	}
	for u := range users {
		var parents []cedar.EntityUID
		for _, role := range decide.RolesOf(u) {
			parents = append(parents, uid("Role", role))
		}
		entities[uid("User", decide.User(u))] = cedar.Entity{UID: uid("User", decide.User(u)), Parents: cedar.NewEntityUIDSet(parents...)}
	}
	for name, policies := range map[string]string{
		"roles":    "permit (principal, action, resource) when { principal in resource.roles };",
		"policies": text.String(),
	} {
		set, err := cedar.NewPolicySetFromBytes("policies.cedar", []byte(policies))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			var requests []cedar.Request
			for i, q := range decide.Questions(64, users) {
				r := cedar.Request{Principal: uid("User", decide.User(q.User)), Action: uid("Action", "use"), Resource: uid("Permission", q.Permission)}
				if ok, _ := cedar.Authorize(set, entities, r); i%2 == 0 && !ok {
					b.Fatalf("%s lacks %s", decide.User(q.User), q.Permission)
				}
				requests = append(requests, r)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				cedar.Authorize(set, entities, requests[i&(len(requests)-1)])
				i++
			}
		})
	}
}

func uid(kind cedar.EntityType, name string) cedar.EntityUID {
	return cedar.NewEntityUID(kind, cedar.String(name))
}
