package secret

import (
	"bytes"
	"testing"
)

func pepperOf(version int64, key byte) Pepper { return Pepper{version, bytes.Repeat([]byte{key}, 32)} }

// What is kept is known again by the pepper that it was kept under, for the same purpose
// and of the same parts, and by nothing else.
func TestKept(t *testing.T) {
	one, two := pepperOf(1, 1), pepperOf(2, 2)
	both := Versions{two, one}
	kept := one.Keep("label", []byte("a"), []byte("b"))
	for name, tt := range map[string]struct {
		kept    Kept
		peppers Versions
		label   string
		parts   []string
		want    bool
	}{
		"the same":            {kept, both, "label", []string{"a", "b"}, true},
		"another purpose":     {kept, both, "other", []string{"a", "b"}, false},
		"another part":        {kept, both, "label", []string{"a", "c"}, false},
		"parts run together":  {kept, both, "label", []string{"ab"}, false},
		"the pepper is gone":  {kept, Versions{two}, "label", []string{"a", "b"}, false},
		"another pepper":      {kept, Versions{pepperOf(1, 9)}, "label", []string{"a", "b"}, false},
		"another version":     {Kept{kept.MAC, 2}, both, "label", []string{"a", "b"}, false},
		"nothing":             {Kept{}, Versions{pepperOf(0, 1)}, "label", []string{"a", "b"}, false},
		"a pepper version 0":  {pepperOf(0, 1).Keep("label", []byte("a"), []byte("b")), Versions{pepperOf(0, 1)}, "label", []string{"a", "b"}, false},
		"kept under the last": {two.Keep("label"), both, "label", nil, true},
	} {
		var parts [][]byte
		for _, p := range tt.parts {
			parts = append(parts, []byte(p))
		}
		if got := tt.kept.Is(tt.peppers, tt.label, parts...); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
