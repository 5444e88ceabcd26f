package audit

import (
	"bytes"
	"errors"
	"strings"

	"github.com/doorward/doorward/internal/clock"
)

// A pack holds events that were committed together, a line for each: the bytes of its
// leaf, a tab, and its private parts as a database keeps them. Neither has a tab or the
// end of a line in it, since JSON escapes them.

// AppendLine appends the line of r in a pack.
func (r Record) AppendLine(b []byte) []byte {
	b = append(append(b, r.Public...), '\t')
	return append(append(b, r.Parts...), '\n')
}

// Packed is an event in a pack.
type Packed struct {
	Columns
	Data  []byte
	Parts string // its private parts, as a database keeps them
}

// Same reports whether both are one event, recorded twice.
func (p Packed) Same(q Packed) bool { return bytes.Equal(p.Data, q.Data) }

var errPack = errors.New("a pack of events has a line that is none's")

// Unpack returns the events of a pack, in the order in which they were recorded.
func Unpack(pack string) ([]Packed, error) {
	list := make([]Packed, 0, strings.Count(pack, "\n"))
	for pack != "" {
		line, rest, whole := strings.Cut(pack, "\n")
		data, parts, two := strings.Cut(line, "\t")
		if !whole || !two {
			return nil, errPack
		}
		leaf, err := ReadLeaf([]byte(data))
		if err != nil {
			return nil, errors.Join(errPack, err)
		}
		list = append(list, Packed{
			Columns{leaf.ID, clock.Micro(leaf.time), string(leaf.Action), string(leaf.Outcome), leaf.Actor, leaf.Target}, []byte(data), parts,
		})
		pack = rest
	}
	return list, nil
}

// ForgetPacked returns what is left of a pack without the private parts about a person,
// and how many those were. Of parts that cannot be read nothing is left.
func ForgetPacked(pack, person string) (left string, forgotten int) {
	var b strings.Builder
	for line := range strings.Lines(pack) {
		data, parts, two := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !two {
			b.WriteString(line)
			continue
		}
		others, n := Forget(parts, person)
		forgotten += n
		b.WriteString(data + "\t" + others + "\n")
	}
	return b.String(), forgotten
}
