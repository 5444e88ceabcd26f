package store

import (
	"context"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/grant"
)

// turnColumns are in the order of turnArgs.
var turnColumns = []column{
	{"next", "bytea"}, {"was", "bytea"}, {"salt", "bytea"}, {"pepper", "bigint"}, {"grace", "bigint"}, {"used", "bigint"}, {"idle", "bigint"}, {"live", "text"}, {"family", "text"},
}

// turnArgs returns a turn and its event as a row of the batch; or nothing for a
// turn that is to go alone.
func turnArgs(r grant.Rotation, e []audit.Record) []any {
	if r.Session != "" || !alone(e) {
		return nil
	}
	return append([]any{
		r.To[:], r.From[:], r.Grace.Salt, r.Grace.Pepper, clock.Micro(r.Grace.Until), clock.Micro(r.Now), clock.Micro(r.IdleUntil), r.Live.String(), r.Family,
	}, eventArgs(e)...)
}

// turns makes turns of token families.
var turns = func() string {
	columns := recorded(turnColumns)
	return `WITH made AS (UPDATE token_families AS f SET secret = a.next, previous = a.was, generation = f.generation + 1,
			grace_salt = a.salt, grace_pepper = a.pepper, grace_until = a.grace, used_at = a.used, idle_until = a.idle, live = a.live
			FROM ` + rowsOf(columns) + `
			WHERE f.id = a.family AND f.secret = a.was AND f.ended_at = 0 AND f.expires_at > a.used AND f.idle_until > a.used
			RETURNING a.*)` + keepMade + ` SELECT n FROM made`
}()

// turn makes a turn together with those that come beside it.
func (p *postgresDB) turn(ctx context.Context, row []any) error {
	done, err := p.turns.do(ctx, row)
	if err == nil && !done {
		return errNotCurrent
	}
	return err
}
