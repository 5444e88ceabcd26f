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

// turnArgs returns a turn and its event as a row of the batch.
func turnArgs(r grant.Rotation, e []audit.Record) []any {
	row := []any{
		r.To[:], r.From[:], r.Grace.Salt, r.Grace.Pepper, clock.Micro(r.Grace.Until), clock.Micro(r.Now), clock.Micro(r.IdleUntil), r.Live.String(), r.Family,
	}
	if r.Session != "" {
		row = append(row, r.Session, clock.Micro(r.SessionIdle))
	}
	return append(row, eventArgs(e)...)
}

const (
	turned = `UPDATE token_families AS f SET secret = a.next, previous = a.was, generation = f.generation + 1,
			grace_salt = a.salt, grace_pepper = a.pepper, grace_until = a.grace, used_at = a.used, idle_until = a.idle, live = a.live`
	current = `f.id = a.family AND f.secret = a.was AND f.ended_at = 0 AND f.expires_at > a.used AND f.idle_until > a.used`
)

// turns makes turns of token families.
var turns = `WITH made AS (` + turned + ` FROM ` + rowsOf(recorded(turnColumns)) + ` WHERE ` + current + ` RETURNING a.*)` + keepMade + ` SELECT n FROM made`

// turnsIn makes turns of families that belong to browsers' sessions, and notes that these
// were used: where the session lives, and nobody changes it just now.
var turnsIn = func() string {
	columns := append(turnColumns[:len(turnColumns):len(turnColumns)], column{"in_session", "text"}, column{"session_idle", "bigint"})
	return `WITH a AS MATERIALIZED (SELECT a.* FROM ` + rowsOf(recorded(columns)) + `),
			alive AS (SELECT a.n, s.id, s.expires_at FROM a CROSS JOIN LATERAL (SELECT id, expires_at FROM sessions AS s WHERE s.id = a.in_session
				AND s.ended_at = 0 AND s.expires_at > a.used AND s.idle_until > a.used FOR NO KEY UPDATE SKIP LOCKED) AS s),
			made AS (` + turned + ` FROM a JOIN alive ON alive.n = a.n WHERE ` + current + ` RETURNING a.*),
			used AS (UPDATE sessions AS s SET used_at = made.used, idle_until = LEAST(s.expires_at, made.session_idle) FROM made WHERE s.id = made.in_session)` +
		keepMade + ` SELECT n FROM made`
}()

// turn makes a turn together with those that come beside it, and reports whether that
// decided it.
func (p *postgresDB) turn(ctx context.Context, r grant.Rotation, row []any) (decided bool, err error) {
	if r.Session != "" {
		return p.turnsIn.do(ctx, row)
	}
	done, err := p.turns.do(ctx, row)
	if err == nil && !done {
		err = errNotCurrent
	}
	return true, err
}
