package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/strictyaml"
)

const mostFile = 1 << 20

// readFile reads the YAML file of the name, or data in its stead if not nil.
func readFile(name string, data []byte, m *mistakes, take func(given)) {
	if name == "" && data == nil {
		return
	}
	if data == nil {
		var err error
		if data, err = slurp(name); err != nil {
			m.note("", fault.At(show(name), "cannot be read: %v", reason(err)).Because(err))
			return
		}
	}
	r := reader{name: name, m: m, take: take, names: settingNames(), sections: sections(), lines: map[string]int{}}
	if root := r.parse(data); root != nil {
		r.settings(root)
	}
}

// slurp reads a file, up to one byte more than it may have.
func slurp(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, mostFile+1))
}

// reason returns what is wrong with a file without the path that is.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// reader finds the settings of one YAML document.
type reader struct {
	name     string
	m        *mistakes
	take     func(given)
	names    []string
	sections []string
	lines    map[string]int // where each key is
}

// at returns a line of the file as mistakes name it; line 0 is the whole file.
func (r *reader) at(line int, name string) string {
	where := show(r.name)
	if line > 0 {
		where = fmt.Sprintf("%s:%d", where, line)
	}
	if name != "" {
		where += ": " + show(name)
	}
	return where
}

// parse returns the mapping at the root, or nil if there is none.
func (r *reader) parse(data []byte) *yaml.Node {
	root, err := strictyaml.Parse(data, mostFile)
	if m, wrong := errors.AsType[*strictyaml.Mistake](err); wrong {
		r.m.add("", r.at(m.Line, ""), "%s", m.Message)
	}
	if root == nil {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		r.m.add("", r.at(root.Line, ""), "is not a list of settings; write them like issuer: https://auth.example.com")
		return nil
	}
	return root
}

// settings reads the root: settings and sections.
func (r *reader) settings(root *yaml.Node) {
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		name, ok := r.key(key, "")
		if !ok {
			continue
		}
		s := setting(name)
		switch {
		case slices.Contains(r.sections, name):
			r.section(name, value)
		case s != nil && strings.Contains(name, "."):
			section, last := s.section()
			r.m.add(name, r.at(key.Line, name), "is written below %s: as %s:, indented", section, last)
		case s != nil:
			r.value(s, key, value)
		default:
			r.m.unknown(r.at(key.Line, name), name, slices.Concat(r.names, r.sections), same)
		}
	}
}

// section reads what stands below the name of a section.
func (r *reader) section(section string, n *yaml.Node) {
	if !r.plain(n, section) || n.Tag == "!!null" { // all of it is commented out
		return
	}
	if n.Kind != yaml.MappingNode {
		r.m.add(section, r.at(n.Line, section), "is a section; write its settings below it, indented")
		return
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name, ok := r.key(key, section+".")
		if !ok {
			continue
		}
		if s := setting(name); s != nil {
			r.value(s, key, value)
			continue
		}
		r.m.unknown(r.at(key.Line, name), name, r.names, same)
	}
}

// key returns the name that a key means, if it means one and is not here twice.
func (r *reader) key(n *yaml.Node, section string) (string, bool) {
	if !r.plain(n, "") {
		return "", false
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		r.m.add("", r.at(n.Line, ""), "a key is not the name of a setting")
		return "", false
	}
	name := section + n.Value
	if line, twice := r.lines[name]; twice {
		r.m.add(name, r.at(n.Line, name), "is here twice; it is on line %d too", line)
		return "", false
	}
	r.lines[name] = n.Line
	return name, true
}

// plain refuses what makes a file mean more than it shows.
func (r *reader) plain(n *yaml.Node, name string) bool {
	wrong := strictyaml.Plain(n)
	if wrong != "" {
		r.m.add(name, r.at(n.Line, name), "%s", wrong)
	}
	return wrong == ""
}

// value reads what a setting is given: text for one value, a sequence for a list.
func (r *reader) value(s *Setting, key, n *yaml.Node) {
	if !r.plain(n, s.Name) {
		return
	}
	where := r.at(key.Line, s.Name)
	at := place{byFile, r.at(key.Line, ""), where}
	g := given{setting: s, at: at, dir: filepath.Dir(r.name), file: r.name}
	switch {
	case n.Tag == "!!null":
		r.m.add(s.Name, where, "has no value; give one or leave the setting out")
		return
	case s.form.list && n.Kind != yaml.SequenceNode:
		r.m.add(s.Name, where, "takes a list; write it like [a, b], and [] for none")
		return
	case !s.form.list && n.Kind != yaml.ScalarNode:
		r.m.add(s.Name, where, "takes one value, which is %s", s.form.allowed)
		return
	case !s.form.list:
		g.items = []item{{n.Value, r.at(n.Line, s.Name)}}
	}
	for _, child := range n.Content {
		if !r.plain(child, s.Name) {
			return
		}
		if child.Kind != yaml.ScalarNode || child.Tag == "!!null" {
			r.m.add(s.Name, r.at(child.Line, s.Name), "takes a list of plain values")
			return
		}
		g.items = append(g.items, item{child.Value, r.at(child.Line, s.Name)})
	}
	r.take(g)
}
