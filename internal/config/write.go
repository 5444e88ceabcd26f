package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

const header = `Doorward's configuration: every setting with its default. A setting that begins with # is not given, and the line shows what one would look like.

Flags win over the environment, and the environment wins over this file: each setting tells its name there.`

// WriteCommented writes a configuration file with every setting that this version
// serves, each with its meaning. A setting has its value of values, which are
// written as flags are, or its default. Relative paths start from the folder of
// the file. An error tells values that are not allowed; nothing is written then.
func WriteCommented(w io.Writer, values map[string]string) error {
	m := &mistakes{}
	for _, name := range sortedKeys(values) {
		if s := setting(name); s == nil {
			m.unknown(name, name, settingNames(), same)
		} else {
			apply(&Config{places: map[string]place{}}, flat(s, values[name], place{byFile, name, name}), m)
		}
	}
	if len(m.list) > 0 {
		return errors.Join(m.all()...)
	}
	var b bytes.Buffer
	comment(&b, "", header)
	section := ""
	for _, s := range settings {
		if s.Reserved {
			continue
		}
		if in, _ := s.section(); in != section && in != "" {
			fmt.Fprintf(&b, "\n%s:\n", in)
			section = in
		} else {
			section = in
			b.WriteByte('\n')
		}
		writeSetting(&b, s, values[s.Name])
	}
	_, err := w.Write(b.Bytes())
	return err
}

func writeSetting(b *bytes.Buffer, s Setting, value string) {
	section, key := s.section()
	indent := ""
	if section != "" {
		indent = "  "
	}
	comment(b, indent, s.Help)
	comment(b, indent, "Allowed: "+s.Allowed()+".")
	if s.Default == "" {
		comment(b, indent, "Default: "+strings.ReplaceAll(s.Unset, "`", "")+".")
	}
	comment(b, indent, s.variables(""))
	switch {
	case value != "":
		fmt.Fprintf(b, "%s%s: %s\n", indent, key, s.yaml(value))
	case s.Default != "":
		fmt.Fprintf(b, "%s%s: %s\n", indent, key, s.yaml(s.Default))
	default:
		fmt.Fprintf(b, "%s# %s: %s\n", indent, key, s.yaml(s.Example))
	}
}

// variables names the setting's variables, each between two quotes.
func (s Setting) variables(quote string) string {
	names := quote + s.Env() + quote
	if s.Secret {
		names += " or " + quote + s.Env() + "_FILE" + quote
	}
	return names
}

// yaml writes a value, given as a flag takes it, as the file has it.
func (s Setting) yaml(value string) string {
	if !s.form.list {
		return scalar(value)
	}
	var parts []string
	for _, it := range flat(&s, value, place{}).items {
		parts = append(parts, scalar(it.text))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// bare matches text that YAML takes for itself, whatever stands around it.
var bare = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9/._@+-]*(:[A-Za-z0-9/._@+-]+)*$`)

// scalar writes text in the way that reads best. What strconv.Quote escapes in
// printable text, YAML escapes alike.
func scalar(text string) string {
	if bare.MatchString(text) && !strings.EqualFold(text, "null") {
		return text
	}
	return strconv.Quote(text)
}

// comment writes text as comments of at most 80 columns.
func comment(b *bytes.Buffer, indent, text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			fmt.Fprintf(b, "%s#\n", indent)
		}
		line := indent + "#"
		for word := range strings.FieldsSeq(paragraph) {
			if len(line)+1+len(word) > 80 && line != indent+"#" {
				b.WriteString(line + "\n")
				line = indent + "#"
			}
			line += " " + word
		}
		b.WriteString(line + "\n")
	}
}
