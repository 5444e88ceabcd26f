package main

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"
)

func TestDigests(t *testing.T) {
	got := digests("password\nPassWord\r\nshort12\nfußball!\nsieben7é\nbad\xffbytes\n\n12345678")
	var want []entry
	for _, p := range []string{"password", "fußball!", "sieben7é", "12345678"} {
		digest := sha256.Sum256([]byte(p))
		want = append(want, entry(digest[:5]))
	}
	slices.SortFunc(want, func(a, b entry) int { return slices.Compare(a[:], b[:]) })
	if !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestEncode(t *testing.T) {
	b := encode([]entry{{0, 0, 1, 2, 3}, {0, 1, 4, 5, 6}, {0, 1, 7, 8, 9}, {255, 255, 10, 11, 12}})
	offset := func(i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
	for i, want := range map[int]uint32{0: 0, 1: 1, 2: 3, 3: 3, 65535: 3, 65536: 4} {
		if got := offset(i); got != want {
			t.Errorf("offset %d = %d, want %d", i, got, want)
		}
	}
	if got := b[4*65537:]; !slices.Equal(got, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}) {
		t.Errorf("%v", got)
	}
}
