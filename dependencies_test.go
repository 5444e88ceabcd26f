package doorward_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Dependencies are few, and each has its reason in docs/dependencies.md.
func TestDependencies(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := 0
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+(.*)$`).FindAllStringSubmatch(string(mod), -1) {
		if strings.Contains(m[2], "indirect") {
			continue
		}
		direct++
		if !strings.Contains(string(page), "`"+m[1]+"`") {
			t.Errorf("go.mod requires %s, and docs/dependencies.md does not say why", m[1])
		}
	}
	if direct == 0 || direct > 35 {
		t.Errorf("there are %d direct dependencies; between 1 and 35 are expected", direct)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(string(page), -1) {
		if !strings.Contains(string(mod), "\t"+m[1]+" v") {
			t.Errorf("docs/dependencies.md names %s, which go.mod does not require: take the line out", m[1])
		}
	}
}
