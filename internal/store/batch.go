package store

import (
	"context"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
)

// batch is one statement that does on PostgreSQL what many ask for at once: it is
// planned, sent and committed once for all of them, and each row of it still decides
// for itself. What finds nobody beside it waits for nobody.
type batch struct {
	db        *postgresDB
	waiting   *queue
	statement string
}

// mostRows is how many rows are one statement.
const mostRows = 64

// column is one of those that a row is made of, and its type.
type column struct{ name, kind string }

// recorded returns the columns of a row with those of its event, where events are kept:
// they are in the order of eventArgs.
func recorded(columns []column) []column {
	columns = columns[:len(columns):len(columns)]
	if audited {
		columns = append(columns, column{"event_id", "text"}, column{"event", "bytea"})
	}
	return columns
}

// batches returns the database whose batches do a verb with these events; nil for one that
// goes the long way.
func (s *Store) batches(e []audit.Record) *postgresDB {
	p, ok := s.db.(*postgresDB)
	if !ok || s.portable || audited && len(e) != 1 {
		return nil
	}
	return p
}

// eventArgs returns what a row has of its event.
func eventArgs(e []audit.Record) (args []any) {
	for _, r := range e {
		args = append(args, r.ID, r.AppendLine(nil))
	}
	return args
}

// keepMade records the events of the rows that were made, as one pack.
var keepMade = func() string {
	if !audited {
		return ``
	}
	return `, events AS (INSERT INTO audit_packs (id, events) SELECT MIN(event_id), CONVERT_FROM(STRING_AGG(event, ''), 'UTF8') FROM made HAVING COUNT(*) > 0)`
}()

// listOf returns the names of columns, each after a prefix, as a list.
func listOf(columns []column, prefix string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = prefix + c.name
	}
	return strings.Join(list, ", ")
}

// rowsOf returns what stands after FROM for rows that come as an array for each column,
// so that it is one statement for however many. The table is named a, and n numbers its
// rows from 1. OFFSET 0 hides from the planner how many there are: else it would plan
// each anew.
func rowsOf(columns []column) string {
	arrays := make([]string, len(columns))
	for i, c := range columns {
		arrays[i] = `?::` + c.kind + `[] AS ` + c.name
	}
	return `(SELECT ` + strings.Join(arrays, `, `) + ` OFFSET 0) AS s, unnest(` + listOf(columns, `s.`) + `) WITH ORDINALITY AS a (` + listOf(columns, ``) + `, n)`
}

// batch begins to run a statement, which returns the numbers of the rows that it did.
func (p *postgresDB) batch(statement string) *batch {
	b := &batch{db: p, waiting: newQueue(), statement: p.bind(statement)}
	p.running.Go(b.run)
	return b
}

// do does a row together with those that come beside it, and reports whether the
// statement did it.
func (b *batch) do(ctx context.Context, row []any) (done bool, err error) {
	j := &job{ctx: ctx, args: row, done: make(chan struct{})}
	if err := b.waiting.put(j); err != nil {
		return false, err
	}
	<-j.done
	return j.made, j.err
}

// run is the one goroutine that runs the statement.
func (b *batch) run() {
	for first := range b.waiting.jobs {
		group := b.waiting.gather(first, mostRows)
		b.group(group)
		for _, j := range group {
			close(j.done)
		}
	}
}

// group does rows. If one of them spoils the statement, each is done for itself; what is
// known of none is told to all.
func (b *batch) group(group []*job) {
	waiting := group[:0:0]
	for _, j := range group {
		if j.err = j.ctx.Err(); j.err == nil {
			waiting = append(waiting, j)
		}
	}
	if len(waiting) == 0 {
		return
	}
	err := b.together(waiting)
	if err != nil && !out(err) && len(waiting) > 1 {
		for _, j := range waiting {
			b.group([]*job{j})
		}
		return
	}
	for _, j := range waiting {
		j.err = err
	}
}

// together does rows by one statement, and notes which of them it did.
func (b *batch) together(group []*job) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	args := arraysOf(group)
	for range attempts {
		for _, j := range group {
			j.made = false
		}
		rows, asked := b.db.db.QueryContext(ctx, b.statement, args...)
		err = each(rows, asked, b.statement, func(r scanner) error {
			var n int64
			err := r.Scan(&n)
			if err == nil {
				group[n-1].made = true
			}
			return err
		})
		if !unserialisable(err) {
			break
		}
	}
	return err
}

// arraysOf returns the columns of rows.
func arraysOf(group []*job) []any {
	arrays := make([]any, len(group[0].args))
	for i, first := range group[0].args {
		switch first.(type) {
		case []byte:
			arrays[i] = arrayOf[[]byte](group, i)
		case int64:
			arrays[i] = arrayOf[int64](group, i)
		case *string:
			arrays[i] = arrayOf[*string](group, i)
		default:
			arrays[i] = arrayOf[string](group, i)
		}
	}
	return arrays
}

func arrayOf[T any](group []*job, i int) []T {
	array := make([]T, len(group))
	for n, j := range group {
		array[n] = j.args[i].(T) //nolint:forcetypeassert // all rows of a batch are made by one function
	}
	return array
}
