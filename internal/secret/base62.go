package secret

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"math/bits"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var errBase62 = errors.New("not base62 of the expected length")

// Numbers are read and written ten digits at a time: 62^10 is the largest power
// of the base that one machine word holds.
const (
	chunk      = 10
	chunkValue = 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62
)

// Width62 returns how many characters size bytes need at the most.
func Width62(size int) int { return int(math.Ceil(float64(size) * 8 / math.Log2(62))) }

// Base62 writes b as a number in letters and digits, in exactly
// Width62(len(b)) characters, so that a double click selects it whole.
func Base62(b []byte) string {
	n := words(b)
	out := make([]byte, Width62(len(b)))
	for end := len(out); end > 0; end -= chunk {
		var rest uint64
		for i := range n { // one long division, the highest word first
			n[i], rest = bits.Div64(rest, n[i], chunkValue)
		}
		for i := end - 1; i >= max(0, end-chunk); i-- {
			out[i] = base62[rest%62]
			rest /= 62
		}
	}
	return string(out)
}

// ChecksumWidth is how many characters Checksum returns.
var ChecksumWidth = Width62(crc32.Size)

// Checksum returns the CRC-32 of a text in letters and digits: what ends a token, so
// that one with a letter missing or changed is told from one that is wrong.
func Checksum(s string) string {
	return Base62(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(s))))
}

// ParseBase62 is the inverse of Base62: it returns exactly size bytes, or an
// error for anything that Base62 does not write.
func ParseBase62(s string, size int) ([]byte, error) {
	if len(s) != Width62(size) {
		return nil, errBase62
	}
	n := make([]uint64, (size+7)/8)
	for len(s) > 0 {
		digits := (len(s)-1)%chunk + 1 // a short chunk can only be the first
		var value uint64
		for i := range digits {
			d := digit62(s[i])
			if d < 0 {
				return nil, errBase62
			}
			value = value*62 + uint64(d)
		}
		s = s[digits:]
		carry := value
		for i := len(n) - 1; i >= 0; i-- { // one long multiplication
			high, low := bits.Mul64(n[i], chunkValue)
			sum, over := bits.Add64(low, carry, 0)
			n[i], carry = sum, high+over
		}
		if carry != 0 {
			return nil, errBase62
		}
	}
	return unwords(n, size)
}

// words reads big-endian bytes into 64-bit words, the highest first.
func words(b []byte) []uint64 {
	n := make([]uint64, (len(b)+7)/8)
	for i, v := range b {
		at := len(b) - 1 - i
		n[len(n)-1-at/8] |= uint64(v) << (8 * (at % 8))
	}
	return n
}

func unwords(n []uint64, size int) ([]byte, error) {
	b := make([]byte, size)
	for at := range 8 * len(n) {
		v := byte(n[len(n)-1-at/8] >> (8 * (at % 8)))
		if at < size {
			b[size-1-at] = v
		} else if v != 0 {
			return nil, errBase62
		}
	}
	return b, nil
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
