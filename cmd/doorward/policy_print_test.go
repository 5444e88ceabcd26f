package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/policy"
)

func TestPrintPlan(t *testing.T) {
	many := make([]policy.Right, 30)
	for i := range many {
		many[i] = policy.Right{Permission: "p" + number(i), Organization: "acme"}
	}
	plan := &policy.Plan{
		Changes: []policy.Change{{Do: policy.Update, Kind: "role", Name: "support", Details: []policy.Detail{{Field: "description", To: "Helps \x1b[31mpeople"}}}},
		Effects: []policy.Effect{{Count: 1206, Who: []string{"client:job", "user:ana", "user:ben", "user:c", "user:d", "user:e", "user:f"}, Gains: many}},
		Left:    []policy.Left{{Kind: "client", Count: 1, Names: []string{"old"}}},
	}
	for range 60 {
		plan.Effects = append(plan.Effects, policy.Effect{Count: 1, Who: []string{"user:x"}, Loses: many[:1]})
	}
	var out bytes.Buffer
	p := &program{stdout: &out}
	if err := p.printPlan(plan); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"~ role support\n    description: none → Helps �[31mpeople\n\n", "Who gains and who loses:\n  client:job, ana, ben, c, d and 1,201 more\n    + p0 in acme\n", "    + p9 in acme\n    + and 20 more\n",
		"  x\n    - p0 in acme\n", "  and 11 more; -o json has them all\n", "\n  1 client: old\n", "\n0 to create, 1 to change, 0 to delete; 1,206 would gain something, and 60 lose something.\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := number(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
}
