package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/strictyaml"
)

// mistakes collects what is wrong. It keeps the first hundred: who has made more
// has given the wrong file.
type mistakes struct {
	list  []error
	more  int
	names map[string]bool // the settings that they are about
}

const mostMistakes = 100

// add notes a mistake about a setting, at a place as the operator wrote it.
func (m *mistakes) add(name, where, format string, args ...any) {
	m.note(name, fault.At(where, format, args...))
}

func (m *mistakes) note(name string, err error) {
	if m.names == nil {
		m.names = map[string]bool{}
	}
	m.names[name] = true
	if len(m.list) >= mostMistakes {
		m.more++
		return
	}
	m.list = append(m.list, err)
}

// unknown notes a name that is not in the table, and the nearest of known. As
// spell writes that, the operator writes it here.
func (m *mistakes) unknown(where, word string, known []string, spell func(string) string) {
	if len(m.list) >= mostMistakes { // looking for the nearest takes its time
		m.more++
		return
	}
	if near := strictyaml.Nearest(word, known); near != "" {
		m.add(word, where, "unknown; did you mean %s?", spell(near))
		return
	}
	m.add(word, where, "unknown; the manual (docs/reference/configuration.md) lists every name")
}

// about reports whether there is a mistake about one of the settings.
func (m *mistakes) about(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return m.names[n] })
}

func (m *mistakes) all() []error {
	if m.more == 0 {
		return m.list
	}
	return append(m.list, errors.New("and "+strconv.Itoa(m.more)+" more"))
}

// quote shows a value that is no secret, cut to a length that fits a line.
func quote(text string) string {
	if r := []rune(text); len(r) > 64 {
		text = string(r[:64]) + "…"
	}
	return strconv.Quote(text)
}

// show shows a name as it was written if it can stand in a line, else quoted.
func show(name string) string {
	odd := func(r rune) bool { return !unicode.IsGraphic(r) || r == utf8Error }
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, odd) {
		return quote(name)
	}
	return name
}

const utf8Error = '\uFFFD'
