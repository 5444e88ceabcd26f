package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/rbac"
)

// MostCases is how many cases one file has at most.
const MostCases = 10_000

// Case is a line of a file of cases: "ana can orders:refund in acme".
type Case struct {
	Line         int
	Kind         string // user, role, group or client; empty: whoever has the name
	Name         string
	Can          bool
	Permission   string
	Organization string // empty: in none
}

// String returns the case as it is written.
func (c Case) String() string {
	subject, verb, where := c.Name, "cannot", ""
	if c.Kind != "" {
		subject = c.Kind + ":" + c.Name
	}
	if c.Can {
		verb = "can"
	}
	if c.Organization != "" {
		where = " in " + c.Organization
	}
	return subject + " " + verb + " " + c.Permission + where
}

// kinds are whom a case can be about.
var kinds = []string{"user", "role", "group", "client"}

// ParseCases reads a file of cases: one on a line; a word that begins with #, and
// what follows it, is a comment. The error is every mistake in it, each with its line.
func ParseCases(file string, data []byte) ([]Case, error) {
	if len(data) > MostFile {
		return nil, fault.At(file, "is longer than %d MiB", MostFile>>20)
	}
	var cases []Case
	var wrong mistakes
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		words := strings.Fields(line)
		if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "#") }); i >= 0 { // a permission may hold one
			words = words[:i]
		}
		if len(words) == 0 {
			continue
		}
		c, err := parseCase(words)
		if !utf8.ValidString(line) {
			err = fault.New(fault.Invalid, "is not UTF-8")
		}
		if err != nil {
			wrong.add(fmt.Sprintf("%s:%d", file, n), "%s", err.Error())
			continue
		}
		c.Line = n
		if cases = append(cases, c); len(cases) > MostCases {
			return nil, fault.At(file, "there are more than %d cases", MostCases)
		}
	}
	if n := len(cases) + len(wrong.list); n == 0 {
		return nil, fault.At(file, "there is no case in it")
	}
	return cases, wrong.all()
}

func parseCase(words []string) (c Case, err error) {
	switch {
	case len(words) == 5 && words[3] == "in":
		c.Organization = words[4]
	case len(words) != 3:
		return c, fault.New(fault.Invalid, "is no case; write it like: ana can orders:refund, or: ana cannot orders:refund in acme")
	}
	switch words[1] {
	case "can":
		c.Can = true
	case "cannot":
	default:
		return c, fault.New(fault.Invalid, "says neither can nor cannot: %.64q", words[1])
	}
	c.Name = words[0]
	if kind, name, prefixed := strings.Cut(words[0], ":"); prefixed {
		c.Kind, c.Name = kind, name
		if !slices.Contains(kinds, kind) {
			return c, fault.New(fault.Invalid, "is about %.64q, and cases are about %s", kind, strings.Join(kinds, ", "))
		}
	}
	if c.Name == "" {
		return c, fault.New(fault.Invalid, "names nobody")
	}
	// What can never be allowed needs no case, and is a slip.
	c.Permission, err = rbac.ParsePermission(words[2])
	return c, err
}

// Answer says whether somebody may do something, and why.
type Answer struct {
	Allowed bool
	Path    []string // where it is allowed: "user:ana", "role:support", "orders:refund"
	Reason  string   // where it is not
}

// Judge answers cases: a file, a database, or a server.
type Judge interface {
	// Kinds returns those of user, role, group and client that there are of a name.
	Kinds(ctx context.Context, name string) ([]string, error)
	// Judge answers cases that name their kinds, in their order. A fault of kind
	// NotFound is the answer to one whose subject is not there.
	Judge(ctx context.Context, cases []Case) ([]Answer, []error, error)
}

// Result is what came of a case.
type Result struct {
	Line    int      `json:"line"`
	Case    string   `json:"case"`
	Passed  bool     `json:"passed"`
	Allowed bool     `json:"allowed"`
	Path    []string `json:"path,omitempty"`
	Reason  string   `json:"reason,omitempty"` // why it is not allowed, or the case cannot be answered
}

// Run answers cases. One about somebody who is not there fails, whatever it says.
func Run(ctx context.Context, cases []Case, j Judge) ([]Result, error) {
	results := make([]Result, len(cases))
	var asked []Case
	var of []int // which result each of asked is of
	kindOf := map[string]string{}
	whyNot := map[string]string{}
	for i, c := range cases {
		results[i] = Result{Line: c.Line, Case: c.String()}
		if c.Kind == "" {
			if _, known := kindOf[c.Name]; !known {
				found, err := j.Kinds(ctx, c.Name)
				if err != nil {
					return nil, err
				}
				kindOf[c.Name], whyNot[c.Name] = theOne(found, c.Name)
			}
			c.Kind, results[i].Reason = kindOf[c.Name], whyNot[c.Name]
		}
		if c.Kind != "" {
			asked, of = append(asked, c), append(of, i)
		}
	}
	answers, missing, err := j.Judge(ctx, asked)
	if err != nil {
		return nil, err
	}
	for n, a := range answers {
		r := &results[of[n]]
		if missing[n] != nil {
			r.Reason = missing[n].Error()
			continue
		}
		r.Allowed, r.Path, r.Reason = a.Allowed, a.Path, a.Reason
		r.Passed = a.Allowed == asked[n].Can
	}
	return results, nil
}

// theOne returns the one kind that a name is of, or why there is none.
func theOne(found []string, name string) (kind, why string) {
	switch len(found) {
	case 0:
		return "", fmt.Sprintf("there is no %s or %s %q", strings.Join(kinds[:len(kinds)-1], ", "), kinds[len(kinds)-1], name)
	case 1:
		return found[0], ""
	}
	forms := make([]string, len(found))
	for i, k := range found {
		forms[i] = k + ":" + name
	}
	return "", "it could be any of them; say which: " + strings.Join(forms, " or ")
}
