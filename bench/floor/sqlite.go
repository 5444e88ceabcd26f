package floor

import (
	"context"
	"database/sql"
	"net/url"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// sqlite is one writer that puts what waits into one transaction.
type sqlite struct {
	db   *sql.DB
	jobs chan *job
	done chan struct{}
}

type job struct {
	turn turn
	ok   bool
	err  error
	done chan struct{}
}

func openSQLite(ctx context.Context, path string) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "cache_size(-8000)", "temp_store(MEMORY)"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	for statement := range strings.SplitSeq(schema, ";") {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			db.Close()
			return nil, err
		}
	}
	return db, nil
}

func newSQLite(ctx context.Context, path string) (*sqlite, error) {
	db, err := openSQLite(ctx, path)
	if err != nil {
		return nil, err
	}
	s := &sqlite{db: db, jobs: make(chan *job, 128), done: make(chan struct{})}
	update, err := db.PrepareContext(ctx, `UPDATE families SET secret = ?, generation = generation + 1, used_at = ? WHERE id = ? AND secret = ?`)
	if err != nil {
		return nil, err
	}
	insert, err := db.PrepareContext(ctx, `INSERT INTO events (id, at, data) VALUES (?, ?, ?)`)
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(s.done)
		for first := range s.jobs {
			group := []*job{first}
			err := s.group(&group, update, insert)
			for _, j := range group {
				if err != nil {
					j.err = err
				}
				close(j.done)
			}
		}
	}()
	return s, nil
}

func (s *sqlite) group(group *[]*job, update, insert *sql.Stmt) error {
	began, err := s.db.Begin()
	if err != nil {
		return err
	}
	defer began.Rollback() //nolint:errcheck // after a commit it does nothing
	change, note := began.Stmt(update), began.Stmt(insert)
	for i := 0; i < len(*group); i++ {
		j := (*group)[i]
		result, err := change.Exec(j.turn.to[:], j.turn.at, j.turn.family, j.turn.from[:])
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil {
			return err
		} else if j.ok = n == 1; j.ok {
			if _, err := note.Exec(j.turn.id, j.turn.at, j.turn.event); err != nil {
				return err
			}
		}
		select {
		case next, open := <-s.jobs:
			if open {
				*group = append(*group, next)
			}
		default:
		}
	}
	return began.Commit()
}

func (s *sqlite) rotate(_ context.Context, t turn) (bool, error) {
	j := &job{turn: t, done: make(chan struct{})}
	s.jobs <- j
	<-j.done
	return j.ok, j.err
}

func (s *sqlite) close() error {
	close(s.jobs)
	<-s.done
	return s.db.Close()
}
