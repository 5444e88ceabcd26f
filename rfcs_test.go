package doorward_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	rfc = regexp.MustCompile(`\bRFC (\d{3,5})\b`)
	// A comment is one text, however its lines are broken.
	lineBreak = regexp.MustCompile(`\s*\n\s*(//)?\s*`)
	columns   = regexp.MustCompile(`\s{2,}`)
)

// TestSpecifications holds docs/rfcs.txt and the code together, both ways: what
// the code cites is on the list, and what the list says we do is cited where it
// is done.
func TestSpecifications(t *testing.T) {
	marks := specifications(t)
	cited := map[string]string{} // by whom
	var all strings.Builder
	for _, f := range parsed(t) {
		if f.test {
			continue
		}
		text := lineBreak.ReplaceAllString(string(f.text), " ")
		all.WriteString(text)
		for _, name := range rfc.FindAllString(text, -1) {
			cited[name] = f.path
		}
	}
	for _, name := range sorted(cited) {
		if marks[name] == "" {
			t.Errorf("%s cites %s, which docs/rfcs.txt does not list. Add a line there:\n\t%s  part  what of it we do", cited[name], name, name)
		}
	}
	for _, name := range sorted(marks) {
		if marks[name] != "not" && !strings.Contains(all.String(), name) {
			t.Errorf("docs/rfcs.txt says %q of %s, and no line of code cites it: cite it where it is obeyed, as (%s, Section 1.2), or say \"not\"", marks[name], name, name)
		}
	}
}

// specifications reads docs/rfcs.txt: the name of a specification, how much of
// it we do, and what that is, with two spaces or more between them.
func specifications(t *testing.T) map[string]string {
	t.Helper()
	marks := map[string]string{}
	for line := range strings.Lines(string(read(t, "docs/rfcs.txt"))) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := columns.Split(line, 3)
		if len(f) < 3 || !slices.Contains([]string{"whole", "part", "not"}, f[1]) {
			t.Errorf("docs/rfcs.txt: %q is not a name, one of whole, part and not, and what: two spaces apart", line)
			continue
		}
		if marks[f[0]] != "" {
			t.Errorf("docs/rfcs.txt lists %s twice", f[0])
		}
		marks[f[0]] = f[1]
	}
	return marks
}
