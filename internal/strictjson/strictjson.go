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
	"unicode/utf8"
)

// Depth is how deep objects and arrays may be nested.
const Depth = 32

// Check returns an error if data is not exactly one JSON value that every
// parser reads alike (RFC 8259, Section 4: names SHOULD be unique).
func Check(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("the JSON is not UTF-8")
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
