package audit

import (
	"bytes"

	"github.com/doorward/doorward/internal/principal"
)

// Names are what the events of a moment are found by: who acted, upon what, what
// was done and how it ended, and of whom it tells where that is somebody else.
func (c *Columns) Names(data []byte) []string {
	names := []string{c.Actor, c.Action, c.Outcome}
	if c.Target != "" && c.Target != c.Actor {
		names = append(names, c.Target)
	}
	if !bytes.Contains(data, []byte(`"persons"`)) {
		return names
	}
	leaf, err := ReadLeaf(data)
	if err != nil {
		return names // it names nobody, and verify tells of it
	}
	for _, person := range leaf.Persons {
		if person != "" {
			names = append(names, aboutName(person))
		}
	}
	return names
}

func aboutName(person string) string { return "person:" + person }

// NamesOf returns the names under which there may be an event that tells of a
// person: an account's id.
func NamesOf(person string) []string {
	names := []string{aboutName(person)}
	for _, kind := range principal.Kinds() {
		names = append(names, string(kind)+":"+person)
	}
	return names
}

// Moment returns the moment of an event's id: what the ids have in common that were
// made within the same 256 ms. A text that is no id has one, too.
func Moment(id string) string { return id[:min(len(id), momentWidth)] }

// momentWidth is how many characters of an id tell its moment: 40 of its 48 bits
// of milliseconds.
const momentWidth = 8
