package store

import (
	"context"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/grant"
)

// On PostgreSQL, turns of token families that come together are one statement: it
// is planned, sent and committed once for all of them, and each row of it still
// decides for itself. A turn that finds nobody beside it waits for nobody.

// mostTurns is how many turns are one statement.
const mostTurns = 64

// column is one of those that a turn is made of, and its type.
type column struct{ name, kind string }

// turnColumns are in the order of turnArgs.
var turnColumns = []column{
	{"next", "bytea"}, {"was", "bytea"}, {"salt", "bytea"}, {"pepper", "bigint"}, {"grace", "bigint"}, {"used", "bigint"}, {"idle", "bigint"}, {"live", "text"}, {"family", "text"},
}

// eventColumns are what is recorded of it, where events are kept.
var eventColumns = []column{
	{"id", "text"}, {"at", "bigint"}, {"action", "text"}, {"outcome", "text"}, {"actor", "text"}, {"target", "text"}, {"data", "bytea"}, {"private", "text"},
}

// turnArgs returns a turn and its event as a row of the statement; or nothing for a
// turn that is to go alone.
func turnArgs(r grant.Rotation, e []audit.Record) []any {
	if r.Session != "" || audited && len(e) != 1 {
		return nil
	}
	args := []any{r.To[:], r.From[:], r.Grace.Salt, r.Grace.Pepper, clock.Micro(r.Grace.Until), clock.Micro(r.Now), clock.Micro(r.IdleUntil), r.Live.String(), r.Family}
	if audited {
		k := e[0]
		args = append(args, k.ID, clock.Micro(k.At), string(k.Action), string(k.Outcome), k.Actor, k.Target, k.Public, k.Parts)
	}
	return args
}

// turns makes all turns that it is given, as an array for each column: it is the same
// statement for however many. It returns the numbers of those that were made, from 1.
// OFFSET 0 hides from the planner how many there are: else it would plan each anew.
var turns, turnKinds = func() (statement string, kinds []string) {
	columns, recorded, events := turnColumns, ``, ``
	if audited {
		columns = append(columns[:len(columns):len(columns)], eventColumns...)
		var names []string
		for _, c := range eventColumns {
			names = append(names, c.name)
		}
		recorded = `, a.` + strings.Join(names, `, a.`)
		list := strings.Join(names, `, `)
		events = `, events AS (INSERT INTO audit_waiting (` + list + `) SELECT ` + list + ` FROM made)`
	}
	var names, arrays []string
	for _, c := range columns {
		names, arrays, kinds = append(names, c.name), append(arrays, `?::`+c.kind+`[] AS `+c.name), append(kinds, c.kind)
	}
	list := strings.Join(names, `, `)
	return `WITH made AS (UPDATE token_families AS f SET secret = a.next, previous = a.was, generation = f.generation + 1,
			grace_salt = a.salt, grace_pepper = a.pepper, grace_until = a.grace, used_at = a.used, idle_until = a.idle, live = a.live
			FROM (SELECT ` + strings.Join(arrays, `, `) + ` OFFSET 0) AS s, unnest(s.` + strings.Join(names, `, s.`) + `) WITH ORDINALITY AS a (` + list + `, n)
			WHERE f.id = a.family AND f.secret = a.was AND f.ended_at = 0 AND f.expires_at > a.used AND f.idle_until > a.used
			RETURNING a.n` + recorded + `)` + events + ` SELECT n FROM made`, kinds
}()

// arraysOf returns the columns of rows.
func arraysOf(group []*job) []any {
	arrays := make([]any, len(turnKinds))
	for i, kind := range turnKinds {
		switch kind {
		case "bytea":
			arrays[i] = arrayOf[[]byte](group, i)
		case "bigint":
			arrays[i] = arrayOf[int64](group, i)
		default:
			arrays[i] = arrayOf[string](group, i)
		}
	}
	return arrays
}

func arrayOf[T any](group []*job, i int) []T {
	array := make([]T, len(group))
	for n, j := range group {
		array[n] = j.args[i].(T) //nolint:forcetypeassert // as turnArgs made it
	}
	return array
}

// turn makes a turn together with those that come beside it.
func (p *postgresDB) turn(ctx context.Context, args []any) error {
	j := &job{ctx: ctx, args: args, done: make(chan struct{})}
	if err := p.turns.put(j); err != nil {
		return err
	}
	<-j.done
	return j.err
}

// turner is the one goroutine that writes turns.
func (p *postgresDB) turner() {
	for first := range p.turns.jobs {
		group := p.turns.gather(first, mostTurns)
		p.turnGroup(group)
		for _, j := range group {
			close(j.done)
		}
	}
}

// turnGroup makes turns. If one of them spoils the statement, each is made for
// itself; what is known of none is told to all.
func (p *postgresDB) turnGroup(group []*job) {
	waiting := group[:0:0]
	for _, j := range group {
		if j.err = j.ctx.Err(); j.err == nil {
			waiting = append(waiting, j)
		}
	}
	if len(waiting) == 0 {
		return
	}
	made, err := p.turnTogether(waiting)
	if err != nil && !out(err) && len(waiting) > 1 {
		for _, j := range waiting {
			p.turnGroup([]*job{j})
		}
		return
	}
	for n, j := range waiting {
		if j.err = err; err == nil && !made[n] {
			j.err = errNotCurrent
		}
	}
}

// turnTogether makes turns by one statement, and returns which of them were made.
func (p *postgresDB) turnTogether(group []*job) (made []bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	statement, args := p.bind(turns), arraysOf(group)
	for range attempts {
		made = make([]bool, len(group))
		rows, asked := p.db.QueryContext(ctx, statement, args...)
		err = each(rows, asked, statement, func(r scanner) error {
			var n int64
			err := r.Scan(&n)
			if err == nil {
				made[n-1] = true
			}
			return err
		})
		if !unserialisable(err) {
			break
		}
	}
	return made, err
}
