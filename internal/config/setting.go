package config

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Setting is one decision of the operator.
type Setting struct {
	Name    string // as in the file, sections with dots: "tokens.access_ttl"
	Default string // as a flag takes it; empty if there is none
	Unset   string // in words, what holds if nothing is given and Default is empty
	Example string // a value to show where there is no default
	Help    string
	// Secret says that the value is not shown, and that DOORWARD_…_FILE may name
	// a file that holds it.
	Secret bool
	// Reserved says that no part of this version heeds the setting. Whoever gives
	// another value than the default is told so. Dropping the word serves it.
	Reserved bool

	form form
}

// Settings lists every setting, in the order of the manual.
func Settings() []Setting { return slices.Clone(settings) }

// Env returns the name of the setting in the environment.
func (s Setting) Env() string { return variable(s.Name) }

func variable(name string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

// Allowed says in words which values the setting takes.
func (s Setting) Allowed() string { return s.form.allowed }

// section returns what stands before the dot, and what stands after it.
func (s Setting) section() (section, key string) {
	section, key, dotted := strings.Cut(s.Name, ".")
	if !dotted {
		return "", section
	}
	return section, key
}

const mostText = 4096

// printable tells what no value may be: empty, endless, or with characters that
// do not show and could hide a meaning or break a line of the log.
func (s Setting) printable(text string) error {
	switch {
	case text == "":
		return errors.New("is empty; give a value or leave the setting out")
	case len(text) > mostText:
		return errors.New("is longer than 4096 bytes")
	case !utf8.ValidString(text):
		return errors.New("is not UTF-8")
	}
	for _, r := range text {
		if !unicode.IsPrint(r) && (!s.form.lines || r != '\n' && r != '\r') {
			return errors.New("holds a line break, a tab or another character that does not print")
		}
	}
	return nil
}

// setting returns the setting of the name, or nil.
func setting(name string) *Setting {
	i := slices.IndexFunc(settings, func(s Setting) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &settings[i]
}

func settingNames() []string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.Name
	}
	return names
}

// sections lists the sections, in the order of the table.
func sections() []string {
	var list []string
	for _, s := range settings {
		if section, _ := s.section(); section != "" && !slices.Contains(list, section) {
			list = append(list, section)
		}
	}
	return list
}
