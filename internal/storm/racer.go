package main

import (
	"fmt"
	"net/http"
	"sync"
)

// racer sends one refresh token several times at once.
type racer struct {
	base
	user, name string
	begun      int
	held       *held // raced for and not settled yet
	won        int   // answers with a new pair
	dead       bool  // a use was refused: the family has ended
}

const parallel = 3

func (r *racer) step() {
	h := r.login(r.name, "")
	if h == nil {
		return
	}
	r.begun++
	r.held, r.won, r.dead = h, 0, false
	var answers [parallel]answer
	var wait sync.WaitGroup
	for i := range parallel {
		wait.Go(func() {
			answers[i] = r.refresh(h.refresh, false, fmt.Sprintf("use %d of %s with %s", i+1, h.family, short(h.secret)))
		})
	}
	wait.Wait()
	r.judge(answers)
	if !r.unsure() {
		r.held = nil
	}
}

// judge holds the answers to the promise: strictly, one use gets a pair and the
// others end the family; within the grace, all get the same pair.
func (r *racer) judge(answers [parallel]answer) {
	successors := map[string]bool{}
	told := 0
	for _, a := range answers {
		switch {
		case a.lost():
			r.doubt = "the race"
		case a.told() && a.status == http.StatusOK:
			told++
			r.won++
			next, err := tokens(a)
			if err != nil {
				r.violated("refresh: %v", err)
				continue
			}
			successors[next.secret] = true
		case a.told():
			told++
			r.dead = true
			r.is(a, http.StatusBadRequest, "a parallel use")
		}
	}
	r.sum.add("races for one token")
	strict := r.grace == 0
	switch {
	case len(successors) > 1:
		r.violated("one token was answered with %d successors: the family forks", len(successors))
	case strict && r.won > 1:
		r.violated("strictly, %d uses of one token were answered with a pair", r.won)
	case told == parallel && strict && r.won != 1, told == parallel && !strict && r.won != parallel:
		r.violated("of %d parallel uses of one token, %d were answered with a pair (grace: %v)", parallel, r.won, r.grace)
	}
}

func (r *racer) settle(s *snapshot) {
	r.families(s, r.user, &r.begun)
	if r.held != nil {
		f, ok := s.families[r.held.family]
		switch {
		case !ok:
			r.violated("the family %s is not in the database", r.held.family)
		case f.generation > 2, r.won > 0 && f.generation != 2:
			r.violated("the family %s is at turn %d; %d uses were answered with a pair", r.held.family, f.generation, r.won)
		case f.ended != 0 && f.why != "reused", r.dead && f.ended == 0:
			r.violated("the family %s: ended %q; a use was refused: %v", r.held.family, f.why, r.dead)
		}
		r.settled(f.generation == 2)
	}
	r.held, r.doubt = nil, ""
}
