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
	// moments is how many moments of a name are looked through at once.
	moments = 100
	// windows is how many times that is done for one page.
	windows = 20
)

// stream is a part of the log in the order of time.
type stream struct {
	waiting bool     // the events without a leaf; else those that have one
	names   []string // those in whose moments there are events of all of these
	rest    []clause
}

// clause is one of a filter's, in SQL.
type clause struct {
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
	if q.Order == audit.ByLeaf {
		return s.searchLog(ctx, q, clauses(q.Filter, actions))
	}
	return s.searchTime(ctx, q, actions)
}

// clauses are those of a filter.
func clauses(f audit.Filter, actions []audit.Action) (list []clause) {
	add := func(given bool, text string, args ...any) {
		if given {
			list = append(list, clause{text, args})
		}
	}
	add(f.Target != "", `target = ?`, f.Target)
	add(f.Actor != "", `actor = ?`, f.Actor)
	if len(actions) > 0 {
		c := clause{text: `action IN (?` + strings.Repeat(`, ?`, len(actions)-1) + `)`}
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

// streams are what a filter is found in: the events that wait, and those with a
// leaf, for each of its actions.
func streams(f audit.Filter, actions []audit.Action) []stream {
	var names []string
	for _, n := range []string{f.Target, f.Actor, string(f.Outcome)} {
		if n != "" {
			names = append(names, n)
		}
	}
	list := []stream{{waiting: true, rest: clauses(f, actions)}}
	if len(actions) == 0 {
		return append(list, stream{names: names, rest: clauses(f, nil)})
	}
	for _, a := range actions {
		list = append(list, stream{names: append([]string{string(a)}, names...), rest: clauses(f, []audit.Action{a})})
	}
	return list
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
	for _, st := range list {
		found, until, err := s.stream(ctx, q, st, len(list))
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

// span is which ids a search goes through, without both ends, and from which of
// them on.
type span struct {
	low, high string
	newest    bool
}

func spanOf(q audit.Search) span {
	s := span{"", "w", q.Order != audit.Oldest} // every id is between
	if !q.From.IsZero() {
		s.low = id.Floor(q.From)
	}
	if !q.To.IsZero() {
		s.high = id.Floor(q.To.Add(time.Millisecond)) // ids count milliseconds
	}
	if q.After != "" && s.newest {
		s.high = min(s.high, q.After)
	} else if q.After != "" {
		s.low = max(s.low, q.After)
	}
	return s
}

func (s span) order(column string) string {
	if s.newest {
		return ` ORDER BY ` + column + ` DESC`
	}
	return ` ORDER BY ` + column
}

// end returns the last id that a moment can have, in the order of s.
func (s span) end(moment string) string {
	filler := "v"
	if s.newest {
		filler = "0"
	}
	return moment + strings.Repeat(filler, max(0, 26-len(moment)))
}

// bound returns the condition that ids in a column are within s, and not beyond
// until, if that is not empty.
func (s span) bound(column, until string) (text string, args []any) {
	text, args = column+` > ? AND `+column+` < ?`, []any{s.low, s.high}
	if until == "" {
		return text, args
	}
	if s.newest {
		return text + ` AND ` + column + ` >= ?`, append(args, until)
	}
	return text + ` AND ` + column + ` <= ?`, append(args, until)
}

// stream returns the first events of a stream that the filter lets through, and down
// to which id it was looked through; empty if to its end. It is one of so many
// streams, which share what is looked through at once.
func (s *Store) stream(ctx context.Context, q audit.Search, st stream, of int) (found []audit.Entry, until string, err error) {
	rows := max(1, s.window/of)
	if len(st.names) > 0 {
		found, until, err = s.named(ctx, q, st, rows, max(1, s.moments/of))
	} else {
		found, until, err = s.unnamed(ctx, q, st, rows)
	}
	if len(found) > q.Limit {
		until = found[q.Limit].ID
	}
	return found, until, err
}

// unnamed is stream for one that is looked through without names.
func (s *Store) unnamed(ctx context.Context, q audit.Search, st stream, rows int) (found []audit.Entry, until string, err error) {
	span, table, leaf := spanOf(q), `audit_leaves`, `l.leaf`
	if st.waiting {
		table, leaf = `audit_waiting`, `-1`
	}
	if len(st.rest) > 0 {
		bound, args := span.bound(`id`, "")
		err = s.one(ctx, `SELECT id FROM `+table+` WHERE `+bound+span.order(`id`)+` LIMIT 1 OFFSET ?`, append(args, rows-1)...).scan(&until)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, "", err
		}
	}
	bound, args := span.bound(`l.id`, until)
	where, more := st.where()
	found, err = s.entries(ctx, `SELECT l.id, `+leaf+`, l.data, l.private FROM `+table+` AS l WHERE `+bound+where+span.order(`l.id`)+` LIMIT ?`, append(append(args, more...), q.Limit+1)...)
	return found, until, err
}

// named is stream for one that is found by names. The moments are asked for first,
// and what is in them by statements that say between which ids: a plan for both at
// once may begin with all events.
func (s *Store) named(ctx context.Context, q audit.Search, st stream, rows, most int) (found []audit.Entry, until string, err error) {
	span := spanOf(q)
	until, err = s.rarest(ctx, span, st.names, rows)
	if err != nil {
		return nil, "", err
	}
	var moments []string
	named, args := st.moments(span, until)
	if err := s.all(ctx, texts(&moments), named+span.order(`moment`)+` LIMIT ?`, append(args, most)...); err != nil {
		return nil, "", err
	}
	if len(moments) == most {
		until = span.end(moments[most-1])
	}
	for chunk := range slices.Chunk(moments, momentsAtOnce) {
		statement, args := st.statement(span, chunk)
		more, err := s.entries(ctx, statement+` LIMIT ?`, append(args, q.Limit+1)...)
		if err != nil {
			return nil, "", err
		}
		if found = append(found, more...); len(found) > q.Limit {
			break
		}
	}
	return found, until, nil
}

// rarest puts that of the names first of which so many moments lead furthest, and
// returns as until does how far that is. No more of them are looked at than that:
// of a name that is everywhere, moments in which there is another, too, may be
// looked for for ever.
func (s *Store) rarest(ctx context.Context, span span, names []string, most int) (until string, err error) {
	for i, n := range names {
		var moment string
		one, args := stream{names: []string{n}}.moments(span, "")
		err := s.one(ctx, one+span.order(`moment`)+` LIMIT 1 OFFSET ?`, append(args, most-1)...).scan(&moment)
		if errors.Is(err, sql.ErrNoRows) { // it leads to the end
			names[0], names[i] = n, names[0]
			return "", nil
		} else if err != nil {
			return "", err
		}
		if end := span.end(moment); until == "" || (end < until) == span.newest {
			names[0], names[i], until = n, names[0], end
		}
	}
	return until, nil
}

// where returns the clauses of a stream.
func (st stream) where() (text string, args []any) {
	for _, c := range st.rest {
		text += ` AND l.` + c.text
		args = append(args, c.args...)
	}
	return text, args
}

// statement selects a stream's events of some moments, in their order.
func (st stream) statement(span span, moments []string) (text string, args []any) {
	bound, ids := span.bound(`l.id`, "")
	where, rest := st.where()
	text, args = inMoments(`l.id, l.leaf, l.data, l.private`, moments, ` AND `+bound+where, append(ids, rest...))
	return `SELECT * FROM (` + text + `) AS m` + span.order(`id`), args
}

// moments selects the moments up to until in which there are all names of a stream.
func (st stream) moments(span span, until string) (text string, args []any) {
	low, high := audit.Moment(span.low), audit.Moment(span.high)
	after, before := ` >= ?`, ` <= ?`
	if span.newest && span.end(high) >= span.high { // nothing of it is left
		before = ` < ?`
	} else if !span.newest && span.end(low) <= span.low {
		after = ` > ?`
	}
	if until != "" && span.newest {
		low = max(low, audit.Moment(until))
	} else if until != "" {
		high = min(high, audit.Moment(until))
	}
	text = `SELECT moment FROM audit_names AS f WHERE name = ? AND moment` + after + ` AND moment` + before
	args = []any{st.names[0], low, high}
	for _, n := range st.names[1:] {
		text += ` AND EXISTS (SELECT 1 FROM audit_names AS o WHERE o.name = ? AND o.moment = f.moment)`
		args = append(args, n)
	}
	return text, args
}

func (s *Store) entries(ctx context.Context, statement string, args ...any) (list []audit.Entry, err error) {
	err = s.all(ctx, func(r scanner) error {
		var e audit.Entry
		var private string
		if err := r.Scan(&e.ID, &e.Leaf, &e.Public, &private); err != nil {
			return err
		}
		parts, _ := audit.DecodeParts(private) // of those that cannot be read verify tells
		for _, p := range parts {
			e.Private = append(e.Private, audit.Part{Number: p.Number, Person: p.Person, Data: p.Data})
		}
		list = append(list, e)
		return nil
	}, statement, args...)
	return list, err
}

// searchLog looks through the leaves in their order.
func (s *Store) searchLog(ctx context.Context, q audit.Search, rest []clause) (audit.Page, error) {
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
		err := s.one(ctx, `SELECT leaf FROM audit_leaves WHERE leaf > ? ORDER BY leaf LIMIT 1`, at).scan(&next)
		if errors.Is(err, sql.ErrNoRows) || err == nil && next > last {
			break
		} else if err != nil {
			return audit.Page{}, err
		}
		end := min(next+int64(s.window)-1, last)
		found, err := s.entries(ctx, `SELECT id, leaf, data, private FROM audit_leaves WHERE leaf >= ? AND leaf <= ?`+where+` ORDER BY leaf LIMIT ?`,
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
	err := s.one(ctx, `SELECT leaf FROM audit_leaves ORDER BY leaf DESC LIMIT 1`).scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return -1, nil
	}
	return last, err
}

// Leaves returns up to limit events from leaf first to leaf last, in order and
// without what they tell of persons.
func (s *Store) Leaves(ctx context.Context, first, last int64, limit int) ([]audit.Entry, error) {
	return s.entries(ctx, `SELECT id, leaf, data, '' FROM audit_leaves WHERE leaf >= ? AND leaf <= ? ORDER BY leaf LIMIT ?`, first, last, limit)
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
