package audit

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Leaf is what can be read in the bytes of a leaf.
type Leaf struct {
	ID      string    `json:"id"`
	At      string    `json:"at"` // in TimeFormat
	Action  Action    `json:"action"`
	Outcome Outcome   `json:"outcome"`
	Actor   string    `json:"actor"`
	Target  string    `json:"target"`
	Private []string  `json:"private"` // the digests of the private parts, in hex
	Persons []string  `json:"persons"` // whom each of them is about; empty for nobody known
	Detail  detail    `json:"detail"`
	time    time.Time // At
}

// detail are the facts of those events that the log itself obeys.
type detail struct {
	Until   string `json:"until_leaf"` // of audit.retired
	Key     string `json:"public_key"` // of audit-key.created, in base64
	Voucher string `json:"voucher"`    // of the same: a signature by the key before
}

// ReadLeaf reads the bytes of a leaf.
func ReadLeaf(data []byte) (l Leaf, err error) {
	l, usual := scanLeaf(data)
	if !usual {
		l = Leaf{}
		if err := json.Unmarshal(data, &l); err != nil {
			return Leaf{}, err
		}
	}
	if l.time, err = time.Parse(TimeFormat, l.At); err != nil {
		return Leaf{}, err
	}
	if len(l.Private) > 0 && l.Persons == nil {
		usual := usualPersons(l.Actor, l.Target)
		l.Persons = usual[:min(len(usual), len(l.Private))]
	}
	return l, nil
}

// Erased returns the account whose private parts were deleted, if the event
// tells of that.
func (l Leaf) Erased() (person string, ok bool) {
	person, ok = strings.CutPrefix(l.Target, "user:")
	return person, ok && l.Action == AuditErased
}

// retired returns the leaf up to which events were deleted, if the event tells
// of that.
func (l Leaf) retired() (until int64, ok bool) {
	until, err := strconv.ParseInt(l.Detail.Until, 10, 64)
	return until, err == nil && l.Action == AuditRetired
}

// RetiredUntil returns the leaf up to which events were deleted, if these are
// the bytes of an event that tells of it.
func RetiredUntil(data []byte) (until int64, ok bool) {
	l, err := ReadLeaf(data)
	if err != nil {
		return 0, false
	}
	return l.retired()
}

// usualPersons are whom the private parts of an event are about where it does
// not say: first who acted, then the account that it was done to.
func usualPersons(actor, target string) []string {
	_, who, _ := strings.Cut(actor, ":")
	if whom, ok := strings.CutPrefix(target, "user:"); ok && whom != who {
		return []string{who, whom}
	}
	return []string{who}
}

// unusual returns whom the private parts of a record are about, or nil if they
// are about whom one would think.
func unusual(r Record) []string {
	persons := make([]string, len(r.Private))
	for i, p := range r.Private {
		persons[i] = p.Person
	}
	usual := usualPersons(r.Actor, r.Target)
	if len(persons) <= len(usual) && slices.Equal(persons, usual[:len(persons)]) {
		return nil
	}
	return persons
}
