package config

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
)

// source is how a value came.
type source int

const (
	byDefault source = iota
	byFile
	byVariable     // the environment holds the value
	byVariableFile // the environment names a file that holds the value
	byFlag
)

// place is where a setting was given.
type place struct {
	from   source
	origin string // for a list of values: "doorward.yaml:12", "DOORWARD_LISTEN", "--listen"
	where  string // for a mistake: "doorward.yaml:12: listen", else the origin
}

// given is a value that somebody gave to a setting.
type given struct {
	setting *Setting
	items   []item // one, unless the setting is a list
	at      place
	dir     string // what a relative path starts from; empty for the working directory
	file    string // that holds the value, if one does
}

// item is one text of a value, with the place that its mistakes are told at.
type item struct{ text, where string }

// path returns the item's text as a path.
func (g given) path(text string) string {
	if g.dir == "" || filepath.IsAbs(text) {
		return text
	}
	return filepath.Join(g.dir, text)
}

// isDefault reports whether g says what holds anyway.
func (g given) isDefault() bool {
	var got, want Config
	if g.setting.form.set(&got, g) != nil {
		return false
	}
	if g.setting.Default != "" {
		g.setting.form.set(&want, flat(g.setting, g.setting.Default, place{}))
	}
	return g.setting.form.get(&got) == g.setting.form.get(&want)
}

// flat makes a given of one line of text: the environment's, a flag's, or a
// default. Lists are written with commas.
func flat(s *Setting, text string, at place) given {
	g := given{setting: s, at: at}
	if !s.form.list {
		g.items = []item{{text, at.where}}
	} else if strings.TrimSpace(text) != "" {
		for part := range strings.SplitSeq(text, ",") {
			g.items = append(g.items, item{strings.TrimSpace(part), at.where})
		}
	}
	return g
}

// readDefaults reads the defaults of the table, or what stands in for them.
func readDefaults(s Sources, m *mistakes, take func(given)) {
	own := map[string]string{}
	if s.Mode == Dev {
		own["log.format"] = "text"
	}
	for name, text := range s.Defaults {
		if setting(name) == nil {
			m.unknown("default "+name, name, settingNames(), same)
			continue
		}
		own[name] = text
	}
	for i := range settings {
		if text := cmp.Or(own[settings[i].Name], settings[i].Default); text != "" {
			take(flat(&settings[i], text, place{byDefault, "default", settings[i].Name}))
		}
	}
}

// readFlags reads values by flag: "--NAME" or "--set NAME".
func readFlags(flags map[string]string, m *mistakes, take func(given)) {
	seen := map[string]string{}
	for _, flag := range sortedKeys(flags) {
		name, general := strings.CutPrefix(flag, "--set ")
		if !general {
			name = strings.TrimPrefix(flag, "--")
		}
		s := setting(name)
		if s == nil {
			m.unknown(show(flag), name, settingNames(), same)
			continue
		}
		if other, twice := seen[name]; twice {
			m.add(name, flag, "gives what %s gives too; keep one", other)
			continue
		}
		seen[name] = flag
		take(flat(s, flags[flag], place{byFlag, flag, flag}))
	}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
