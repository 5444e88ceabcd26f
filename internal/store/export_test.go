package store

import (
	"context"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/grant"
)

// Waiting returns how many jobs wait to be written in a group.
func (s *Store) Waiting() int {
	if lite, ok := s.db.(*sqliteDB); ok {
		return len(lite.queue.jobs)
	}
	return len(s.db.(*postgresDB).records.jobs)
}

// RotateAtOnce makes turns that came together, each with an event of its own. Only
// PostgreSQL has them together.
func (s *Store) RotateAtOnce(ctx context.Context, turns []grant.Rotation, events []audit.Event) []error {
	group := make([]*job, len(turns))
	for i, r := range turns {
		group[i] = &job{ctx: ctx, args: turnArgs(r, recordsOf(events[i]))}
	}
	s.db.(*postgresDB).turns.group(group)
	told := make([]error, len(group))
	for i, j := range group {
		if told[i] = j.err; j.err == nil && !j.made {
			told[i] = errNotCurrent
		}
	}
	return told
}

// Itself reports whether a version is PostgreSQL's own.
func Itself(version string) bool { return itself(version) }

// LookThrough makes searches stop after fewer rows, and after fewer moments.
func (s *Store) LookThrough(rows, moments int) { s.window, s.moments = rows, moments }

// Explain returns how the database would find the streams of a search but for what
// waits: the plan of each statement, one line for each step.
func (s *Store) Explain(ctx context.Context, q audit.Search) (plans []string, err error) {
	actions, err := q.Actions()
	if err != nil {
		return nil, err
	}
	explain := func(statement string, args []any) {
		if err != nil {
			return
		}
		var plan string
		plan, err = s.explain(ctx, statement, args...)
		plans = append(plans, plan)
	}
	for _, st := range streams(q.Filter, actions) {
		if st.waiting {
			continue
		}
		statement, args := st.statement(spanOf(q), []string{"00001000", "00001001"})
		explain(statement+` LIMIT ?`, append(args, q.Limit))
	}
	return plans, err
}

// ExplainLeaves returns how the database would find the events that have no leaf.
func (s *Store) ExplainLeaves(ctx context.Context) (string, error) {
	return s.explain(ctx, waitingPacks, "", 100)
}

// ExplainLive explains the statements that find the tokens of somebody who lost something.
func (s *Store) ExplainLive(ctx context.Context) (plans map[string]string, err error) {
	plans = map[string]string{}
	for name, statement := range map[string]string{"an account": familiesOf, "a client": familiesBy} {
		if plans[name], err = s.explain(ctx, statement, "x", "", tokenPage); err != nil {
			return nil, err
		}
	}
	return plans, nil
}

func (s *Store) explain(ctx context.Context, statement string, args ...any) (plan string, err error) {
	if _, lite := s.db.(*sqliteDB); lite {
		err = s.all(ctx, func(r scanner) error {
			var id, parent, unused int
			var detail string
			err := r.Scan(&id, &parent, &unused, &detail)
			plan += detail + "\n"
			return err
		}, `EXPLAIN QUERY PLAN `+statement, args...)
		return plan, err
	}
	err = s.all(ctx, func(r scanner) error {
		var line string
		err := r.Scan(&line)
		plan += line + "\n"
		return err
	}, `EXPLAIN `+statement, args...)
	return plan, err
}
