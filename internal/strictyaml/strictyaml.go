// Package strictyaml reads YAML that means what it shows: one document of plain
// text, lists and mappings, without anchors, aliases and tags. What the keys and
// values mean is for whoever asked.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Mistake is what is wrong with a document, and where. Line and Column count from
// 1; a Line of 0 is the document as a whole, a Column of 0 the line.
type Mistake struct {
	Line, Column int
	Message      string
}

// Error returns the message alone: who knows the file's name says where.
func (m *Mistake) Error() string { return m.Message }

// Parse returns the root of the document that data holds, or nil if there is
// nothing in it. data has at most so many bytes; a Mistake says what else is wrong.
func Parse(data []byte, most int) (*yaml.Node, error) {
	if len(data) > most {
		return nil, &Mistake{Message: fmt.Sprintf("is longer than %d MiB", most>>20)}
	}
	if !utf8.Valid(data) {
		bad := 0
		for c, size := utf8.DecodeRune(data); c != utf8.RuneError || size != 1; c, size = utf8.DecodeRune(data[bad:]) {
			bad += size
		}
		return nil, &Mistake{Line: 1 + bytes.Count(data[:bad], []byte("\n")), Message: "is not UTF-8"}
	}
	documents := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := decode(documents, &first); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, syntax(data, err)
	}
	if err := decode(documents, &second); err == nil {
		return nil, &Mistake{Line: second.Line, Message: "begins a second document; one is all that is read"}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntax(data, err)
	}
	if len(first.Content) == 0 || Null(first.Content[0]) {
		return nil, nil
	}
	return first.Content[0], nil
}

// Null reports whether n is where a value could be, and none is.
func Null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// decode reads one document. The library panics in states that it does not
// expect, and users of it have met such; a file must not end the program so.
func decode(d *yaml.Decoder, n *yaml.Node) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("yaml: is not YAML that can be read")
		}
	}()
	return d.Decode(n)
}

var (
	yamlLine   = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)
	yamlAnchor = regexp.MustCompile(`anchor '(.*)'`)
)

// syntax tells what the library found. Its words about anchors are not passed on:
// a value that begins with * is an alias to it, and may be a password.
func syntax(data []byte, err error) *Mistake {
	parts := yamlLine.FindStringSubmatch(err.Error())
	if parts == nil {
		return &Mistake{Message: "is not YAML"}
	}
	line, _ := strconv.Atoi(parts[1]) // the pattern lets digits through alone
	if anchor := yamlAnchor.FindStringSubmatch(parts[2]); anchor != nil {
		if i := bytes.Index(data, []byte("*"+anchor[1])); i >= 0 {
			line = 1 + bytes.Count(data[:i], []byte("\n"))
		}
		parts[2] = noAlias
	}
	return &Mistake{Line: line, Message: parts[2]}
}

const noAlias = "anchors and aliases are refused; put a value that begins with & or * in quotes"

// Plain returns what is wrong with a node that means more than it shows; "" if it
// does not. It does not look at what stands below.
func Plain(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return noAlias
	case n.Style&yaml.TaggedStyle != 0:
		return "tags are refused; put a value that begins with ! in quotes"
	}
	return ""
}
