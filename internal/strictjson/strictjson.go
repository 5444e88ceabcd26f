// Package strictjson refuses JSON that two parsers could read differently:
// repeated names, bytes that are not UTF-8, something after the value, values
// nested too deep. It decides nothing else; what it lets pass goes to a decoder.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Depth is how deep objects and arrays may be nested.
const Depth = 32

// Check returns an error if data is not exactly one JSON value that every
// parser reads alike (RFC 8259, Section 4: names SHOULD be unique).
func Check(data []byte) error {
	if !utf8.Valid(data) || loneSurrogate(data) {
		return errors.New("the JSON is not Unicode text")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := value(d, Depth); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

func value(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return errors.New("it is not JSON")
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth == 0 {
		return fmt.Errorf("the JSON is nested deeper than %d", Depth)
	}
	names := map[string]bool{}
	for d.More() {
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return errors.New("it is not JSON")
			}
			if names[name.(string)] {
				return errors.New("a name is repeated in the JSON")
			}
			names[name.(string)] = true
		}
		if err := value(d, depth-1); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errors.New("it is not JSON")
	}
	return nil
}

// loneSurrogate reports whether an escape stands for half a character, which
// every parser replaces by what it likes (RFC 8259, Section 8.2).
func loneSurrogate(data []byte) bool {
	unit := func(i int) rune { // the code unit that an escape at i stands for, or -1
		if i+6 > len(data) || data[i] != '\\' || data[i+1] != 'u' {
			return -1
		}
		n, err := strconv.ParseUint(string(data[i+2:i+6]), 16, 16)
		if err != nil {
			return -1
		}
		return rune(n)
	}
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		switch u := unit(i); {
		case !utf16.IsSurrogate(u):
			i++ // whatever is escaped, it begins no other escape
		case utf16.DecodeRune(u, unit(i+6)) == unicode.ReplacementChar:
			return true
		default:
			i += 11
		}
	}
	return false
}
