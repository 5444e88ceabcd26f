package audit

import (
	"encoding/json"
	"slices"
	"strings"
)

// The JSON of events is written by hand, since one is written for every token; by
// encoding/json it would take three times as long. It is the same, byte for byte.

// appendText appends a text in JSON.
func appendText(b []byte, s string) []byte {
	if plain(s) && !strings.ContainsAny(s, `<>&`) {
		b = append(b, '"')
		for i := strings.IndexAny(s, `"\`); i >= 0; i = strings.IndexAny(s, `"\`) {
			b = append(append(b, s[:i]...), '\\', s[i])
			s = s[i+1:]
		}
		return append(append(b, s...), '"')
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // there is no text for which it fails
	}
	return append(b, text...)
}

// appendMember appends a member of an object, unless its text is empty.
func appendMember(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return appendText(append(b, name...), s)
}

// appendFacts appends an object of texts, sorted by their names and cleaned.
func appendFacts(b []byte, list Facts) []byte {
	var few [8]fact
	sorted := append(few[:0], list...)
	slices.SortFunc(sorted, func(a, b fact) int { return strings.Compare(a.name, b.name) })
	b = append(b, '{')
	for i, f := range sorted {
		b = append(appendText(between(b, i), f.name), ':')
		b = appendText(b, clean(f.value))
	}
	return append(b, '}')
}

// appendList appends an array of texts, cleaned.
func appendList(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		b = appendText(between(b, i), clean(s))
	}
	return append(b, ']')
}

func between(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}
