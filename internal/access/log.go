package access

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/condition"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
)

// Kept is for how long a decision can be looked up.
const Kept = 7 * 24 * time.Hour

// The bounds of what is kept: a stranger with a token fills no database.
const (
	PerMinute   = 60    // of one principal, of those that allow and of those that do not
	overall     = 3_000 // of a minute, of one process
	mostWaiting = 5_000 // in memory, while the database takes none
	mostListed  = 20    // roles and conditions of one record
	longestName = 256   // bytes of an object's type and id
)

// Record is a decision as it is kept. It names people by their ids alone.
type Record struct {
	ID         string            `json:"id"`
	At         time.Time         `json:"at"`
	By         string            `json:"by"` // who asked, or was denied
	Client     string            `json:"client,omitempty"`
	Route      string            `json:"route"`
	Subject    string            `json:"subject"`
	Permission string            `json:"permission,omitempty"`
	ObjectType string            `json:"object_type,omitempty"`
	ObjectID   string            `json:"object_id,omitempty"`
	Allowed    bool              `json:"allowed"`
	Path       []string          `json:"path,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	NarrowedBy string            `json:"narrowed_by,omitempty"`
	Missing    []string          `json:"missing,omitempty"`
	Conditions []condition.Match `json:"conditions,omitempty"`
}

// Store is where decisions are kept.
type Store interface {
	// KeepDecisions writes records; those that are there already stay.
	KeepDecisions(context.Context, []Record) error
	// Decision returns a NotFound fault for one that is not kept.
	Decision(ctx context.Context, id string) (Record, error)
}

// Log gathers decisions in memory until they are written down.
type Log struct {
	flush sync.Mutex // one at a time takes from waiting

	mu      sync.Mutex
	waiting []Record
	minute  time.Time
	times   map[budget]int // in that minute
	all     int
	dropped int
}

// budget is what decisions are counted by: a new token is no new budget.
type budget struct {
	by      string
	allowed bool
}

func newLog() *Log { return &Log{times: map[budget]int{}} }

// Add keeps a decision, if there is room.
func (l *Log) Add(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if minute := r.At.Truncate(time.Minute); minute.After(l.minute) {
		l.minute, l.all = minute, 0
		clear(l.times)
	}
	b := budget{r.By, r.Allowed}
	if l.all >= overall || l.times[b] >= PerMinute || len(l.waiting) >= mostWaiting {
		l.dropped++
		return
	}
	l.all++
	l.times[b]++
	l.waiting = append(l.waiting, r)
}

// Flush writes down what was gathered. What cannot be written waits on.
func (l *Log) Flush(ctx context.Context, keep func(context.Context, []Record) error) error {
	const batch = 500
	l.flush.Lock()
	defer l.flush.Unlock()
	for {
		l.mu.Lock()
		some := slices.Clone(l.waiting[:min(batch, len(l.waiting))])
		l.mu.Unlock()
		if len(some) == 0 {
			return nil
		}
		if err := keep(ctx, some); err != nil {
			return err
		}
		l.mu.Lock()
		l.waiting = slices.Clone(l.waiting[len(some):])
		l.mu.Unlock()
	}
}

// Dropped returns how many decisions were not kept since the last time.
func (l *Log) Dropped() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.dropped
	l.dropped = 0
	return n
}

// find returns a decision that waits.
func (l *Log) find(id string) (Record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.waiting, func(r Record) bool { return r.ID == id })
	if i < 0 {
		return Record{}, false
	}
	return l.waiting[i], true
}

// Keep keeps a decision that by asked for, or was denied by, on a route.
func (s *Service) Keep(by principal.Principal, route string, d Decision) {
	r := Record{
		ID: d.ID, At: s.Clock.Now(), By: by.String(), Client: by.Client, Route: route, Subject: d.Subject, Permission: bounded(d.Permission),
		ObjectType: bounded(d.Object.Type), ObjectID: bounded(d.Object.ID), Allowed: d.Allowed, Path: slices.Clone(d.Path), Reason: d.Reason,
		NarrowedBy: d.NarrowedBy, Missing: d.Missing[:min(mostListed, len(d.Missing))], Conditions: d.Conditions[:min(mostListed, len(d.Conditions))],
	}
	if d.shown != "" && d.shown != d.Subject { // by a username, which is a person's
		if len(r.Path) > 0 {
			r.Path[0] = d.Subject
		}
		if rest, ok := strings.CutPrefix(r.Reason, d.shown); ok {
			r.Reason = d.Subject + rest
		}
	}
	if _, name, _ := strings.Cut(d.Subject, ":"); d.shown == "" && !id.Valid(name) { // nobody that is known: it may be anything
		r.Subject, _, _ = strings.Cut(d.Subject, ":")
	}
	s.Log.Add(r)
}

func bounded(s string) string {
	if len(s) > longestName {
		s = strings.ToValidUTF8(s[:longestName], "") + "…"
	}
	return s
}

// Denied returns the decision that denied somebody what he asked of this server's own
// API: by the roles where a permission is lacking, or by a rule, which says why.
func (s *Service) Denied(ctx context.Context, by principal.Principal, permission, why string) Decision {
	holder := by.Holder()
	d := Decision{ID: id.New(s.Clock.Now()), Subject: holder.String()}
	d.shown = d.Subject
	if why != "" {
		d.Permission, d.Reason = permission, why
		return d
	}
	explained, err := s.Policy.Explain(ctx, d.Subject, holder.ID, append([]string{}, by.Scopes...), permission, "")
	switch {
	case err != nil:
		d.Reason = "Why could not be worked out."
	case explained.Allowed:
		d.Reason = "The roles have changed meanwhile."
	default:
		d.Decision = explained
	}
	d.Permission = permission
	return d
}

// Lookup returns a decision that was made in the last days. The fault is NotFound
// where it was not kept.
func (s *Service) Lookup(ctx context.Context, decision string) (Record, error) {
	if r, ok := s.Log.find(decision); ok {
		return r, nil
	}
	if id.Valid(decision) {
		r, err := s.Store.Decision(ctx, decision)
		if fault.KindOf(err) != fault.NotFound {
			return r, err
		}
	}
	return Record{}, fault.New(fault.NotFound,
		"there is no such decision: they are kept for 7 days, at most %d a minute for who was denied and as many for who was allowed", PerMinute)
}
