// Package factor is what a person signs in with. Here: the password, from the
// form to the stored hash.
//
// What is not here: whose password it is, how often it may be tried, and where
// the hash is kept. The invariant: a password hash is computed by a worker of
// the door and nowhere else, so that its cost, in time and in memory, has a
// bound that no number of callers can pass.
package factor

import (
	"context"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
)

// maxBytes bounds a password before any work is done on it. 128 characters of
// four bytes fit.
const maxBytes = 512

// Options say how passwords are hashed.
type Options struct {
	Algorithm string      // Bcrypt, the default, or Argon2id
	Workers   int         // hashes at the same time; 0 = one for each core
	Queue     int         // how many may wait; 0 = 32 for each worker
	MinLength int         // of a new password, in characters; 8, the default, or more
	Clock     clock.Clock // for the estimate of a wait; the wall clock by default

	// InsecureCost is the cost of bcrypt in tests; 0 is what is safe: 12. No
	// configuration sets it.
	InsecureCost int
}

// A Hasher makes and verifies password hashes, a bounded number at a time.
// It is safe for concurrent use.
type Hasher struct {
	scheme    scheme
	minLength int
	dummy     stored
	door      *door

	// matches is stored.matches, but in tests that count or break it.
	matches func(s stored, password string, a *arena) bool
}

// NewHasher starts the workers and returns their Hasher, which is to be closed.
// As long as it is open, GOMAXPROCS is higher by the number of workers: see
// door. It panics at an algorithm that is neither Bcrypt nor Argon2id, which
// the configuration does not let through.
func NewHasher(o Options) *Hasher {
	s := schemeOf(o.Algorithm)
	if s.algorithm == Bcrypt && o.InsecureCost != 0 {
		s.cost = o.InsecureCost
	}
	return newHasher(s, o)
}

func newHasher(s scheme, o Options) *Hasher {
	if o.Clock == nil {
		o.Clock = clock.Wall()
	}
	if o.Workers <= 0 {
		o.Workers = cores()
	}
	if o.Queue <= 0 {
		o.Queue = 32 * o.Workers
	}
	return &Hasher{
		scheme:    s,
		minLength: max(o.MinLength, 8),
		dummy:     s.dummy(),
		door:      openDoor(o.Workers, o.Queue, s.blocks(), o.Clock),
		matches:   stored.matches,
	}
}

// Close waits for the hashes that are being computed; those that wait for a
// worker, and those that come later, get a fault of kind Unavailable.
func (h *Hasher) Close() { h.door.close() }

// GiveWay lets every other thread of the program go before the workers. A server
// calls it, which has more to do than to hash. A command does not: it only waits
// for its hash, on a machine that may be busy.
func (h *Hasher) GiveWay() { h.door.giveWay() }

// Describe says how passwords are hashed, for an operator:
// "bcrypt cost 12; workers 2, queue 64".
func (h *Hasher) Describe() string {
	return fmt.Sprintf("%s; workers %d, queue %d", h.scheme, h.door.workers, h.door.capacity)
}

// Hash returns the hash of a password as the database keeps it: in the modular
// crypt format for bcrypt ("$2a$12$…"), as a PHC string for Argon2id
// ("$argon2id$v=19$m=19456,t=2,p=1$…$…"). It asks nothing of the password but
// that the algorithm can hold it; Check asks the rest.
//
// Callers wait in a queue per source, which is the address that the request
// came from; the queues are served in turn. The faults: Invalid for what cannot
// be a password, Limited with After when too many wait, Unavailable after
// Close. When ctx ends, the caller stops waiting and gets its error.
func (h *Hasher) Hash(ctx context.Context, source string, password secret.Text) (string, error) {
	p, err := normal(password)
	if err != nil {
		return "", err
	}
	if err := h.scheme.fits(p); err != nil {
		return "", err
	}
	var made struct {
		text string
		err  error
	}
	if err := h.door.do(ctx, source, func(a *arena) { made.text, made.err = h.scheme.hash(p, a) }); err != nil {
		return "", err
	}
	return made.text, made.err
}

// A Result is what came of a verification.
type Result struct {
	// OK: this is the password.
	OK bool

	// Outdated: it is, and its hash is not as Hash would make it today. The
	// caller may replace the hash, if it still is the one that was verified.
	Outdated bool

	// Damaged is why the stored hash can never match, for the log: it is
	// malformed, of an unknown algorithm, or costs more than we are willing to
	// pay. Whoever asked is told the same as for a wrong password. It does not
	// quote the hash.
	Damaged error
}

// Verify reports whether a password is the one that was hashed. The empty hash
// stands for an unknown account, or one without a password: it never matches.
// Whatever cannot match costs the same as a hash of the configured algorithm,
// so that the time does not tell which accounts exist. (A hash that is still of
// another cost tells by it, until the next sign-in replaces it.)
//
// The queue and the faults are those of Hash, with Invalid for a password of
// more than 512 bytes or not in UTF-8, whoever's it is.
func (h *Hasher) Verify(ctx context.Context, source string, password secret.Text, hash string) (Result, error) {
	p, err := normal(password)
	if err != nil {
		return Result{}, err
	}
	var r Result
	against, can := h.dummy, false
	if hash != "" {
		var s stored
		s, r.Damaged = parse(hash)
		// bcrypt would ignore what follows the 72nd byte, and takes "a" and
		// "a\x00a" for the same; so it is not asked.
		if r.Damaged == nil && s.fits(p) == nil {
			against, can = s, true
		}
	}
	var match bool
	if err := h.door.do(ctx, source, func(a *arena) { match = h.matches(against, p, a) }); err != nil {
		return Result{Damaged: r.Damaged}, err
	}
	r.OK = can && match
	// A hash is kept where the configured algorithm cannot hold the password.
	r.Outdated = r.OK && against.scheme != h.scheme && h.scheme.fits(p) == nil
	return r, nil
}

// normal returns a password as it is hashed: in Unicode normalization form C,
// and otherwise as it was typed, neither trimmed nor folded. It is the only
// place that reveals one.
func normal(password secret.Text) (string, error) {
	p := password.Reveal()
	if len(p) > maxBytes {
		return "", errLong
	}
	if !utf8.ValidString(p) {
		return "", fault.At("password", "the password is not valid UTF-8: send it in that encoding")
	}
	if p = norm.NFC.String(p); len(p) > maxBytes {
		return "", errLong
	}
	return p, nil
}

var errLong = fault.At("password", "a password has at most %d bytes: choose a shorter one", maxBytes)
