// Package feed tells what changed, in order, to whatever keeps a copy of it:
// snapshots, caches and the set of revoked tokens.
//
// A change is written in the transaction that makes it, without a number; once
// committed it is numbered under a lock, so that whoever has read up to a number
// has missed nothing before it. A process applies its own changes as soon as
// they are committed, before it answers; it reads those of others every 250 ms.
package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Topic is the kind of thing that changed.
type Topic string

// The topics, with what the key and the version of their changes are.
const (
	Roles       Topic = "roles"        // key: a role's name, or empty for what is kept apart; version: the policy's
	RoleNarrows Topic = "role-narrows" // a role lost permissions; key and version as above
	Grants      Topic = "grants"       // what it holds or belongs to; key: an account's id; version: the policy's, or 0 before a change of roles
	GrantLost   Topic = "grant-lost"   // a grant or a membership was taken away; key and version as above
	Groups      Topic = "groups"       // what a group holds changed; key: its name; version as of Grants
	Account     Topic = "account"      // key: an account's id; version: the account's
	Client      Topic = "client"       // key: a client's id; version: the client's
	APIKey      Topic = "api-key"      // key: an API key's id; version: the key's
	// key: an organization's id; version: its own
	Organization Topic = "organization"
	// An organization is gone; key: its id; version: the policy's.
	OrganizationEnded Topic = "organization-ended"
	Condition         Topic = "condition" // key: a condition's name; version: the condition's
	Resource          Topic = "resource"  // key: an API's identifier; version: the policy's
	// An API knows permissions no more, or is gone; key and version as above.
	ResourceNarrows Topic = "resource-narrows"
	FamilyEnded     Topic = "family-ended"  // key: a token family's id
	TokenRevoked    Topic = "token-revoked" // one token alone; key: its bit, as a list's id and an index
	Keys            Topic = "keys"          // the keyring changed; key: the key's id
	Gap             Topic = "gap"           // changes may have been missed: nothing kept is sure
)

// Change is one thing that changed.
type Change struct {
	Seq     int64 // 0 until it is numbered
	Topic   Topic
	Key     string
	Version int64
	At      time.Time
	// Until is when nobody needs to know any more. A process that starts reads
	// all changes that are still needed.
	Until time.Time
}

// Source is where changes are kept.
type Source interface {
	// NumberChanges gives numbers to the committed changes that have none, and
	// returns the highest number. Numbers follow one another without a hole.
	NumberChanges(context.Context) (int64, error)
	// ChangesAfter returns up to limit changes after seq, in order.
	ChangesAfter(ctx context.Context, seq int64, limit int) ([]Change, error)
}

// Listener follows a change. A change that one of them could not follow is read
// again at the next poll: listeners see some changes more than once.
type Listener func(context.Context, Change) error

// Every is how often other processes' changes are read.
const Every = 250 * time.Millisecond

// Feed passes changes to those who listen.
type Feed struct {
	source    Source
	log       *slog.Logger
	listeners []Listener

	poll sync.Mutex                // one poll at a time
	last int64                     // guarded by poll
	read atomic.Pointer[time.Time] // when the end was last reached
}

// New returns a feed that reads from source.
func New(source Source, log *slog.Logger) *Feed { return &Feed{source: source, log: log} }

// Listen adds a listener. All are added before Start.
func (f *Feed) Listen(l Listener) { f.listeners = append(f.listeners, l) }

// Committed applies changes that this process has just committed, before it
// answers. Those of the policy are read back from the feed, with all that others
// committed before them: tokens name the version of the policy they were made
// under, and it must not skip any.
func (f *Feed) Committed(ctx context.Context, changes []Change) {
	for _, c := range changes {
		switch c.Topic {
		case Roles, Grants, GrantLost, Groups, Resource, OrganizationEnded:
			err := f.Poll(ctx)
			if err == nil {
				return
			}
			f.log.Error("the change feed cannot be read", "error", err)
		default:
			continue
		}
		break
	}
	for _, c := range changes {
		if err := f.tell(ctx, c); err != nil { // the next poll brings it again
			f.log.Error("a change could not be followed", "topic", c.Topic, "error", err)
		}
	}
}

func (f *Feed) tell(ctx context.Context, c Change) error {
	var errs []error
	for _, follow := range f.listeners {
		errs = append(errs, follow(ctx, c))
	}
	return errors.Join(errs...)
}

// Start reads every change that is still kept, so that what was revoked before
// a restart stays revoked after it.
func (f *Feed) Start(ctx context.Context) error { return f.Poll(ctx) }

// Poll reads what others changed since the last time, and passes it on.
func (f *Feed) Poll(ctx context.Context) error {
	f.poll.Lock()
	defer f.poll.Unlock()
	began := time.Now() //nolint:forbidigo // a duration of this process, not a time that is kept
	head, err := f.source.NumberChanges(ctx)
	if err != nil {
		return err
	}
	if head < f.last { // another database, or an older state of it: its numbers are others
		if err := f.tell(ctx, Change{Topic: Gap}); err != nil {
			return fmt.Errorf("following a gap: %w", err)
		}
		f.last = 0
	}
	const page = 1000
	for more := f.last < head; more; {
		changes, err := f.source.ChangesAfter(ctx, f.last, page)
		if err != nil {
			return err
		}
		for i, c := range changes {
			if err := f.reach(ctx, c.Seq-1); err != nil {
				return err
			}
			if c.Topic == Keys && slices.ContainsFunc(changes[i+1:], func(later Change) bool { return later.Topic == Keys }) {
				f.last = c.Seq // whoever follows reads the whole keyring: once for them all
				continue
			}
			if err := f.tell(ctx, c); err != nil {
				return fmt.Errorf("following a change of %s: %w", c.Topic, err)
			}
			f.last = c.Seq
		}
		more = len(changes) == page
	}
	if f.last < head {
		if err := f.reach(ctx, head); err != nil {
			return err
		}
	}
	f.read.Store(&began)
	return nil
}

// reach passes over numbers up to one that are not there any more: this process
// slept for so long (a suspended machine) that they were thrown away unread. One
// that has only started keeps nothing yet that they could have changed.
func (f *Feed) reach(ctx context.Context, seq int64) error {
	if f.last >= seq {
		return nil
	}
	if f.read.Load() != nil {
		if err := f.tell(ctx, Change{Topic: Gap}); err != nil {
			return fmt.Errorf("following a gap: %w", err)
		}
	}
	f.last = seq
	return nil
}

// Age returns how long ago the feed was last known to be read to its end.
// Before the first time it is 0.
func (f *Feed) Age() time.Duration {
	if read := f.read.Load(); read != nil {
		return time.Since(*read) //nolint:forbidigo // as above
	}
	return 0
}

// Run polls until ctx ends. A poll that fails is logged, once for each time that
// the source goes away.
func (f *Feed) Run(ctx context.Context) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	down := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		within, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := f.Poll(within)
		cancel()
		switch {
		case err != nil && !down && ctx.Err() == nil:
			f.log.Error("the change feed cannot be read", "error", err)
			down = true
		case err == nil && down:
			f.log.Info("the change feed is read again")
			down = false
		}
	}
}
