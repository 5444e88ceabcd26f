package status

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Live is what a token family remembers of its access tokens that may be alive: their
// bits, and what else than the family they end with. It is kept with the family, in its
// row, so that an access token costs no row of its own.
type Live struct {
	Roles []string // that any of them carries
	Held  []Held   // the newest last
}

// Held is a bit that access tokens have.
type Held struct {
	Slot
	Policy int64 // the version of the policy that they were made under
	Until  int64 // when the last of them has expired, as Unix seconds
}

const (
	// mostHeld is how many bits a family has that were made under one version of the
	// policy. One that is turned more often while a token lives uses them again: all of
	// these tokens end together, so nobody can tell.
	mostHeld = 8
	// mostKept bounds them whatever the policy does.
	mostKept = 64
	// margin is for how long a bit is kept past the token's end: a retry within the grace
	// of a turn is given another token with it.
	margin = 60
)

// Again returns the bit that the next token is to share with older ones of its family,
// if it has as many as it may have.
func (l Live) Again(policy int64, now time.Time) (Slot, bool) {
	n, oldest := 0, Slot{}
	for _, h := range l.Held {
		if h.Policy == policy && h.Until > now.Unix() {
			if n++; n == 1 {
				oldest = h.Slot
			}
		}
	}
	return oldest, n >= mostHeld
}

// Newest returns the bit of the newest token.
func (l Live) Newest() (Slot, bool) {
	if len(l.Held) == 0 {
		return Slot{}, false
	}
	return l.Held[len(l.Held)-1].Slot, true
}

// With returns l with a token more, and without those that have expired.
func (l Live) With(s Slot, roles []string, policy int64, expires, now time.Time) Live {
	next := Live{Held: make([]Held, 0, len(l.Held)+1)}
	for _, h := range l.Held {
		if h.Slot != s && h.Until > now.Unix() {
			next.Held = append(next.Held, h)
		}
	}
	if len(next.Held) > 0 {
		roles = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(l.Roles), roles...))))
	}
	next.Roles = roles
	next.Held = append(next.Held, Held{s, policy, expires.Unix() + margin})
	next.Held = next.Held[max(0, len(next.Held)-mostKept):]
	return next
}

// String returns l as it is kept: roles, and a line for the bits of one list that were
// given under one version of the policy, each with its time.
func (l Live) String() string {
	if len(l.Held) == 0 {
		return ""
	}
	b := make([]byte, 0, 256)
	for i, role := range l.Roles {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, role...)
	}
	var last Held
	for _, h := range l.Held {
		if h.List != last.List || h.Policy != last.Policy || last.List == "" {
			b = append(append(append(b, '\n'), h.List...), ' ')
			b = strconv.AppendInt(b, h.Policy, 10)
			last = h
		}
		b = strconv.AppendInt(append(b, ' '), h.Index, 10)
		b = strconv.AppendInt(append(b, ':'), h.Until, 10)
	}
	return string(b)
}

var errLive = errors.New("what is kept of a family's access tokens cannot be read")

// ParseLive reads what String wrote.
func ParseLive(text string) (Live, error) {
	if text == "" {
		return Live{}, nil
	}
	roles, rest, _ := strings.Cut(text, "\n")
	l := Live{Roles: strings.Fields(roles), Held: make([]Held, 0, mostHeld)}
	for line := range strings.SplitSeq(rest, "\n") {
		list, bits, _ := strings.Cut(line, " ")
		policy, bits, _ := strings.Cut(bits, " ")
		h := Held{Slot: Slot{List: list}}
		if !number(policy, &h.Policy) || list == "" {
			return Live{}, errLive
		}
		for bit := range strings.SplitSeq(bits, " ") {
			index, until, _ := strings.Cut(bit, ":")
			if !number(index, &h.Index) || !number(until, &h.Until) {
				return Live{}, errLive
			}
			l.Held = append(l.Held, h)
		}
	}
	return l, nil
}

func number(text string, into *int64) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	*into = n
	return err == nil
}
