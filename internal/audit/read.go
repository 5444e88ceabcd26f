package audit

import (
	"context"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
)

// Order is in which order events are read.
type Order string

// The orders. The first two are by the time at which events happened. ByLeaf is
// that of their leaves: what is added comes at its end, so that whoever follows
// it misses nothing. It holds no event that has no leaf yet.
const (
	Newest Order = "desc"
	Oldest Order = "asc"
	ByLeaf Order = "log"
)

// Search asks for a page of the log.
type Search struct {
	Filter
	Order Order
	After string // Next of the page before; in the order ByLeaf also the number of a leaf
	Limit int
}

// Page is a piece of the log. Next is where the following piece begins: empty at
// the end, but never in the order ByLeaf, which has none. A page may be short, or
// empty, and have a next one: no page looks through more than so many events.
type Page struct {
	Entries []Entry
	Next    string
}

// Entry is an event as the log holds it.
type Entry struct {
	ID      string
	Leaf    int64  // its place in the tree, from 0; -1 while it has none
	Public  []byte // the bytes of its leaf
	Private []Part // what was not erased
}

// Part is what an event tells of one person: the data of the part with this
// number in the event's list.
type Part struct {
	Number int
	Person string // an account's id, an operator's name, or empty for nobody known
	Data   []byte // a JSON object
}

// CountSearch asks for a page of the counts, the newest minute first.
type CountSearch struct {
	From, To   time.Time // minutes; To is not in it
	Credential string    // like "family:01h…"; empty for all
	After      *Count    // the last one looked at
	Limit      int
}

// CountPage is a piece of the counts. Next is the last count that was looked at;
// nil at the end.
type CountPage struct {
	Counts []Count
	Next   *Count
}

// ReaderStore is where the log is read.
type ReaderStore interface {
	// SearchEvents returns a page of events.
	SearchEvents(context.Context, Search) (Page, error)
	// SearchCounts returns a page of counts.
	SearchCounts(context.Context, CountSearch) (CountPage, error)
	// LastLeaf returns the number of the last leaf, or -1 if there is none.
	LastLeaf(context.Context) (int64, error)
	// Record writes an event that has no other change.
	Record(context.Context, Event) error
}

// Reader reads the log. Each reading leaves an event of its own, committed before
// anything is shown. Its further pages do not, since who follows the log would
// fill it with his own trace; but a reading that goes on leaves one each hour.
type Reader struct {
	store ReaderStore
	clock clock.Clock
}

// NewReader returns a reader of a store.
func NewReader(s ReaderStore, c clock.Clock) *Reader { return &Reader{s, c} }

// readingLasts is for how long one event tells of a reading.
const readingLasts = time.Hour

// What a reading is of, as its event's target.
const (
	TheLog    = "audit:events"
	TheCounts = "audit:counts"
)

// Events returns a page for by. reading is what was returned with the page
// before, or empty for the first.
func (r *Reader) Events(ctx context.Context, by principal.Principal, s Search, reading string) (page Page, read string, err error) {
	if err := s.Check(); err != nil {
		return Page{}, "", err
	}
	if read, err = r.tell(ctx, by, TheLog, reading, func(e Event) Event {
		e = s.detail(e).With("order", string(s.Order)).With("limit", strconv.Itoa(s.Limit))
		if s.After != "" {
			e = e.With("after", s.After)
		}
		return e
	}); err != nil {
		return Page{}, "", err
	}
	page, err = r.store.SearchEvents(ctx, s)
	return page, read, err
}

// Counts is Events for the counts.
func (r *Reader) Counts(ctx context.Context, by principal.Principal, s CountSearch, reading string) (page CountPage, read string, err error) {
	f := Filter{From: s.From, To: s.To}
	if err := f.Check(); err != nil {
		return CountPage{}, "", err
	}
	if err := checkNamed("credential", s.Credential); err != nil {
		return CountPage{}, "", err
	}
	if read, err = r.tell(ctx, by, TheCounts, reading, func(e Event) Event {
		e = f.detail(e).With("limit", strconv.Itoa(s.Limit))
		if s.Credential != "" {
			e = e.With("credential", s.Credential)
		}
		return e
	}); err != nil {
		return CountPage{}, "", err
	}
	page, err = r.store.SearchCounts(ctx, s)
	return page, read, err
}

// End returns where the log ends now: what Search.After takes to follow it from
// here on.
func (r *Reader) End(ctx context.Context) (string, error) {
	last, err := r.store.LastLeaf(ctx)
	return strconv.FormatInt(last, 10), err
}

// tell records that by reads, and returns the id of the event. A reading of which
// an event tells already needs none.
func (r *Reader) tell(ctx context.Context, by principal.Principal, what, reading string, add func(Event) Event) (string, error) {
	now := r.clock.Now()
	if reading != "" && now.Sub(id.Time(reading)) < readingLasts {
		return reading, nil
	}
	e := add(Now(by, now, AuditRead, what))
	if reading != "" {
		e = e.With("continues", reading)
	}
	return e.ID, r.store.Record(ctx, e)
}

// BeforeLeaf returns what Search.After takes, in the order ByLeaf, to begin at a leaf.
func BeforeLeaf(leaf int64) string { return strconv.FormatInt(max(leaf, 0)-1, 10) }

// Shipped is how far the log was sent to a place outside the database.
type Shipped struct {
	Leaf       int64     // the next one to send
	Checkpoint int64     // the size of the tree in the last checkpoint sent
	SentAt     time.Time // when the place last took something
	Until      time.Time // for how long it is one server's
}
