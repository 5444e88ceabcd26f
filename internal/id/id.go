// Package id makes the ids of things that are kept: 26 lower-case characters
// that sort by the time at which they were made. An id names a thing and proves
// nothing: what must not be guessed is made by package secret.
package id

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// The extended alphabet keeps the order of the bytes (RFC 4648, Section 7).
var alphabet = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// New returns an id for a thing made at now: 48 bits of milliseconds and 80
// random bits.
func New(now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:]) // it never fails: the program ends before
	return alphabet.EncodeToString(b[:])
}

// Valid reports whether s has the form of an id.
func Valid(s string) bool {
	if len(s) != 26 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'v') {
			return false
		}
	}
	return true
}

// Floor returns the least id of what was made at now or later.
func Floor(now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(max(0, now.UnixMilli()))<<16)
	return alphabet.EncodeToString(b[:])
}

// Time returns when an id was made, to the millisecond; the zero time for what is
// no id.
func Time(id string) time.Time {
	if !Valid(id) {
		return time.Time{}
	}
	b, err := alphabet.DecodeString(id)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[:8]) >> 16)).UTC()
}
