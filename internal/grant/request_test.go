package grant

import (
	"testing"
	"time"
)

// Next, held against what each step needs, in every combination: what a person is
// asked for was asked for, and nothing is answered before it.
func TestNext(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	begun := now.Add(-time.Minute)
	age := func(d time.Duration) *time.Duration { return &d }
	seen := []Seen{
		{},
		{Session: "s1", User: "ana", AuthTime: now.Add(-10 * time.Minute)}, // long before the request
		{Session: "s1", User: "ana", AuthTime: begun},                      // for it
		{Session: "s1", User: "ana", AuthTime: now},
		{Session: "s2", User: "bob", AuthTime: now.Add(-2 * time.Minute)},
	}
	reached := map[Step]int{}
	each := []bool{false, true}
	for _, saved := range each {
		for _, decision := range []Decision{Undecided, Chosen, Allowed, Denied} {
			for _, in := range []string{"", "s1", "s2"} {
				r := Request{Decision: decision, Session: in}
				if saved {
					r.Begun = begun
				}
				for _, s := range seen {
					for _, login := range each {
						for _, choice := range each {
							for _, consent := range each {
								for _, agreed := range each {
									for _, most := range []*time.Duration{nil, age(0), age(5 * time.Minute), age(time.Hour)} {
										for _, user := range []string{"", "ana", "bob"} {
											w := Wanted{login, choice, consent, most, user, agreed}
											got, want := r.Next(w, s, now), needs(r, w, s, now)
											reached[got]++
											if got != want {
												t.Fatalf("%+v, wanted %+v, seen %+v: %s; want %s", r, w, s, got, want)
											}
										}
									}
								}
							}
						}
					}
				}
			}
		}
	}
	for _, step := range []Step{SignIn, Choose, Consent, Answer, Refuse} {
		if reached[step] == 0 {
			t.Errorf("%s was never reached", step)
		}
	}
}

// needs is Next as the specifications say it: each thing that must be so, in the order
// in which a person can bring it about.
func needs(r Request, w Wanted, s Seen, now time.Time) Step {
	his := s.Session == r.Session // what was decided was decided in this session
	forIt := r.Begun != time.Time{} && s.AuthTime.Compare(r.Begun) >= 0
	for _, must := range []struct {
		be    bool
		order Step
	}{
		{s.User != "", SignIn},
		{w.User == "" || w.User == s.User, SignIn},
		{!w.Login || forIt, SignIn},
		{w.MaxAge == nil || forIt || !s.AuthTime.Add(*w.MaxAge).Before(now), SignIn},
		{!w.Choice || forIt || his && r.Decision != Undecided, Choose},
		{!his || r.Decision != Denied, Refuse},
		{his && r.Decision == Allowed || w.Agreed && !w.Consent, Consent},
	} {
		if !must.be {
			return must.order
		}
	}
	return Answer
}
