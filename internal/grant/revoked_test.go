package grant

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/feed"
)

// lost is a change that is needed for a quarter of an hour.
func lost(topic feed.Topic, key string, version int64) feed.Change {
	at := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) // whatever the clock of who wrote it said
	return feed.Change{Topic: topic, Key: key, Version: version, At: at, Until: at.Add(15 * time.Minute)}
}

func TestRevokedIsExact(t *testing.T) {
	r := NewRevoked()
	r.Apply(lost(feed.FamilyEnded, "f", 0))
	r.Apply(lost(feed.GrantLost, "ann", 5))
	r.Apply(lost(feed.GrantLost, "ann", 4)) // told again, late
	r.Apply(lost(feed.RoleNarrows, "editor", 7))
	r.Apply(lost(feed.ResourceNarrows, "urn:api", 6))
	r.Apply(lost(feed.Resource, "urn:other", 9))
	r.Apply(lost(feed.Account, "bea", 9))
	r.Apply(lost(feed.Grants, "bea", 9))
	r.Apply(lost(feed.Roles, "viewer", 9))
	for name, c := range map[string]struct {
		family, account, client string
		roles                   []string
		policy                  int64
		want                    bool
		audience                string
	}{
		"an ended family":                   {"f", "bea", "", nil, 99, true, ""},
		"another family":                    {"g", "bea", "", nil, 0, false, ""},
		"made before the loss":              {"g", "ann", "", nil, 4, true, ""},
		"made after it":                     {"g", "ann", "", nil, 5, false, ""},
		"of somebody else":                  {"g", "bea", "", nil, 4, false, ""},
		"with a role from before":           {"g", "bea", "", []string{"viewer", "editor"}, 6, true, ""},
		"with the role as it is":            {"g", "bea", "", []string{"viewer", "editor"}, 7, false, ""},
		"without the role":                  {"g", "bea", "", []string{"viewer"}, 6, false, ""},
		"what was only given or written":    {"g", "bea", "", []string{"viewer"}, 1, false, ""},
		"a family that is called like ann":  {"ann", "bea", "", nil, 4, false, ""},
		"an account that is called as it f": {"g", "f", "", nil, 4, false, ""},
		"nothing at all":                    {"", "", "", nil, 0, false, ""},
		"through a client that lost much":   {"g", "bea", "ann", nil, 4, true, ""},
		"for an API before it narrowed":     {"g", "bea", "", nil, 5, true, "urn:api"},
		"for it afterwards":                 {"g", "bea", "", nil, 6, false, "urn:api"},
		"for another":                       {"g", "bea", "", nil, 5, false, "urn:other"},
		"through it afterwards":             {"g", "bea", "ann", nil, 5, false, ""},
	} {
		if got := r.Has(Access{Family: c.family, Account: c.account, Client: c.client, Roles: c.roles, Policy: c.policy, Audience: []string{c.audience}}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What is remembered is forgotten once no token can be alive: the set does not
// grow for ever, and forgets nothing before.
func TestRevokedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRevoked()
		for minute := range 60 {
			for i := range 20 {
				r.Apply(lost(feed.FamilyEnded, fmt.Sprint(minute, "-", i), 0))
			}
			r.Apply(lost(feed.GrantLost, fmt.Sprint("a", minute), int64(minute+1)))
			r.Apply(lost(feed.RoleNarrows, fmt.Sprint("r", minute), int64(minute+1)))
			r.Apply(lost(feed.ResourceNarrows, fmt.Sprint("api", minute), int64(minute+1)))
			for back := range min(minute+1, 15) {
				then := minute - back
				if !r.Has(Access{Family: fmt.Sprint(then, "-", 7)}) || !r.Has(Access{Account: fmt.Sprint("a", then)}) || !r.Has(Access{Roles: []string{fmt.Sprint("r", then)}}) ||
					!r.Has(Access{Audience: []string{fmt.Sprint("api", then)}}) {
					t.Fatalf("in minute %d what was revoked in minute %d is forgotten", minute, then)
				}
			}
			time.Sleep(time.Minute)
		}
		if len(r.marks[OfFamily]) > 20*18 || len(r.marks[OfPrincipal]) > 18 || len(r.marks[OfRole]) > 18 || len(r.marks[OfAPI]) > 18 {
			t.Errorf("after an hour it remembers %d, %d, %d and %d", len(r.marks[OfFamily]), len(r.marks[OfPrincipal]), len(r.marks[OfRole]), len(r.marks[OfAPI]))
		}
	})
}

func TestRevokedAtOnce(t *testing.T) {
	r := NewRevoked()
	var wait sync.WaitGroup
	for w := range 4 {
		wait.Go(func() {
			for i := range 200 {
				key := fmt.Sprint(w, "-", i)
				r.Apply(lost(feed.FamilyEnded, key, 0))
				r.Apply(lost(feed.GrantLost, "ann", int64(i)))
				if !r.Has(Access{Family: key}) || i > 0 && !r.Has(Access{Account: "ann", Policy: int64(i - 1)}) {
					t.Errorf("%s is not revoked", key)
				}
			}
		})
	}
	wait.Wait()
}
