// Command commongen writes the list of common passwords that package factor
// embeds, from a text file with one password a line. It is run by go generate;
// the form of the list is described in package factor.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// shortest is the least length of a password, in characters: the configuration
// goes no lower, so that shorter ones need not be listed.
const shortest = 8

func main() {
	if len(os.Args) != 3 || os.Args[1] == "" {
		fmt.Fprintln(os.Stderr, "usage: commongen LIST OUTPUT")
		os.Exit(2)
	}
	text, err := os.ReadFile(os.Args[1]) //nolint:gosec // it is named by whoever runs go generate
	if err == nil {
		entries := digests(string(text))
		err = os.WriteFile(os.Args[2], encode(entries), 0o600) //nolint:gosec // likewise
		fmt.Fprintln(os.Stderr, "commongen:", len(entries), "entries")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "commongen:", err)
		os.Exit(1)
	}
}

// An entry is the beginning of a digest: two bytes choose the bucket, three are
// kept in it.
type entry [5]byte

// digests returns the entries of the passwords in text, in order, each once.
func digests(text string) []entry {
	var entries []entry
	for line := range strings.Lines(text) {
		password := strings.TrimRight(line, "\r\n")
		if utf8.ValidString(password) && utf8.RuneCountInString(password) >= shortest {
			digest := sha256.Sum256([]byte(strings.ToLower(password)))
			entries = append(entries, entry(digest[:5]))
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(entries)
}

// encode writes the table of offsets and the rest of each entry.
func encode(entries []entry) []byte {
	var table, rest []byte
	i := 0
	for bucket := range 1 << 16 {
		table = binary.LittleEndian.AppendUint32(table, uint32(i))
		for i < len(entries) && int(binary.BigEndian.Uint16(entries[i][:2])) == bucket {
			rest = append(rest, entries[i][2:]...)
			i++
		}
	}
	return append(binary.LittleEndian.AppendUint32(table, uint32(i)), rest...)
}
