package store

import (
	"context"
	"math/bits"
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

// turnColumns are what a turn is made of, in the order of turnArgs.
const turnColumns = `n, next, was, salt, pepper, grace, used, idle, family, now`

// eventColumns are what it records, where events are kept.
const eventColumns = `, event, at, action, outcome, actor, target, data, person, part_salt, part_data`

// turnArgs returns a turn and its event, which tells of one person, as a row of the
// statement, but for its number; or nothing for a turn that is to go alone.
func turnArgs(r grant.Rotation, e []audit.Record) []any {
	if r.Session != "" || audited && (len(e) != 1 || len(e[0].Private) != 1) {
		return nil
	}
	now := clock.Micro(r.Now)
	args := []any{r.To[:], r.From[:], nullable(r.Grace.Salt), r.Grace.Pepper, clock.Micro(r.Grace.Until), now, clock.Micro(r.IdleUntil), r.Family, now}
	if audited {
		k, part := e[0], e[0].Private[0]
		args = append(args, k.ID, clock.Micro(k.At), string(k.Action), string(k.Outcome), k.Actor, k.Target, k.Public, part.Person, part.Salt, part.Data)
	}
	return args
}

// turnStatements are the statements of 1, 2, 4 turns and so on: few, each of which
// is prepared once.
var turnStatements = func() (list []string) {
	for n := 1; n <= mostTurns; n *= 2 {
		list = append(list, turnStatement(n))
	}
	return list
}()

// turnStatement returns the statement of so many turns. It returns the numbers of
// those that were made.
func turnStatement(n int) string {
	row := `?, ?, ?, ?, ?, ?, ?, ?, ?, ?`
	typed := `?::bigint, ?::bytea, ?::bytea, ?::bytea, ?::bigint, ?::bigint, ?::bigint, ?::bigint, ?::text, ?::bigint`
	columns, events := turnColumns, ``
	if audited {
		row, columns = row+`, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?`, columns+eventColumns
		typed += `, ?::text, ?::bigint, ?::text, ?::text, ?::text, ?::text, ?::bytea, ?::text, ?::bytea, ?::bytea`
		events = `, events AS (INSERT INTO audit_events (id, at, action, outcome, actor, target, data)
				SELECT event, at, action, outcome, actor, target, data FROM asked JOIN turns USING (n)),
			parts AS (INSERT INTO audit_private (event, part, person, salt, data) SELECT event, 0, person, part_salt, part_data FROM asked JOIN turns USING (n))`
	}
	return `WITH asked (` + columns + `) AS (VALUES (` + typed + `)` + strings.Repeat(`, (`+row+`)`, n-1) + `),
		turns AS (UPDATE token_families AS f SET secret = a.next, previous = a.was, generation = f.generation + 1,
			grace_salt = a.salt, grace_pepper = a.pepper, grace_until = a.grace, used_at = a.used, idle_until = a.idle
			FROM asked AS a WHERE f.id = a.family AND f.secret = a.was AND f.ended_at = 0 AND f.expires_at > a.now AND f.idle_until > a.now
			RETURNING a.n)` + events + ` SELECT n FROM turns`
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
	exponent := bits.Len(uint(len(group) - 1))
	width := len(group[0].args) + 1
	args := make([]any, 0, width<<exponent)
	for n, j := range group {
		args = append(append(args, n), j.args...)
	}
	args = args[:cap(args)] // rows of NULL, which match nothing
	statement := p.bind(turnStatements[exponent])
	for range attempts {
		made = make([]bool, len(group))
		rows, asked := p.db.QueryContext(ctx, statement, args...)
		err = each(rows, asked, statement, func(r scanner) error {
			var n int64
			err := r.Scan(&n)
			made[n] = err == nil
			return err
		})
		if !unserialisable(err) {
			break
		}
	}
	return made, err
}
