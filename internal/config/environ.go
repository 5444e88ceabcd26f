package config

import (
	"os"
	"regexp"
	"strings"
)

const prefix = "DOORWARD_"

// others are the names with our prefix that are not settings, and who reads them.
// A name that ends in _ stands for all that begin with it.
var others = []struct{ name, meaning string }{
	{"DOORWARD_CONFIG", "the path of the configuration file, where `--config` is not given"},
	{"DOORWARD_ADMIN_PASSWORD", "the password of the first administrator, for `dev` and `init`"},
	{"DOORWARD_TEST_", "names that begin so are for the tests"},
}

// Kubernetes tells every container of a namespace about each service in it. A
// service named doorward, or doorward-something, makes these names.
var (
	kubernetes     = regexp.MustCompile(`^DOORWARD_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	kubernetesPort = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

func notOurs(name, value string) bool {
	for _, o := range others {
		if name == o.name || strings.HasSuffix(o.name, "_") && strings.HasPrefix(name, o.name) {
			return true
		}
	}
	return kubernetes.MatchString(name) || strings.HasSuffix(name, "_PORT") && kubernetesPort.MatchString(value)
}

// variables maps the names in the environment to their settings. A name that ends
// in _FILE names a file that holds the value.
func variables() map[string]*Setting {
	m := map[string]*Setting{}
	for i := range settings {
		s := &settings[i]
		m[s.Env()] = s
		if s.Secret {
			m[variable(s.Name+"_file")] = s
		}
	}
	return m
}

// readEnviron reads the environment, name by name in their order.
func readEnviron(environ []string, m *mistakes, take func(given)) {
	values := map[string]string{}
	for _, line := range environ {
		if name, value, _ := strings.Cut(line, "="); strings.HasPrefix(name, prefix) {
			values[name] = value
		}
	}
	known := variables()
	names := settingNames()
	for _, s := range settings {
		if s.Secret {
			names = append(names, s.Name+"_file")
		}
	}
	for _, name := range sortedKeys(values) {
		s, ours := known[name]
		switch {
		case ours && name == s.Env():
			take(flat(s, values[name], place{byVariable, name, name}))
		case ours:
			readNamed(s, name, values, m, take)
		case known[strings.TrimSuffix(name, "_FILE")] != nil:
			m.add(name, name, "unknown; only a secret may be in a file of its own; use %s", strings.TrimSuffix(name, "_FILE"))
		case !notOurs(name, values[name]):
			m.unknown(show(name), strings.TrimPrefix(name, prefix), names, variable)
		}
	}
}

// readNamed reads a value from the file that the environment names. A mistake
// does not show the path: it may be the secret, in the wrong variable.
func readNamed(s *Setting, name string, values map[string]string, m *mistakes, take func(given)) {
	if _, both := values[s.Env()]; both {
		m.add(s.Name, name, "is set, and %s too; keep one", s.Env())
		return
	}
	at := place{byVariableFile, name, name}
	if values[name] == "" || s.form.keepsPath {
		take(flat(s, values[name], at))
		return
	}
	f, err := os.Open(values[name])
	if err != nil {
		m.add(s.Name, name, "names a file that cannot be opened: %v", reason(err))
		return
	}
	defer f.Close()
	text, err := readSecret(f)
	if err != nil {
		m.add(s.Name, name, "names a file that %v", err)
		return
	}
	g := flat(s, text, at)
	g.file = values[name]
	take(g)
}
