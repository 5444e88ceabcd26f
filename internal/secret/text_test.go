package secret

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestTextDoesNotPrint(t *testing.T) {
	const clear = "canary-in-the-coal"
	text := From(clear)
	type holder struct {
		Open   Text
		closed Text
		at     *Text
		list   []Text
	}
	h := holder{text, text, &text, []Text{text}}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "text", text, "holder", h, "at", &text, "any", map[string]any{"t": text})
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "text", text, "holder", h, "at", &text, "list", h.list)
	printed := []string{log.String(), text.String(), text.GoString(), fmt.Errorf("a %w: %v", fmt.Errorf("%s", text), h).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t"} {
		printed = append(printed, fmt.Sprintf(verb, text), fmt.Sprintf(verb, h), fmt.Sprintf(verb, &h), fmt.Sprintf(verb, h.list), fmt.Sprintf(verb, map[string]Text{"t": text}))
	}
	encoded, err := json.Marshal(map[string]any{"text": text, "holder": h, "at": &text, "list": h.list, "keys": map[Text]int{text: 1}})
	if err != nil {
		t.Fatal(err)
	}
	printed = append(printed, string(encoded))
	for _, p := range printed {
		if strings.Contains(p, clear) || strings.Contains(strings.ToLower(p), hex.EncodeToString([]byte(clear))) {
			t.Errorf("it prints as %s", p)
		}
	}
	if !strings.Contains(string(encoded), `"text":"[secret]"`) || text.Reveal() != clear {
		t.Errorf("%s, %s", encoded, text.Reveal())
	}
}

func TestTextCompares(t *testing.T) {
	var none Text
	for _, c := range []struct {
		a, b  Text
		equal bool
	}{
		{From("a"), From("a"), true},
		{From("a"), From("b"), false},
		{From("a"), From("aa"), false},
		{From(""), From("a"), false},
		{none, From(""), true},
		{none, none, true},
		{none, From("a"), false},
	} {
		if c.a.Equal(c.b) != c.equal || c.b.Equal(c.a) != c.equal {
			t.Errorf("%q and %q", c.a.Reveal(), c.b.Reveal())
		}
	}
	if !none.IsZero() || !From("").IsZero() || From("a").IsZero() {
		t.Error("which of them is there?")
	}
}

// No two lists of parts are encoded alike, and no label serves for another.
func TestMACIsOfOneList(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	lists := [][]string{{"ab", "c"}, {"a", "bc"}, {"abc"}, {"abc", ""}, {"", "abc"}, {"a", "b", "c"}, {}, {""}, {"\x00\x00\x00\x00\x00\x00\x00\x01a"}}
	seen := map[Hash]string{}
	for _, label := range []string{"label", "labe", "labela", ""} {
		for _, list := range lists {
			var parts [][]byte
			for _, p := range list {
				parts = append(parts, []byte(p))
			}
			name := fmt.Sprintf("%s%q", label, list)
			h := MAC(key, label, parts...)
			if other, ok := seen[h]; ok {
				t.Errorf("%s and %s have one MAC", other, name)
			}
			seen[h] = name
			if h == MAC(bytes.Repeat([]byte{8}, 32), label, parts...) || !h.Equal(MAC(key, label, parts...)) {
				t.Errorf("%s: the key makes no difference, or the time does", name)
			}
		}
	}
	// Kept MACs must be made again by every later version.
	if got, want := fmt.Sprintf("%x", MAC(key, "label", []byte("ab"), []byte("c"))), "0ed77871ac8547d6eec2669ee1057b1a1065c9215a2f9886f2762137282f5a50"; got != want {
		t.Errorf("the MAC is %s, want %s", got, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("a key of 31 bytes was taken")
		}
	}()
	MAC(key[:31], "label")
}
