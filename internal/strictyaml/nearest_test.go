package strictyaml

import "testing"

func TestDistance(t *testing.T) {
	for _, r := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"abc", "xabc", 1}, {"abc", "cba", 2}, {"toknes", "tokens", 1}} {
		if got := distance(r.a, r.b); got != r.want {
			t.Errorf("from %q to %q: %d; want %d", r.a, r.b, got, r.want)
		}
	}
}
