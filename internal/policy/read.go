package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/strictyaml"
)

// Format is the version of the file's form.
const Format = "1"

// MostFile is how many bytes a file has at most.
const MostFile = 8 << 20

const mostMistakes = 100

// Read reads a file. The error is every mistake in it that can be seen without the
// server, up to a hundred, each on a line of its own that begins with its place:
// "policy.yaml:3:5". What depends on the server (is there such a role, such a
// user) is for Compare to say.
func Read(file string, data []byte) (*Document, error) {
	r := &reader{doc: &Document{file: file, places: map[string]place{}, memberAt: map[string]string{}}}
	root, err := strictyaml.Parse(data, MostFile)
	if m, wrong := errors.AsType[*strictyaml.Mistake](err); wrong {
		where := file
		if m.Line > 0 {
			where = fmt.Sprintf("%s:%d", file, m.Line)
		}
		return nil, fault.At(where, "%s", m.Message)
	}
	if root == nil {
		return nil, fault.At(file, "there is nothing in it; a policy begins with version: %s", Format)
	}
	r.read(item{r, root, ""})
	return r.doc, r.wrong()
}

func (r *reader) read(root item) {
	if root.n.Kind != yaml.MappingNode {
		root.wrong("is not a policy, which begins with version: %s", Format)
		return
	}
	sections := root.fields("version", "roles", "groups", "resources", "clients", "grants", "members")
	v := sections["version"]
	switch {
	case v.n == nil:
		root.wrong("version is missing; it is %s", Format)
	case v.n.Kind != yaml.ScalarNode || v.n.Value != Format:
		v.wrong("only version %s is known", Format)
	}
	if s := sections["roles"]; s.n != nil {
		r.doc.Roles = readRoles(s)
	}
	if s := sections["groups"]; s.n != nil {
		r.doc.Groups = readGroups(s)
	}
	if s := sections["resources"]; s.n != nil {
		r.doc.Resources = readResources(s)
	}
	if s := sections["clients"]; s.n != nil {
		r.doc.Clients = readClients(s)
	}
	if s := sections["grants"]; s.n != nil {
		r.doc.Grants = readGrants(s)
	}
	if s := sections["members"]; s.n != nil {
		r.doc.Members = readMembers(s)
	}
}

// reader reads one file.
type reader struct {
	doc      *Document
	mistakes mistakes
}

func (r *reader) wrong() error { return r.mistakes.all() }

// mistakes are what is wrong with a file. Of more than a hundred the rest is counted.
type mistakes struct {
	list []error
	more int
}

func (m *mistakes) add(where, format string, args ...any) {
	if len(m.list) == mostMistakes {
		m.more++
		return
	}
	m.list = append(m.list, fault.At(where, format, args...))
}

// full reports whether what is added is only counted.
func (m *mistakes) full() bool { return len(m.list) == mostMistakes }

func (m *mistakes) all() error {
	if m.more > 0 {
		return errors.Join(append(slices.Clone(m.list), fmt.Errorf("and %d more", m.more))...)
	}
	return errors.Join(m.list...)
}

// item is a node of the file. That of a field that is not there has no n.
type item struct {
	r    *reader
	n    *yaml.Node
	path string
}

// wrong notes a mistake about the item.
func (i item) wrong(format string, args ...any) {
	i.r.mistake(i.path, format, args...)
}

func (r *reader) mistake(path, format string, args ...any) {
	r.doc.mistake(&r.mistakes, path, format, args...)
}

func (d *Document) mistake(m *mistakes, path, format string, args ...any) {
	where := d.at(path)
	if path != "" {
		where += ": " + shown(path)
	}
	m.add(where, format, args...)
}

// shown is a path for people. What cannot stand in a line is in quotes.
func shown(path string) string {
	text := strings.ReplaceAll(path, "/", ".")
	if quoted := fmt.Sprintf("%q", text); quoted != `"`+text+`"` || len(text) > 200 {
		return fmt.Sprintf("%.200q", text)
	}
	return text
}

// fault notes what is wrong with the thing at the item, by its field.
func (i item) fault(err error) { i.r.doc.fault(&i.r.mistakes, i.path, err) }

func (d *Document) fault(m *mistakes, path string, err error) {
	message := err.Error()
	if f, ok := errors.AsType[*fault.Error](err); ok {
		message = f.Message
		if _, written := d.places[path+"/"+f.Field]; written { // a name is not: it is the key
			path += "/" + f.Field
		}
	}
	d.mistake(m, path, "%s", message)
}

// plain reports whether the node means what it shows, and notes if not.
func (i item) plain() bool {
	wrong := strictyaml.Plain(i.n)
	if wrong != "" {
		i.wrong("%s", wrong)
	}
	return wrong == ""
}

// below returns an item under i, whose place is that of a node.
func (i item) below(name string, at, n *yaml.Node) item {
	path := i.path + name
	if i.path != "" && !strings.HasPrefix(name, "[") {
		path = i.path + "/" + name
	}
	i.r.doc.places[path] = place{at.Line, at.Column}
	return item{i.r, n, path}
}

// named is an item with its key.
type named struct {
	key string
	item
}

// entries returns what a mapping holds, in the order of the file.
func (i item) entries() []named {
	if i.n == nil || !i.plain() || strictyaml.Null(i.n) {
		return nil
	}
	if i.n.Kind != yaml.MappingNode {
		i.wrong("is to have names below it, indented, each with a colon")
		return nil
	}
	var list []named
	seen := make(map[string]int, len(i.n.Content)/2)
	for j := 0; j < len(i.n.Content); j += 2 {
		key, value := i.n.Content[j], i.n.Content[j+1]
		if wrong := strictyaml.Plain(key); wrong != "" || key.Kind != yaml.ScalarNode || key.Tag != "!!str" {
			if wrong == "" {
				wrong = "a key is to be text; put it in quotes"
			}
			i.r.mistakes.add(fmt.Sprintf("%s:%d:%d", i.r.doc.file, key.Line, key.Column), "%s", wrong)
			continue
		}
		if line, twice := seen[key.Value]; twice {
			i.r.mistakes.add(fmt.Sprintf("%s:%d:%d: %s", i.r.doc.file, key.Line, key.Column, shown(key.Value)), "is here twice; it is on line %d too", line)
			continue
		}
		seen[key.Value] = key.Line
		list = append(list, named{key.Value, i.below(key.Value, key, value)})
	}
	return list
}

// fields returns what a mapping holds whose keys are known.
func (i item) fields(known ...string) map[string]item {
	fields := map[string]item{}
	for _, e := range i.entries() {
		if slices.Contains(known, e.key) {
			fields[e.key] = e.item
			continue
		}
		if i.r.mistakes.full() {
			e.wrong("unknown")
		} else if near := strictyaml.Nearest(e.key, known); near != "" {
			e.wrong("unknown; did you mean %s?", near)
		} else {
			e.wrong("unknown; there can be %s", strings.Join(known, ", "))
		}
	}
	return fields
}

// list returns the items of a sequence.
func (i item) list() []item {
	if i.n == nil || !i.plain() {
		return nil
	}
	if i.n.Kind != yaml.SequenceNode {
		i.wrong("is a list; write it like [a, b], and [] for none")
		return nil
	}
	list := make([]item, len(i.n.Content))
	for j, n := range i.n.Content {
		list[j] = i.below(fmt.Sprintf("[%d]", j), n, n)
	}
	return list
}

// text returns what a scalar says; "" for a field that is not there.
func (i item) text() string {
	if i.n == nil || !i.plain() {
		return ""
	}
	if i.n.Kind != yaml.ScalarNode || i.n.Tag != "!!str" {
		i.wrong("is to be text; put it in quotes")
		return ""
	}
	return i.n.Value
}

// texts returns a list of texts.
func (i item) texts() []string {
	list := i.list()
	texts := make([]string, len(list))
	for j, one := range list {
		texts[j] = one.text()
	}
	return texts
}

// time returns a moment; zero for a field that is not there.
func (i item) time() time.Time {
	if i.n == nil || !i.plain() {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, i.n.Value)
	if i.n.Kind != yaml.ScalarNode || err != nil {
		i.wrong("is a time, like 2027-01-01T00:00:00Z")
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}
