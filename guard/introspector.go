package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	callTime  = 2 * time.Second // for a call and the wait for its turn
	maxCalls  = 32              // calls at once, for keys that were good and for others
	maxOthers = 1000            // others that are asked about or wait for it
	maxFailed = 5               // calls that fail in a row, until none is made
	restTime  = time.Second     // for so long
	maxKeyTTL = time.Minute
)

// introspector verifies API keys by asking the issuer, and remembers for a short
// while what it said. Of one key that comes from one address no more than one call is
// under way. Nothing is served that is older than the ttl: while the issuer cannot be
// asked, no key is good.
//
// Anybody can make up keys. Those that were not good a moment ago have turns and a
// cache of their own, so that they take neither from those that were.
type introspector struct {
	fetcher
	id, secret string
	audiences  []string
	fixed      string // the endpoint; if empty, the metadata says
	log        *slog.Logger
	now        func() time.Time
	address    func(*http.Request) string
	ttl        time.Duration

	good, bad             *cache[verdict]
	goodTurns, otherTurns chan struct{} // whoever has put one in may call
	finding               chan struct{} // whoever has put one in reads the metadata

	mu       sync.Mutex
	asked    map[[sha256.Size]byte]*question // the calls under way
	others   int                             // how many of them are for keys that were not good
	endpoint string                          // what the metadata said
	failed   int                             // calls in a row
	retry    time.Time                       // no call before this, if too many failed
}

// verdict is what the issuer said of a key.
type verdict struct {
	holder  *Principal  // nil if the key is not good
	err     error       // why not
	at      time.Time   // when it was asked
	renewed atomic.Bool // whether it is asked again
}

// question is a call that others may wait for, and what came of it.
type question struct {
	flight
	sum          [sha256.Size]byte // of key and address
	key, address string
	good         bool // whether the key was, a moment ago

	verdict *entry[verdict]
	err     error // why there is no verdict
}

func newIntrospector(issuer string, s *settings) *introspector {
	return &introspector{
		fetcher: newFetcher(issuer, s, 2*maxCalls), id: s.clientID, secret: s.clientSecret, audiences: s.audiences, fixed: s.introspectionURL,
		log: s.log, now: s.now, address: s.address, ttl: s.keyTTL,
		good: newCache[verdict](s.keyCacheSize), bad: newCache[verdict](s.keyCacheSize),
		goodTurns: make(chan struct{}, maxCalls), otherTurns: make(chan struct{}, maxCalls), finding: make(chan struct{}, 1),
		asked: map[[sha256.Size]byte]*question{},
	}
}

func (i *introspector) verify(r *http.Request, key string) (*Principal, error) {
	address := i.address(r)
	var text [128]byte
	sum := sha256.Sum256(append(append(append(text[:0], key...), ' '), address...))
	now := i.now()
	e := i.remembered(sum, now)
	if e == nil {
		var err error
		if e, err = i.ask(r.Context(), sum, key, address, now); err != nil {
			return nil, err
		}
		now = i.now()
	} else if v := &e.value; v.holder != nil && now.Sub(v.at) >= i.ttl*3/4 && v.renewed.CompareAndSwap(false, true) {
		_, _ = i.question(sum, key, address) // nobody waits for it, nor minds if it fails
	}
	switch v := &e.value; {
	case v.holder == nil:
		return nil, v.err
	case ended(v.holder, now):
		return nil, ErrExpired
	default:
		return v.holder.clone(), nil
	}
}

// remembered returns what the issuer said of a key, if that is not too old.
func (i *introspector) remembered(sum [sha256.Size]byte, now time.Time) *entry[verdict] {
	if e := i.good.get(sum); e != nil && i.fresh(e, now) {
		return e
	}
	if e := i.bad.get(sum); e != nil && i.fresh(e, now) {
		return e
	}
	return nil
}

// fresh reports whether a verdict is younger than the ttl. One of the future is of a
// clock that was set back.
func (i *introspector) fresh(e *entry[verdict], now time.Time) bool {
	age := now.Sub(e.value.at)
	return age >= 0 && age < i.ttl
}

// ask waits for a verdict that is good for a request which came at a time: one that
// was asked for since, or that is fresh. A call that was under way already may bring
// neither, if it is slow; the one after it does.
func (i *introspector) ask(ctx context.Context, sum [sha256.Size]byte, key, address string, came time.Time) (*entry[verdict], error) {
	for {
		q, err := i.question(sum, key, address)
		if err != nil {
			return nil, err
		}
		if err := q.wait(ctx); err != nil {
			return nil, err
		}
		if q.err != nil {
			return nil, q.err
		}
		if !q.verdict.value.at.Before(came) || i.fresh(q.verdict, i.now()) {
			return q.verdict, nil
		}
	}
}

// question starts a call and returns it, or the one under way.
func (i *introspector) question(sum [sha256.Size]byte, key, address string) (*question, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if q := i.asked[sum]; q != nil {
		return q, nil
	}
	if i.resting() {
		return nil, i.away()
	}
	q := &question{flight: flight{make(chan struct{})}, sum: sum, key: key, address: address, good: i.good.get(sum) != nil}
	if !q.good {
		if i.others >= maxOthers {
			return nil, fmt.Errorf("%w: too many unknown API keys at once", ErrUnavailable)
		}
		i.others++
	}
	i.asked[sum] = q
	go i.run(q)
	return q, nil
}

// resting reports whether so many calls failed that none is made for a while. It is
// called with i.mu held.
func (i *introspector) resting() bool {
	return i.failed >= maxFailed && i.now().Before(i.retry)
}

func (i *introspector) away() error {
	return fmt.Errorf("%w: %s does not answer about API keys", ErrUnavailable, i.issuer)
}

// run asks for everybody, so no request's context ends it.
func (i *introspector) run(q *question) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	turns := i.otherTurns
	if q.good {
		turns = i.goodTurns
	}
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
		i.end(q, i.call(ctx, q))
	case <-ctx.Done(): // the calls before it are slow: they tell
		i.mu.Lock()
		defer i.mu.Unlock()
		q.err = i.away()
		i.close(q)
	}
}

// call has the verdict put into q, unless that fails.
func (i *introspector) call(ctx context.Context, q *question) error {
	i.mu.Lock()
	resting := i.resting()
	i.mu.Unlock()
	if resting {
		return i.away()
	}
	endpoint, err := i.find(ctx)
	if err != nil {
		return err
	}
	at := i.now()
	said, err := i.introspect(ctx, endpoint, q.key, q.address)
	e := &entry[verdict]{sum: q.sum, ends: at}
	e.value.at = at
	if status, ok := errors.AsType[statusError](err); ok && status.status == http.StatusTooManyRequests {
		e.value.err = &Limited{After: status.after} // of this key, as far as anybody here can tell
	} else if err != nil {
		return err
	} else {
		e.value.holder, e.value.err = i.holder(q.key, said, i.now())
	}
	q.verdict = e
	return nil
}

// find returns the endpoint.
func (i *introspector) find(ctx context.Context) (string, error) {
	if i.fixed != "" {
		return i.fixed, nil
	}
	select {
	case i.finding <- struct{}{}:
		defer func() { <-i.finding }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	i.mu.Lock()
	endpoint := i.endpoint
	i.mu.Unlock()
	if endpoint != "" {
		return endpoint, nil
	}
	endpoint, err := i.discover(ctx, "introspection_endpoint")
	if err != nil {
		return "", err
	}
	i.mu.Lock()
	i.endpoint = endpoint
	i.mu.Unlock()
	return endpoint, nil
}

// end tells everybody what came of a call.
func (i *introspector) end(q *question, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	defer i.close(q)
	if err != nil {
		q.err = i.away()
		i.fail(err)
		return
	}
	i.failed = 0
	if q.verdict.value.holder != nil {
		i.good.put(q.verdict)
		return
	}
	i.bad.put(q.verdict)
	i.good.drop(q.sum)
}

// fail counts a call that failed. The first of a row is logged, and then one for each
// time that calls are stopped.
func (i *introspector) fail(err error) {
	if i.failed >= maxFailed && i.resting() {
		return
	}
	i.failed++
	i.endpoint = ""
	if i.failed == 1 || i.failed >= maxFailed {
		i.log.Warn("guard: the issuer does not answer about API keys", "issuer", i.issuer, "error", err)
	}
	if i.failed >= maxFailed {
		i.retry = i.now().Add(restTime)
	}
}

// close ends a question.
func (i *introspector) close(q *question) {
	if !q.good {
		i.others--
	}
	delete(i.asked, q.sum)
	close(q.done)
}
