package secret

import (
	"bytes"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestBase62IsTheNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 1, 70).Draw(t, "b")
		text := Base62(b)
		if len(text) != Width62(len(b)) {
			t.Fatalf("%d bytes were written in %d characters, want %d", len(b), len(text), Width62(len(b)))
		}
		want := new(big.Int).SetBytes(b)
		got := new(big.Int)
		for i := range len(text) {
			got.Mul(got, big.NewInt(62)).Add(got, big.NewInt(int64(strings.IndexByte(base62, text[i]))))
		}
		if got.Cmp(want) != 0 {
			t.Fatalf("%x was written as %s", b, text)
		}
		back, err := ParseBase62(text, len(b))
		if err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%s was read as %x, %v; want %x", text, back, err, b)
		}
	})
}

func TestParseBase62Refuses(t *testing.T) {
	good := Base62(bytes.Repeat([]byte{0xff}, 48))
	for name, text := range map[string]string{
		"empty":          "",
		"short":          good[1:],
		"long":           good + "0",
		"leading zero":   "0" + good,
		"too large":      strings.Repeat("z", len(good)),
		"one too large":  good[:len(good)-1] + string(base62[strings.IndexByte(base62, good[len(good)-1])+1]),
		"a hyphen":       "-" + good[1:],
		"an underscore":  good[:10] + "_" + good[11:],
		"a newline":      good[:64] + "\n",
		"a wide letter":  good[:62] + "Ａ",
		"a NUL":          "\x00" + good[1:],
		"an upper bound": strings.Repeat("\xff", len(good)),
	} {
		if b, err := ParseBase62(text, 48); err == nil {
			t.Errorf("%s: %q was read as %x", name, text, b)
		}
	}
}

func FuzzParseBase62(f *testing.F) {
	f.Add(Base62(bytes.Repeat([]byte{7}, 48)))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseBase62(text, 48)
		if err == nil && Base62(b) != text {
			t.Errorf("%q was read as %x, which is written %q", text, b, Base62(b))
		}
	})
}

func BenchmarkBase62(b *testing.B) {
	raw := Random(48)
	for b.Loop() {
		if _, err := ParseBase62(Base62(raw), 48); err != nil {
			b.Fatal(err)
		}
	}
}
