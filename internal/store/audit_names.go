package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/audit"
)

// name is a row of the index by which events are searched.
type name struct{ name, moment string }

// names are rows of it, each once.
type names map[name]struct{}

func (n names) add(c *audit.Columns, data []byte) {
	moment := audit.Moment(c.ID)
	for _, text := range c.Names(data) {
		n[name{text, moment}] = struct{}{}
	}
}

// read adds the names of an event that a statement returns.
func (n names) read(r scanner) error {
	var c audit.Columns
	var data sql.RawBytes
	err := r.Scan(&c.ID, &c.Action, &c.Outcome, &c.Actor, &c.Target, &data)
	n.add(&c, data)
	return err
}

// sorted returns them in the order of the index.
func (n names) sorted() []name {
	return slices.SortedFunc(maps.Keys(n), func(a, b name) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.moment, b.moment))
	})
}

// namesAtOnce is how many one statement writes or looks for.
const namesAtOnce = 50

var insertNames = `INSERT INTO audit_names (name, moment) VALUES (?, ?)` + strings.Repeat(`, (?, ?)`, namesAtOnce-1) + ` ON CONFLICT (name, moment) DO NOTHING`

// keepNames writes those that are new.
func (t *tx) keepNames(found names) error {
	for chunk := range slices.Chunk(found.sorted(), namesAtOnce) {
		args := make([]any, 0, 2*namesAtOnce)
		for i := range namesAtOnce {
			n := chunk[min(i, len(chunk)-1)] // the last is there often enough
			args = append(args, n.name, n.moment)
		}
		if _, err := t.exec(insertNames, args...); err != nil {
			return err
		}
	}
	return nil
}

// forgetNames deletes names of events that were deleted, unless others of their
// moments are found by them.
func (t *tx) forgetNames(gone names) error {
	moments := map[string]bool{}
	for n := range gone {
		moments[n.moment] = true
	}
	there := names{}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(moments)), momentsAtOnce) {
		statement, args := inMoments(`l.id, l.action, l.outcome, l.actor, l.target, l.data`, chunk, ``, nil)
		if err := t.all(there.read, statement, args...); err != nil {
			return err
		}
	}
	for _, n := range gone.sorted() {
		if _, ok := there[n]; ok {
			continue
		}
		if _, err := t.exec(`DELETE FROM audit_names WHERE name = ? AND moment = ?`, n.name, n.moment); err != nil {
			return err
		}
	}
	return nil
}

// momentsAtOnce is in how many moments one statement looks for events.
const momentsAtOnce = 20

// inMoments selects columns of the events l of so many moments, that are not ordered,
// with more conditions for each.
func inMoments(columns string, moments []string, where string, more []any) (text string, args []any) {
	one := `SELECT ` + columns + ` FROM audit_leaves AS l WHERE l.id >= ? AND l.id < ?` + where
	for i := range momentsAtOnce {
		from, to := "", "" // there is nothing between them
		if i < len(moments) {
			from, to = moments[i], moments[i]+"w"
		}
		args = append(append(args, from, to), more...)
	}
	return one + strings.Repeat(` UNION ALL `+one, momentsAtOnce-1), args
}

// texts reads a column of texts into a list.
func texts(list *[]string) func(scanner) error {
	return func(r scanner) error {
		var text string
		err := r.Scan(&text)
		*list = append(*list, text)
		return err
	}
}

var selectNames = `SELECT name, moment FROM audit_names WHERE name IN (?` + strings.Repeat(", ?", namesAtOnce-1) + `) AND moment >= ? AND moment <= ?`

// unnamed marks the events of a batch that the index does not lead to.
func (l *AuditLog) unnamed(ctx context.Context, b *audit.Batch) error {
	there, wanted := names{}, map[string]bool{}
	from, to := "", ""
	for i := range b.Events {
		e := &b.Events[i]
		moment := audit.Moment(e.Columns.ID)
		if i == 0 || moment < from {
			from = moment
		}
		to = max(to, moment)
		for _, text := range e.Columns.Names(e.Data) {
			wanted[text] = true
		}
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(wanted)), namesAtOnce) {
		args := make([]any, 0, namesAtOnce+2)
		for i := range namesAtOnce {
			args = append(args, chunk[min(i, len(chunk)-1)])
		}
		if err := l.s.all(ctx, func(r scanner) error {
			var n name
			err := r.Scan(&n.name, &n.moment)
			there[n] = struct{}{}
			return err
		}, selectNames, append(args, from, to)...); err != nil {
			return err
		}
	}
	for i := range b.Events {
		e := &b.Events[i]
		moment := audit.Moment(e.Columns.ID)
		for _, text := range e.Columns.Names(e.Data) {
			if _, ok := there[name{text, moment}]; !ok {
				e.Unnamed = true
			}
		}
	}
	return nil
}
