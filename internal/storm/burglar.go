package main

import "net/http"

// burglar guesses at the password of an account, whose owner and whose
// administrator come now and then. However the server is killed: no more than five
// guesses are judged before the account is locked, none is forgotten, and a lock
// stays.
type burglar struct {
	base
	user, name string
	begun      int
	judged     int // guesses that were answered with wrong
	// What is counted against the account lies between low and high: a request
	// without an answer may have counted or not.
	low, high int
}

const guesses = 5 // before a lock

func (b *burglar) step() {
	switch pick(10) {
	case 0:
		b.enter()
	case 1:
		b.unlock()
	default:
		b.guess()
	}
}

func (b *burglar) rest() { b.step() }

func (b *burglar) guess() {
	a := b.attempt(b.name, "wrong", "", ", with a wrong password")
	switch {
	case b.locked(a):
	case a.lost():
		b.doubt = "guess"
		b.high++
	case b.is(a, http.StatusUnauthorized, "a wrong password"):
		b.judged++
		b.sum.add("guesses that were judged")
		if b.low++; b.low > guesses {
			b.violated("%d wrong passwords were judged and nothing was locked", b.low)
		}
		b.high++
	}
}

// locked takes an answer that says so.
func (b *burglar) locked(a answer) bool {
	if a.status != http.StatusTooManyRequests {
		return false
	}
	b.sum.add("guesses that a lock refused")
	if b.high < guesses {
		b.violated("it is locked, after %d guesses at most", b.high)
	}
	b.low, b.high = guesses, max(b.high, guesses)
	return true
}

// enter is the owner, from a place that is not known.
func (b *burglar) enter() {
	a := b.attempt(b.name, b.password, "", "")
	switch {
	case b.locked(a):
	case a.lost():
		b.doubt = "login"
		b.low, b.high = 0, b.high+1
	case b.is(a, http.StatusOK, "the right password"):
		if b.begun++; b.low >= guesses {
			b.violated("the right password was taken after %d wrong ones: the lock is gone", b.low)
		}
		b.low, b.high = 0, 0
	}
}

func (b *burglar) unlock() {
	a := b.manage(http.MethodPost, "/users/"+b.user+"/unlock", nil, b.name)
	switch {
	case a.lost():
		b.doubt = "unlock"
		b.low = 0
	case b.is(a, http.StatusNoContent, "unlock"):
		b.low, b.high = 0, 0
	}
}

func (b *burglar) settle(s *snapshot) {
	b.families(s, b.user, &b.begun)
	told := b.books.count["login.failed user:"+b.user]
	had := b.doubt == "guess" && told == b.judged+1
	if told != b.judged && !had {
		b.violated("%d guesses were judged, and the log tells of %d", b.judged, told)
	}
	b.judged = told
	if unlocked := b.books.count["user.unlocked user:"+b.user] + b.begun; told > guesses*(unlocked+1) {
		b.violated("the log tells of %d guesses that were judged, and of %d times that they were forgiven", told, unlocked)
	}
	b.settled(had)
}
