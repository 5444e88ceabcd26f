package floor

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/http"
	"strings"
)

// notes keeps events durably, as one row for all that wait.
type notes struct {
	db   *sql.DB
	jobs chan *noted
	done chan struct{}
}

type noted struct {
	err  error
	done chan struct{}
}

func openNotes(ctx context.Context, dsn string) (*notes, error) {
	opened, address := openPostgres, dsn
	if path, isSQLite := strings.CutPrefix(dsn, "sqlite:"); isSQLite {
		opened, address = openSQLite, path
	}
	db, err := opened(ctx, address)
	if err != nil {
		return nil, err
	}
	insert, err := db.PrepareContext(ctx, `INSERT INTO events (id, at, data) VALUES ($1, 0, $2)`)
	if err != nil {
		return nil, err
	}
	n := &notes{db, make(chan *noted, 128), make(chan struct{})}
	go func() {
		defer close(n.done)
		for first := range n.jobs {
			group, pack := []*noted{first}, []byte(event)
			for waiting := len(n.jobs); waiting > 0; waiting-- {
				group, pack = append(group, <-n.jobs), append(pack, event...)
			}
			_, err := insert.ExecContext(context.Background(), rand.Text(), pack)
			for _, j := range group {
				j.err = err
				close(j.done)
			}
		}
	}()
	return n, nil
}

// keep keeps an event, and returns once it is durable.
func (n *notes) keep() error {
	j := &noted{done: make(chan struct{})}
	n.jobs <- j
	<-j.done
	return j.err
}

func (n *notes) close() error {
	close(n.jobs)
	<-n.done
	return n.db.Close()
}

// token is key.token with an event that is kept before the answer.
func (n *notes) token(k *key) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if n.keep() != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		k.token(w, r)
	}
}
