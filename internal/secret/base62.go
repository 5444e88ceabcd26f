package secret

import (
	"errors"
	"math/big"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var errBase62 = errors.New("not base62 of the expected length")

// Base62 writes b in letters and digits, in exactly width characters, so that a
// double click selects it whole. It panics if b does not fit.
func Base62(b []byte, width int) string {
	out := make([]byte, width)
	n := make([]byte, len(b))
	copy(n, b)
	for i := width - 1; i >= 0; i-- {
		rest := 0
		for j := range n { // one long division by 62
			v := rest<<8 | int(n[j])
			n[j], rest = byte(v/62), v%62
		}
		out[i] = base62[rest]
	}
	for _, v := range n {
		if v != 0 {
			panic("secret: too many bytes for the width")
		}
	}
	return string(out)
}

// ParseBase62 is the inverse of Base62: it returns exactly size bytes, or an
// error for anything that Base62 does not write.
func ParseBase62(s string, size int) ([]byte, error) {
	out := make([]byte, size)
	for i := range len(s) {
		d := digit62(s[i])
		if d < 0 {
			return nil, errBase62
		}
		for j := size - 1; j >= 0; j-- {
			v := int(out[j])*62 + d
			out[j], d = byte(v), v>>8
		}
		if d != 0 {
			return nil, errBase62
		}
	}
	if len(s) != Width62(size) {
		return nil, errBase62
	}
	return out, nil
}

// Width62 returns how many characters size bytes need at the most.
func Width62(size int) int {
	limit := new(big.Int).Lsh(big.NewInt(1), uint(8*size))
	n, v := 0, big.NewInt(1)
	for v.Cmp(limit) < 0 {
		v.Mul(v, big.NewInt(62))
		n++
	}
	return n
}

func digit62(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 36
	}
	return -1
}
