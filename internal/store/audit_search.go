package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
)

var _ audit.ReaderStore = (*Store)(nil)

const (
	// searched is how many rows are looked through at once at the most. What asks
	// for rare things among many gets short pages instead of a slow one.
	searched = 10_000
	// windows is how many of them are looked through for one page.
	windows = 20
)

// stream is the part of the log that one index gives in order, before what is
// left of the filter.
type stream struct {
	index string // a condition that leads to the index
	key   []any
	rest  []condition
}

// condition is one of a filter's, in SQL.
type condition struct {
	text string
	args []any
}

// SearchEvents returns a page of events, with what is not erased of the persons
// in them. What is asked for reaches the database as arguments alone: the text
// of a statement is made of the texts in this file.
func (s *Store) SearchEvents(ctx context.Context, q audit.Search) (audit.Page, error) {
	actions, err := q.Actions()
	if err != nil {
		return audit.Page{}, err
	}
	var page audit.Page
	if q.Order == audit.ByLeaf {
		page, err = s.searchLog(ctx, q, conditions(q.Filter, actions))
	} else {
		page, err = s.searchTime(ctx, q, actions)
	}
	if err != nil {
		return audit.Page{}, err
	}
	for i := range page.Entries {
		if err := s.parts(ctx, &page.Entries[i]); err != nil {
			return audit.Page{}, err
		}
	}
	return page, nil
}

// conditions are those of a filter: all of them, in the order target, actor,
// action, and what no index is for.
func conditions(f audit.Filter, actions []audit.Action) (list []condition) {
	add := func(given bool, text string, args ...any) {
		if given {
			list = append(list, condition{text, args})
		}
	}
	add(f.Target != "", `target = ?`, f.Target)
	add(f.Actor != "", `actor = ?`, f.Actor)
	if len(actions) > 0 {
		c := condition{text: `action IN (?` + strings.Repeat(`, ?`, len(actions)-1) + `)`}
		for _, a := range actions {
			c.args = append(c.args, string(a))
		}
		list = append(list, c)
	}
	add(f.Outcome != "", `outcome = ?`, string(f.Outcome))
	add(!f.From.IsZero(), `at >= ?`, clock.Micro(f.From))
	add(!f.To.IsZero(), `at < ?`, clock.Micro(f.To))
	return list
}

// streams are what a filter is found in: the events of its target, else of its
// actor, else of each of its actions, else all; and those without a leaf.
func streams(f audit.Filter, actions []audit.Action) []stream {
	all := conditions(f, actions)
	list := []stream{{index: `leaf IS NULL`, rest: all}}
	switch {
	case f.Target != "", f.Actor != "":
		return append(list, stream{`leaf IS NOT NULL AND ` + all[0].text, all[0].args, all[1:]})
	case len(actions) > 0:
		for _, a := range actions {
			list = append(list, stream{`leaf IS NOT NULL AND action = ?`, []any{string(a)}, all[1:]})
		}
		return list
	}
	return append(list, stream{`leaf IS NOT NULL`, nil, all})
}

// searchTime merges streams by id, which is by time. A stream that was not looked
// through to its end bounds how far the page goes.
func (s *Store) searchTime(ctx context.Context, q audit.Search, actions []audit.Action) (audit.Page, error) {
	if q.After != "" && !id.Valid(q.After) {
		return audit.Page{}, fault.At("after", "it is no event's id")
	}
	for range windows {
		page, err := s.merge(ctx, q, streams(q.Filter, actions))
		if err != nil || len(page.Entries) > 0 || page.Next == "" {
			return page, err
		}
		q.After = page.Next
	}
	return audit.Page{Next: q.After}, nil
}

func (s *Store) merge(ctx context.Context, q audit.Search, list []stream) (audit.Page, error) {
	newest := q.Order != audit.Oldest
	before := func(a, b string) bool { return a != b && (a > b) == newest }
	var page audit.Page
	window := max(1, s.window/len(list)) // one search, however many streams it is made of
	for _, st := range list {
		found, until, err := s.stream(ctx, q, st, window)
		if err != nil {
			return audit.Page{}, err
		}
		page.Entries = append(page.Entries, found...)
		if until != "" && (page.Next == "" || before(until, page.Next)) {
			page.Next = until
		}
	}
	// Between two statements an event may get its leaf, and be in both; the one
	// that has it counts.
	slices.SortFunc(page.Entries, func(a, b audit.Entry) int {
		switch {
		case before(a.ID, b.ID):
			return -1
		case a.ID != b.ID:
			return 1
		}
		return int(b.Leaf - a.Leaf)
	})
	page.Entries = slices.CompactFunc(page.Entries, func(a, b audit.Entry) bool { return a.ID == b.ID })
	if page.Next != "" {
		beyond := slices.IndexFunc(page.Entries, func(e audit.Entry) bool { return before(page.Next, e.ID) })
		if beyond >= 0 {
			page.Entries = page.Entries[:beyond]
		}
	}
	if len(page.Entries) > q.Limit {
		page.Entries = page.Entries[:q.Limit]
		page.Next = page.Entries[q.Limit-1].ID
	}
	return page, nil
}

// stream returns the first among window events of a stream that the filter lets
// through, and down to which id it was looked through; empty if to its end.
func (s *Store) stream(ctx context.Context, q audit.Search, st stream, window int) (found []audit.Entry, until string, err error) {
	if len(st.rest) > 0 {
		statement, args := st.statement(q, `id`, ``, nil)
		err := s.one(ctx, statement+` LIMIT 1 OFFSET ?`, append(args, window-1)...).scan(&until)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, "", err
		}
	}
	where, args := ``, []any(nil)
	if until != "" {
		where, args = ` AND id >= ?`, append(args, until)
		if q.Order == audit.Oldest {
			where = ` AND id <= ?`
		}
	}
	for _, c := range st.rest {
		where += ` AND ` + c.text
		args = append(args, c.args...)
	}
	statement, args := st.statement(q, `id, COALESCE(leaf, -1), data`, where, args)
	found, err = s.entries(ctx, statement+` LIMIT ?`, append(args, q.Limit+1)...)
	if len(found) > q.Limit {
		until = found[q.Limit].ID
	}
	return found, until, err
}

// statement selects columns of a stream's events within the bounds of a search, in
// its order.
func (st stream) statement(q audit.Search, columns, where string, more []any) (text string, args []any) {
	low, high := "", "w" // every id is between
	if !q.From.IsZero() {
		low = id.Floor(q.From)
	}
	if !q.To.IsZero() {
		high = id.Floor(q.To.Add(time.Millisecond)) // ids count milliseconds
	}
	order := ` ORDER BY id DESC`
	if q.Order == audit.Oldest {
		order, low = ` ORDER BY id ASC`, max(low, q.After)
	} else if q.After != "" {
		high = min(high, q.After)
	}
	args = append(append(slices.Clone(st.key), low, high), more...)
	return `SELECT ` + columns + ` FROM audit_events WHERE ` + st.index + ` AND id > ? AND id < ?` + where + order, args
}

func (s *Store) entries(ctx context.Context, statement string, args ...any) (list []audit.Entry, err error) {
	err = s.all(ctx, func(r scanner) error {
		var e audit.Entry
		err := r.Scan(&e.ID, &e.Leaf, &e.Public)
		list = append(list, e)
		return err
	}, statement, args...)
	return list, err
}

// searchLog looks through the leaves in their order.
func (s *Store) searchLog(ctx context.Context, q audit.Search, rest []condition) (audit.Page, error) {
	at := int64(-1)
	if q.After != "" {
		n, err := strconv.ParseInt(q.After, 10, 64)
		if err != nil || n < -1 || strconv.FormatInt(n, 10) != q.After {
			return audit.Page{}, fault.At("after", "it is no leaf's number")
		}
		at = n
	}
	last, err := s.LastLeaf(ctx)
	if err != nil {
		return audit.Page{}, err
	}
	where, args := ``, []any{}
	for _, c := range rest {
		where += ` AND ` + c.text
		args = append(args, c.args...)
	}
	for range windows {
		// What was deleted because of its age is passed over at once.
		var next int64
		err := s.one(ctx, `SELECT leaf FROM audit_events WHERE leaf > ? ORDER BY leaf LIMIT 1`, at).scan(&next)
		if errors.Is(err, sql.ErrNoRows) || err == nil && next > last {
			break
		} else if err != nil {
			return audit.Page{}, err
		}
		end := min(next+int64(s.window)-1, last)
		found, err := s.entries(ctx, `SELECT id, leaf, data FROM audit_events WHERE leaf >= ? AND leaf <= ?`+where+` ORDER BY leaf LIMIT ?`,
			append(append([]any{next, end}, args...), q.Limit)...)
		if err != nil {
			return audit.Page{}, err
		}
		if at = end; len(found) == q.Limit {
			at = found[q.Limit-1].Leaf
		}
		if len(found) > 0 {
			return audit.Page{Entries: found, Next: strconv.FormatInt(at, 10)}, nil
		}
	}
	return audit.Page{Next: strconv.FormatInt(at, 10)}, nil
}

// LastLeaf returns the number of the last leaf, or -1 if there is none.
func (s *Store) LastLeaf(ctx context.Context) (int64, error) {
	var last int64
	err := s.one(ctx, `SELECT leaf FROM audit_events WHERE leaf IS NOT NULL ORDER BY leaf DESC LIMIT 1`).scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return -1, nil
	}
	return last, err
}

// Leaves returns up to limit events from leaf first to leaf last, in order and
// without what they tell of persons.
func (s *Store) Leaves(ctx context.Context, first, last int64, limit int) ([]audit.Entry, error) {
	return s.entries(ctx, `SELECT id, leaf, data FROM audit_events WHERE leaf >= ? AND leaf <= ? ORDER BY leaf LIMIT ?`, first, last, limit)
}

// parts reads what an event tells of persons. They are found by the person.
func (s *Store) parts(ctx context.Context, e *audit.Entry) error {
	leaf, err := audit.ReadLeaf(e.Public)
	if err != nil {
		return nil //nolint:nilerr // a leaf that cannot be read has no persons to show, and verify tells of it
	}
	for number, person := range leaf.Persons {
		p := audit.Part{Number: number, Person: person}
		err := s.one(ctx, `SELECT data FROM audit_private WHERE person = ? AND event = ? AND part = ?`, person, e.ID, number).scan(&p.Data)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		} else if err != nil {
			return err
		}
		e.Private = append(e.Private, p)
	}
	return nil
}

// SearchCounts returns a page of counts, the newest minute first.
func (s *Store) SearchCounts(ctx context.Context, q audit.CountSearch) (audit.CountPage, error) {
	where := ` FROM audit_counts WHERE minute >= ? AND minute < ?`
	args := []any{clock.Micro(q.From), clock.Micro(q.To)}
	if a := q.After; a != nil {
		where += ` AND (minute, credential, action, outcome) < (?, ?, ?, ?)`
		args = append(args, clock.Micro(a.Minute), a.Credential, a.Action, string(a.Outcome))
	}
	limit := q.Limit + 1
	if q.Credential != "" {
		limit = s.window
	}
	var page audit.CountPage
	var last audit.Count
	looked, more := 0, false
	err := s.all(ctx, func(r scanner) error {
		var c audit.Count
		var minute int64
		var outcome string
		if err := r.Scan(&minute, &c.Credential, &c.Action, &outcome, &c.Times); err != nil {
			return err
		}
		c.Minute, c.Outcome = clock.FromMicro(minute), audit.Outcome(outcome)
		if more = more || len(page.Counts) == q.Limit; more {
			return nil
		}
		looked++
		last = c
		if q.Credential == "" || q.Credential == c.Credential {
			page.Counts = append(page.Counts, c)
		}
		return nil
	}, `SELECT minute, credential, action, outcome, times`+where+` ORDER BY minute DESC, credential DESC, action DESC, outcome DESC LIMIT ?`, append(args, limit)...)
	if more || looked == s.window {
		last.Times = 0
		page.Next = &last
	}
	return page, err
}
