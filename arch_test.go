// Package doorward_test holds the laws of the house: which package may import
// which, and what every file must keep to. Each law is one test, and its
// failure says what to do.
package doorward_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/doorward/doorward/"

// plan is the plan of the house, from the ground up; a line is a floor. A
// package imports only packages of lower floors: never its neighbours, never
// what stands above it. The ground imports the standard library alone.
//
// A package that is not on the plan fails the test, so that every new room is
// given its place by a person.
const plan = `
	ground    internal/clock internal/fault internal/id internal/memo internal/principal internal/secret
	ground    internal/strictjson internal/load
	documents internal/jose internal/strictyaml
	words     internal/audit internal/authzen internal/config internal/feed internal/fetch internal/oauth internal/ssf internal/status internal/web
	domain    internal/account internal/apikey internal/client internal/condition internal/factor internal/grant internal/keyring
	domain    internal/limit internal/org internal/outbox internal/rbac internal/resource internal/session
	issue     internal/access internal/issue internal/policy
	surfaces  internal/admin internal/console internal/counter internal/mail internal/provider internal/reference internal/signin internal/sink internal/store
	server    internal/server
	command   cmd/doorward
`

// apart is the public package. It imports the standard library alone, and the
// table only says who imports it.
const apart = "guard"

// rooms are where tests, measurements, examples and what go generate runs live.
// They see everything, and nobody sees them.
const rooms = `
	internal/need internal/testpg/... internal/testredis internal/testrun internal/factor/commongen
	internal/reference/swaggergen
	internal/store/storetest internal/servertest internal/e2e internal/storm/...
	bench/... examples/...
`

// exceptions are imports that the floors forbid, each with the reason why it
// must be: importer, imported, reason. One that is no longer needed goes.
const exceptions = `
`

// only says who may import the packages that draw in a world of their own: the
// database, the network, the terminal. Rooms may, except what nobody may.
const only = `
	database/sql                         internal/store
	github.com/jackc/pgx/v5              internal/store
	modernc.org/sqlite                   internal/store
	github.com/pressly/goose/v3          internal/store
	net/http                             internal/fetch internal/web internal/provider internal/reference internal/signin internal/admin internal/console internal/sink internal/server cmd/doorward guard
	github.com/danielgtaylor/huma/v2     internal/admin internal/server
	github.com/spf13/cobra               cmd/doorward
	github.com/gomodule/redigo           internal/counter
	github.com/wneessen/go-mail          internal/mail
	github.com/cedar-policy/cedar-go     internal/condition
	internal/web                         internal/provider internal/reference internal/signin internal/admin internal/console internal/server
	guard                                internal/server cmd/doorward
	testing                              rooms
	math/rand                            nobody
`

func TestFloors(t *testing.T) {
	allowed := map[string]bool{} // exceptions, and whether they were needed
	for _, row := range table(exceptions) {
		if len(row) < 3 {
			t.Errorf("the exception %q needs an importer, an import and a reason", strings.Join(row, " "))
			continue
		}
		allowed[row[0]+" "+row[1]] = false
	}
	for _, p := range list(t) {
		if floors[p.name].number == 0 && p.name != apart && !isRoom(p.name) {
			t.Errorf("%s is not on the plan: give it its floor in arch_test.go, and say why in the commit", p.name)
			continue
		}
		for _, i := range p.Imports {
			i = strings.TrimPrefix(i, module)
			if _, ok := allowed[p.name+" "+i]; ok {
				allowed[p.name+" "+i] = true
			} else if why := against(p.name, i); why != "" {
				t.Errorf("%s imports %s: %s", p.name, i, why)
			}
		}
	}
	for _, pair := range sorted(allowed) {
		if !allowed[pair] {
			t.Errorf("%s: there is no such import any more; take the exception out of arch_test.go", pair)
		}
	}
}

// against returns what the floors have against an import, if anything. Names
// are without the module.
func against(importer, imported string) string {
	from, to := floors[importer], floors[imported]
	switch {
	case isRoom(importer) || imported == apart && importer != apart: // the table only has a word on apart
		return ""
	case isRoom(imported):
		return "the product never imports what is there for tests"
	case importer == apart || from.name == "ground":
		if to.number == 0 && standard(imported) {
			return ""
		}
		return "this one imports the standard library alone; what needs more stands on a floor above"
	case to.number == 0 || to.number < from.number: // not ours, or below
		return ""
	}
	return fmt.Sprintf("imports go down, and this is from %s to %s. Move what both need to a floor below, "+
		"or let a floor above bring the two together", from.name, to.name)
}

func TestOnly(t *testing.T) {
	packages := list(t)
	for _, row := range table(only) {
		world, who := row[0], row[1:]
		for _, p := range packages {
			imports := p.Imports
			if who[0] == "nobody" {
				imports = slices.Concat(p.Imports, p.TestImports, p.XTestImports)
			} else if isRoom(p.name) || slices.Contains(who, p.name) {
				continue
			}
			for _, i := range imports {
				if i = strings.TrimPrefix(i, module); within(i, world) && !within(p.name, world) {
					t.Errorf("%s imports %s, which is for %s: hand it in from there, as a value or behind an interface", p.name, i, strings.Join(who, ", "))
				}
			}
		}
	}
}

// The laws above are quiet while they are kept, so here is what they would say.
func TestFloorsBite(t *testing.T) {
	for _, tt := range []struct {
		importer, imported string
		ok                 bool
	}{
		{"internal/limit", "internal/clock", true},
		{"internal/limit", "internal/oauth", true},
		{"internal/limit", "context", true},
		{"internal/limit", "golang.org/x/crypto/bcrypt", true},
		{"internal/server", "guard", true},
		{"internal/testrun", "internal/testpg", true},
		{"examples/orders", "guard", true},
		{"guard", "net/http", true},
		{"internal/limit", "internal/session", false},      // a neighbour
		{"internal/limit", "internal/apikey", false},       // a neighbour on the plan's other line
		{"internal/limit", "internal/store", false},        // up
		{"internal/limit", "internal/testpg", false},       // a room
		{"internal/limit", "internal/testpg/cmd", false},   // under a room
		{"internal/clock", "internal/fault", false},        // the ground has no neighbours
		{"internal/memo", "github.com/any/library", false}, // the ground is std
		{"internal/jose", "internal/strictjson", true},     // which is below the documents
		{"guard", "golang.org/x/crypto/bcrypt", false},     // so is guard
		{"guard", "internal/jose", false},
		{"guard", "internal/testrun", false},
		{"internal/provider", "internal/signin", false},
		{"internal/provider", "internal/server", false},
		{"internal/store", "internal/store/storetest", false},
	} {
		if why := against(tt.importer, tt.imported); (why == "") != tt.ok {
			t.Errorf("%s imports %s: %q", tt.importer, tt.imported, why)
		}
	}
}

// Every name in the tables above is one that can be: a slip there would quietly
// allow or forbid nothing.
func TestPlanIsWellFormed(t *testing.T) {
	known := func(name string) bool { return floors[name].number > 0 || name == apart }
	for _, row := range table(only) {
		if strings.HasPrefix(row[0], "internal/") && !known(row[0]) {
			t.Errorf("only: %s is not on the plan", row[0])
		}
		for _, name := range row[1:] {
			if !known(name) && name != "rooms" && name != "nobody" {
				t.Errorf("only %s: %s is not on the plan", row[0], name)
			}
		}
	}
	seen := map[string]bool{}
	for _, row := range table(plan + rooms) {
		for _, name := range row {
			if strings.Contains(name, "/") && seen[name] {
				t.Errorf("%s is on the plan twice", name)
			}
			seen[name] = true
		}
	}
}

// floor is a line of the plan: its name, and its number from the ground up. What
// is not on the plan has the number 0.
type floor struct {
	name   string
	number int
}

var floors = floorsOf(plan)

// floorsOf gives each package of the plan its floor. Lines of one name are one
// floor.
func floorsOf(text string) map[string]floor {
	floors := map[string]floor{}
	var f floor
	for _, row := range table(text) {
		if row[0] != f.name {
			f = floor{row[0], f.number + 1}
		}
		for _, name := range row[1:] {
			floors[name] = f
		}
	}
	return floors
}

// table splits a text into lines and words.
func table(text string) (rows [][]string) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 0 && f[0] != "#" {
			rows = append(rows, f)
		}
	}
	return rows
}

func isRoom(name string) bool {
	return slices.ContainsFunc(strings.Fields(rooms), func(r string) bool {
		tree, whole := strings.CutSuffix(r, "/...")
		return name == tree || whole && within(name, tree)
	})
}

// within reports whether a package is root or stands under it.
func within(name, root string) bool {
	return name == root || strings.HasPrefix(name, root+"/")
}

// standard reports whether an import is of the standard library, whose paths
// have no dot in their first part.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// listed is what the go command says of a package.
type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string

	name string // ImportPath without the module
}

// list returns the packages of this module, except this one.
func list(t *testing.T) (packages []listed) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name, ok := strings.CutPrefix(p.ImportPath, module)
		if p.name = name; ok {
			packages = append(packages, p)
		}
	}
	if len(packages) == 0 {
		t.Fatal("go list names no package")
	}
	return packages
}
