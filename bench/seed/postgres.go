package seed

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
)

// intoPostgres copies the rows of each table over a connection of its own. In a fresh
// database that goes without the indexes past the primary keys: to make them anew in the
// end takes a fraction of the time.
func (w *writer) intoPostgres(ctx context.Context, dsn string, fresh bool, make func() error) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	var again []string
	if fresh {
		for _, t := range w.tables() {
			statements, err := loosen(ctx, c, t.name)
			if err != nil {
				return err
			}
			again = append(again, statements...)
		}
		again = append(again, "VACUUM ANALYZE", "CHECKPOINT")
	}
	if err := w.copy(ctx, dsn, make); err != nil {
		return err
	}
	for _, statement := range again {
		if _, err := c.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// loosen drops the indexes of a table but that of its primary key, and returns the
// statements that make them again.
func loosen(ctx context.Context, c *pgx.Conn, name string) (again []string, err error) {
	if _, err := c.Exec(ctx, "SET maintenance_work_mem = '512MB'"); err != nil {
		return nil, err
	}
	rows, err := c.Query(ctx, `SELECT i.indexrelid::regclass::text, COALESCE(k.conname, ''), COALESCE(pg_get_constraintdef(k.oid), pg_get_indexdef(i.indexrelid))
		FROM pg_index AS i LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid WHERE i.indrelid = $1::regclass AND NOT i.indisprimary`, name)
	if err != nil {
		return nil, err
	}
	type index struct{ Name, Constraint, Made string }
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[index])
	if err != nil {
		return nil, err
	}
	for _, i := range list {
		drop, make := "DROP INDEX "+i.Name, i.Made
		if i.Constraint != "" {
			drop, make = "ALTER TABLE "+name+" DROP CONSTRAINT "+i.Constraint, "ALTER TABLE "+name+" ADD CONSTRAINT "+i.Constraint+" "+i.Made
		}
		if _, err := c.Exec(ctx, drop); err != nil {
			return nil, err
		}
		again = append(again, make)
	}
	return again, nil
}

// copy writes what make makes.
func (w *writer) copy(ctx context.Context, dsn string, make func() error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	var sources []*source
	for _, t := range w.tables() {
		s := newSource(len(t.columns))
		sources = append(sources, s)
		running.Go(func() {
			if err := s.copy(ctx, dsn, t); err != nil {
				cancel(fmt.Errorf("copying into %s: %w", t.name, err))
			}
		})
		t.write = func(values []any) error {
			select {
			case s.in <- values:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	if err := make(); err != nil {
		cancel(err)
	}
	for _, s := range sources {
		close(s.in)
	}
	running.Wait()
	return context.Cause(ctx)
}

// source gives COPY the rows that come in.
type source struct {
	in     chan []any // rows after rows
	some   []any
	row    []any
	across int // columns
}

func newSource(across int) *source { return &source{in: make(chan []any, 16), across: across} }

func (s *source) copy(ctx context.Context, dsn string, t *table) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	if _, err := c.Exec(ctx, "SET synchronous_commit = off"); err != nil { // the checkpoint in the end is durable
		return err
	}
	_, err = c.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, s)
	return err
}

// Next implements pgx.CopyFromSource.
func (s *source) Next() bool {
	for len(s.some) == 0 {
		var more bool
		if s.some, more = <-s.in; !more {
			return false
		}
	}
	s.row, s.some = s.some[:s.across], s.some[s.across:]
	return true
}

// Values implements pgx.CopyFromSource.
func (s *source) Values() ([]any, error) { return s.row, nil }

// Err implements pgx.CopyFromSource.
func (s *source) Err() error { return nil }
