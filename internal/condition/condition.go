// Package condition adds to roles what they cannot say: policies in Cedar, over what
// a request tells of the thing that is acted on, of the action and of who acts.
//
// A policy permits or forbids. What comes of that, beside the roles, is not decided
// here: package access does, and holds that no policy ever gives or takes a
// permission of this server's own API. A policy that cannot be evaluated permits
// nothing, and forbids if it is one that forbids.
package condition

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go"

	"github.com/doorward/doorward/internal/fault"
)

// The bounds of conditions.
const (
	Most           = 200      // conditions
	MostPolicies   = 50       // of one condition
	largestPolicy  = 16 << 10 // bytes
	deepest        = 64       // brackets within brackets
	maxDescription = 1_000    // bytes
)

// Condition is a few policies with a name.
type Condition struct {
	Name        string // as role names are; it never changes
	Description string // at most 1,000 bytes of UTF-8 without control characters
	Policy      string // one or more policies in Cedar, at most 16 KiB
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}

// Target returns the condition as the audit log names it.
func (c Condition) Target() string { return "condition:" + c.Name }

var names = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// check reports the first thing about c that can never be accepted, as a fault of kind
// Invalid with the field's name.
func (c Condition) check() error {
	switch {
	case !names.MatchString(c.Name):
		return fault.At("name", `it is 1 to 64 of a-z, 0-9, ".", "_" and "-", and begins with a letter or a digit`)
	case len(c.Description) > maxDescription:
		return fault.At("description", "at most %d bytes are allowed; these are %d", maxDescription, len(c.Description))
	case !utf8.ValidString(c.Description):
		return fault.At("description", "this is not text in UTF-8")
	case strings.ContainsFunc(c.Description, unicode.IsControl):
		return fault.At("description", "control characters are not allowed, line breaks among them")
	}
	_, err := compile(c)
	return err
}

// policy is one policy of a condition, ready to be evaluated.
type policy struct {
	condition string
	label     string // its annotation @id, or its place in the condition, from 1
	effect    Effect
	cedar     *cedar.Policy
	actions   []string // that its scope names; nil for all
}

// compile reads the policies of a condition.
func compile(c Condition) ([]policy, error) {
	switch {
	case len(c.Policy) > largestPolicy:
		return nil, fault.At("policy", "at most %d bytes are allowed; these are %d", largestPolicy, len(c.Policy))
	case !utf8.ValidString(c.Policy) || strings.ContainsRune(c.Policy, 0):
		return nil, fault.At("policy", "this is not text in UTF-8")
	case tooDeep(c.Policy): // the parser, and what it makes, call themselves
		return nil, fault.At("policy", "brackets stand more than %d deep", deepest)
	}
	list, err := cedar.NewPolicyListFromBytes("", []byte(c.Policy))
	switch {
	case err != nil:
		return nil, fault.At("policy", "%s", where(err)).Because(err)
	case len(list) == 0:
		return nil, fault.At("policy", "there is no policy in it; begin with permit or forbid")
	case len(list) > MostPolicies:
		return nil, fault.At("policy", "a condition has at most %d policies; these are %d", MostPolicies, len(list))
	}
	policies := make([]policy, len(list))
	for i, p := range list {
		label := string(p.Annotations()["id"])
		if label == "" || len(label) > 64 {
			label = strconv.Itoa(i + 1)
		}
		effect := Permit
		if p.Effect() == cedar.Forbid {
			effect = Forbid
		}
		policies[i] = policy{condition: c.Name, label: label, effect: effect, cedar: p, actions: actionsOf(p)}
	}
	return policies, nil
}

// tooDeep reports whether brackets may stand deeper than is read. Those in strings and
// comments count, too.
func tooDeep(text string) bool {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth = max(0, depth-1)
		}
		if depth > deepest {
			return true
		}
	}
	return false
}

var position = regexp.MustCompile(`(?s)^(?:parser error: )?(?:parse error at )?<input>:(\d+):(\d+):? ?(.*)$`)

var expected = regexp.MustCompile(`: exact got (.*) want (.*)$`)

// where says what is wrong with a policy, with the line and the column first.
func where(err error) string {
	m := position.FindStringSubmatch(err.Error())
	if m == nil {
		return "it cannot be read as Cedar"
	}
	message := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, m[3])
	if t := expected.FindStringSubmatch(message); t != nil {
		message = fmt.Sprintf("%q stands where %q must", t[1], t[2])
	}
	if len(message) > 200 {
		message = strings.ToValidUTF8(message[:200], "") + "…"
	}
	return "line " + m[1] + ", column " + m[2] + ": " + message
}
