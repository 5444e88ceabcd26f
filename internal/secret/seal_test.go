package secret

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

func sealer(t testing.TB, keys ...Text) *Sealer {
	t.Helper()
	lines := make([]string, len(keys))
	for i, k := range keys {
		lines[i] = k.Reveal()
	}
	s, err := ParseSealer(From(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedOpensInItsPlaceAlone(t *testing.T) {
	s := sealer(t, NewMaster())
	for _, plain := range [][]byte{nil, []byte("k"), Random(2000)} {
		blob := s.Seal(plain, "keys/1/private")
		if got, err := s.Open(blob, "keys/1/private"); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("it opens as %x, %v", got, err)
		}
		if again := s.Seal(plain, "keys/1/private"); bytes.Equal(again, blob) {
			t.Error("the same was sealed twice alike")
		}
		if len(plain) > 8 && bytes.Contains(blob, plain[:8]) {
			t.Error("the plain text is in the blob")
		}
		for _, place := range []string{"", "keys/2/private", "keys/1/private ", "keys/1/privat", "Keys/1/private", "keys/1/private\x00"} {
			if got, err := s.Open(blob, place); err == nil {
				t.Errorf("moved to %q it opens as %x", place, got)
			}
		}
		for i := range blob[:min(len(blob), 60)] {
			for _, bit := range []byte{1, 0x80} {
				damaged := bytes.Clone(blob)
				damaged[i] ^= bit
				if got, err := s.Open(damaged, "keys/1/private"); err == nil {
					t.Fatalf("with byte %d damaged it opens as %x", i, got)
				}
			}
		}
		for n := range blob {
			if got, err := s.Open(blob[:n], "keys/1/private"); err == nil {
				t.Fatalf("cut to %d bytes it opens as %x", n, got)
			}
		}
		if got, err := s.Open(append(bytes.Clone(blob), 0), "keys/1/private"); err == nil {
			t.Errorf("with a byte more it opens as %x", got)
		}
	}
}

// The first master key seals and all open, so that it can be replaced while
// servers run.
func TestMasterKeyIsReplaced(t *testing.T) {
	old, fresh := NewMaster(), NewMaster()
	before, both, after := sealer(t, old), sealer(t, fresh, old), sealer(t, fresh)
	blob := before.Seal([]byte("k"), "p")
	if got, err := both.Open(blob, "p"); err != nil || string(got) != "k" {
		t.Errorf("with both keys: %q, %v", got, err)
	}
	if _, err := after.Open(blob, "p"); !errors.Is(err, ErrUnknownMaster) || !strings.Contains(err.Error(), before.Current()) {
		t.Errorf("with the new key alone: %v, want one that names %s", err, before.Current())
	}
	resealed := both.Seal([]byte("k"), "p")
	if got, err := after.Open(resealed, "p"); err != nil || string(got) != "k" {
		t.Errorf("resealed: %q, %v", got, err)
	}
	if KeyOf(blob) != before.Current() || KeyOf(resealed) != after.Current() || both.Current() != after.Current() || before.Current() == after.Current() {
		t.Errorf("the keys are %s and %s, of %s and %s", KeyOf(blob), KeyOf(resealed), before.Current(), after.Current())
	}
	if KeyOf(nil) != "" || KeyOf([]byte{1}) != "01" {
		t.Error("the key of what is too short")
	}
	raw, _ := base64.StdEncoding.DecodeString(old.Reveal())
	if bytes.Contains(raw, []byte(before.current)) {
		t.Error("the id of the key is a part of the key")
	}
}

func TestParseSealer(t *testing.T) {
	a, b := NewMaster().Reveal(), NewMaster().Reveal()
	first := sealer(t, From(a)).Current()
	for name, c := range map[string]struct {
		text string
		keys int
	}{
		"one": {a, 1}, "a line break behind it": {a + "\n", 1}, "Windows": {a + "\r\n" + b + "\r\n", 2}, "two lines": {a + "\n" + b, 2},
		"a comma": {a + "," + b, 2}, "spaces": {"  " + a + " , \t" + b + " ", 2}, "empty lines": {"\n\n" + a + "\n\n", 1},
		"comments": {"# the new one\n" + a + "\n  # the old one, until May\n" + b + "\n#", 2}, "twice the same": {a + "\n" + a, 1},
	} {
		s, err := ParseSealer(From(c.text))
		if err != nil || len(s.aeads) != c.keys || s.Current() != first {
			t.Errorf("%s: %v", name, err)
		}
	}
	short, long := base64.StdEncoding.EncodeToString(make([]byte, 31)), base64.StdEncoding.EncodeToString(make([]byte, 33))
	loose := a[:42] + map[bool]string{true: "B", false: "A"}[a[42] == 'A'] // other unused bits, or other bits
	for name, text := range map[string]string{
		"nothing": "", "a line break": "\n", "a comma": ",", "only a comment": "# " + a, "too short": short, "too long": long, "two in one line": a + " " + b,
		"without padding": strings.TrimRight(a, "="), "the other alphabet": strings.Repeat("-_", 21) + "8=", "hexadecimal": strings.Repeat("ab", 32),
		"one good, one bad": a + "\nxyz", "one bad, one good": "xyz\n" + a, "cut": loose, "a comment behind it": a + " # mine", "NUL": a + "\x00",
		"a byte order mark": "\ufeff" + a, "a megabyte": strings.Repeat("A", 1<<20),
	} {
		if s, err := ParseSealer(From(text)); err == nil {
			t.Errorf("%s was read as %d keys", name, len(s.aeads))
		} else if strings.Contains(err.Error(), a) || len(text) > 8 && strings.Contains(err.Error(), text[:8]) {
			t.Errorf("%s: the error tells of the key: %v", name, err)
		}
	}
}

// FuzzOpen: what was not sealed does not open, and nothing makes it fail but
// with an error.
func FuzzOpen(f *testing.F) {
	s := sealer(f, From(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, keySize))))
	f.Add([]byte(nil), "")
	f.Add([]byte(s.current), "p")
	f.Add(append([]byte(s.current), make([]byte, 12)...), "p")
	f.Add(append([]byte(s.current), make([]byte, 28)...), "p")
	f.Fuzz(func(t *testing.T, blob []byte, place string) {
		if plain, err := s.Open(blob, place); err == nil {
			t.Errorf("%x opens at %q as %x", blob, place, plain)
		}
		sealed := s.Seal(blob, place)
		if plain, err := s.Open(sealed, place); err != nil || !bytes.Equal(plain, blob) {
			t.Errorf("what was sealed opens as %x, %v", plain, err)
		}
	})
}

// FuzzParseSealer: whatever is read as master keys seals and opens.
func FuzzParseSealer(f *testing.F) {
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, keySize))
	for _, text := range []string{key, key + "\n" + key, "# c\n" + key, "", "#", ",", key + ",x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		began := time.Now()
		s, err := ParseSealer(From(text))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("reading %d bytes took %v", len(text), took)
		}
		if err != nil {
			return
		}
		if plain, err := s.Open(s.Seal([]byte("k"), "p"), "p"); err != nil || string(plain) != "k" {
			t.Errorf("%q: what it seals opens as %q, %v", text, plain, err)
		}
	})
}
