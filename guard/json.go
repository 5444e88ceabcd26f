package guard

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep objects and arrays may nest.
const maxDepth = 32

var (
	errJSON      = errors.New("not JSON")
	errUTF8      = errors.New("not UTF-8")
	errDuplicate = errors.New("a name occurs twice in an object")
	errDepth     = errors.New("nested too deep")
	errForm      = errors.New("a value has the wrong type or is out of range")
)

// scanner reads JSON (RFC 8259) as strictly as tokens need it. Names are unique
// and compared byte for byte after escapes are undone; strings are UTF-8 without
// lone surrogates. encoding/json takes the last of two equal names, folds case,
// and replaces what is not Unicode: two readers of one token could then see
// different claims.
//
// After the first error every method returns a zero value: err is read once, at
// the end. Strings without escapes are pieces of text.
type scanner struct {
	text  string
	at    int
	depth int
	err   error
}

// readObject reads text, which is one object and nothing else. It calls member
// with each name; member reads the value with exactly one of the methods date,
// integer, boolean, str, strs, oneOrMore, array and skip.
func readObject(text string, member func(s *scanner, name string)) error {
	s := &scanner{text: text}
	if !utf8.ValidString(text) {
		return errUTF8
	}
	s.object(member)
	if s.space(); s.err == nil && s.at != len(text) {
		s.fail(errJSON)
	}
	return s.err
}

func (s *scanner) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.at = len(s.text)
}

// peek returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// take moves past c and reports whether it was there.
func (s *scanner) take(c byte) bool {
	if s.peek() != c || s.at >= len(s.text) {
		return false
	}
	s.at++
	return true
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// enter begins an object or an array. A value of another type has the wrong
// form, which is told apart from text that is no JSON.
func (s *scanner) enter(open byte) bool {
	s.space()
	if s.depth++; s.depth > maxDepth {
		s.fail(errDepth)
		return false
	}
	if !s.take(open) {
		s.fail(errForm)
		return false
	}
	s.space()
	return true
}

// next reports whether another element follows the one that was read.
func (s *scanner) next(end byte) bool {
	s.space()
	if s.take(',') {
		s.space()
		return true
	}
	if !s.take(end) {
		s.fail(errJSON)
	}
	return false
}

// object reads an object.
func (s *scanner) object(member func(s *scanner, name string)) {
	if !s.enter('{') {
		return
	}
	defer func() { s.depth-- }()
	if s.take('}') {
		return
	}
	var seen names
	for {
		name := s.str()
		if s.space(); s.err == nil && !s.take(':') {
			s.fail(errJSON)
		}
		if s.err == nil && !seen.add(name) {
			s.fail(errDuplicate)
		}
		if s.err != nil {
			return
		}
		member(s, name)
		if s.err != nil || !s.next('}') {
			return
		}
	}
}

// names is a set that needs no memory of its own while it is small.
type names struct {
	few  [24]string
	n    int
	many map[string]bool
}

func (n *names) add(name string) bool {
	for _, old := range n.few[:n.n] {
		if old == name {
			return false
		}
	}
	switch {
	case n.n < len(n.few):
		n.few[n.n] = name
		n.n++
	case n.many[name]:
		return false
	case n.many == nil:
		n.many = map[string]bool{name: true}
	default:
		n.many[name] = true
	}
	return true
}

// array reads an array; element reads each element.
func (s *scanner) array(element func(s *scanner)) {
	if !s.enter('[') {
		return
	}
	defer func() { s.depth-- }()
	if s.take(']') {
		return
	}
	for {
		element(s)
		if s.err != nil || !s.next(']') {
			return
		}
	}
}

// skip reads any value and returns its text.
func (s *scanner) skip() string {
	s.space()
	start := s.at
	switch c := s.peek(); {
	case c == '{':
		s.object(func(s *scanner, _ string) { s.skip() })
	case c == '[':
		s.array(func(s *scanner) { s.skip() })
	case c == '"':
		s.str()
	case c == '-' || c >= '0' && c <= '9':
		s.number()
	default:
		s.word()
	}
	if s.err != nil {
		return ""
	}
	return s.text[start:s.at]
}

func (s *scanner) word() {
	for _, w := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(s.text[s.at:], w) {
			s.at += len(w)
			return
		}
	}
	s.fail(errJSON)
}

// number reads a number and returns it as it is spelled.
func (s *scanner) number() string {
	s.space()
	start := s.at
	s.take('-')
	if c := s.peek(); c < '0' || c > '9' {
		s.fail(errForm)
		return ""
	}
	if !s.take('0') {
		s.digits()
	}
	if s.take('.') {
		s.digits()
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		s.digits()
	}
	if s.err != nil {
		return ""
	}
	return s.text[start:s.at]
}

func (s *scanner) digits() {
	start := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	if s.at == start {
		s.fail(errJSON)
	}
}

// date reads a NumericDate (RFC 7519, Section 2) of 0 to 2^40 seconds, which is
// the year 36812. Fractions are cut off. The bounds come before the conversion:
// int64 of a large float is the smallest int64.
func (s *scanner) date() int64 {
	f, err := strconv.ParseFloat(s.number(), 64)
	if s.err != nil || err != nil || !(f >= 0 && f <= 1<<40) {
		s.fail(errForm)
		return 0
	}
	return int64(f)
}

// integer reads a whole number without fraction or exponent.
func (s *scanner) integer() int64 {
	n, err := strconv.ParseInt(s.number(), 10, 64)
	if err != nil {
		s.fail(errForm)
		return 0
	}
	return n
}

// boolean reads true or false.
func (s *scanner) boolean() bool {
	text := s.skip()
	if text != "true" && text != "false" {
		s.fail(errForm)
	}
	return text == "true"
}

// strs reads an array of strings.
func (s *scanner) strs() []string {
	list := []string{}
	s.array(func(s *scanner) { list = append(list, s.str()) })
	return list
}

// oneOrMore reads a string or an array of strings.
func (s *scanner) oneOrMore() []string {
	if s.space(); s.peek() == '"' {
		return []string{s.str()}
	}
	return s.strs()
}

// str reads a string.
func (s *scanner) str() string {
	s.space()
	if !s.take('"') {
		s.fail(errForm)
		return ""
	}
	start := s.at
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[start : s.at-1]
		case c == '\\':
			return s.unescape(start)
		case c < ' ':
			s.fail(errJSON)
			return ""
		}
		s.at++
	}
	s.fail(errJSON)
	return ""
}

// unescape reads the rest of a string that begins at start, from its first
// backslash on.
func (s *scanner) unescape(start int) string {
	var b strings.Builder
	b.WriteString(s.text[start:s.at])
	for s.at < len(s.text) {
		c := s.text[s.at]
		s.at++
		switch {
		case c == '"':
			return b.String()
		case c < ' ':
			s.fail(errJSON)
			return ""
		case c == '\\':
			b.WriteRune(s.escape())
		default:
			b.WriteByte(c)
		}
	}
	s.fail(errJSON)
	return ""
}

// escape reads what follows a backslash.
func (s *scanner) escape() rune {
	const plain, meant = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := s.peek()
	s.at++
	if i := strings.IndexByte(plain, c); i >= 0 {
		return rune(meant[i])
	}
	if c != 'u' {
		s.fail(errJSON)
		return 0
	}
	r := s.hex4()
	if !utf16.IsSurrogate(r) {
		return r
	}
	if strings.HasPrefix(s.text[min(s.at, len(s.text)):], `\u`) {
		s.at += 2
		if r = utf16.DecodeRune(r, s.hex4()); r != utf8.RuneError {
			return r
		}
	}
	s.fail(errUTF8)
	return 0
}

func (s *scanner) hex4() rune {
	if s.at+4 > len(s.text) {
		s.fail(errJSON)
		return 0
	}
	n, err := strconv.ParseUint(s.text[s.at:s.at+4], 16, 16)
	if err != nil {
		s.fail(errJSON)
		return 0
	}
	s.at += 4
	return rune(n)
}
