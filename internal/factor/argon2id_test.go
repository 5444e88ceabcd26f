package factor

import (
	"bytes"
	"encoding/hex"
	"testing"

	"golang.org/x/crypto/argon2"
	"pgregory.net/rapid"
)

// The vectors are those of the reference implementation's test.c.
func TestArgon2idKnown(t *testing.T) {
	for _, v := range []struct {
		memory, passes, lanes int
		tag                   string
	}{
		{256, 2, 1, "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"},
		{256, 2, 2, "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037"},
		{65536, 1, 1, "f6a5adc1ba723dddef9b5ac1d464e180fcd9dffc9d1cbf76cca2fed795d9ca98"},
	} {
		s := scheme{algorithm: Argon2id, memory: v.memory, passes: v.passes, lanes: v.lanes, salt: 8, tag: 32}
		if got := hex.EncodeToString(new(arena).argon2id(s, "password", []byte("somesalt"))); got != v.tag {
			t.Errorf("%v: %s, want %s", s, got, v.tag)
		}
	}
}

// The library is the judge of what Argon2id is; the memory is used again from
// hash to hash, so that what one leaves in it must not change the next.
func TestArgon2idIsThatOfTheLibrary(t *testing.T) {
	a := &arena{keep: 300}
	rapid.Check(t, func(t *rapid.T) {
		s := scheme{algorithm: Argon2id}
		s.lanes = rapid.IntRange(1, 5).Draw(t, "lanes")
		s.memory = rapid.IntRange(8*s.lanes, 700).Draw(t, "memory")
		s.passes = rapid.IntRange(1, 4).Draw(t, "passes")
		s.tag = rapid.IntRange(minTag, 200).Draw(t, "tag")
		password := rapid.String().Draw(t, "password")
		salt := rapid.SliceOfN(rapid.Byte(), minSalt, maxSalt).Draw(t, "salt")
		want := argon2.IDKey([]byte(password), salt, uint32(s.passes), uint32(s.memory), uint8(s.lanes), uint32(s.tag))
		if got := a.argon2id(s, password, salt); !bytes.Equal(got, want) {
			t.Fatalf("%v: %x, want %x", s, got, want)
		}
	})
}

func TestArenaKeepsItsOwnAlone(t *testing.T) {
	a := &arena{keep: 16}
	first := a.take(16)
	if again := a.take(8); &again[0] != &first[0] {
		t.Error("the memory is not used again")
	}
	if big := a.take(17); len(big) != 17 || len(a.blocks) != 16 {
		t.Errorf("an imported hash is held: %d, %d", len(big), len(a.blocks))
	}
}
