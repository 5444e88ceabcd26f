package floor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// The floors that are loops, without an HTTP server.
const (
	Bcrypt = "bcrypt" // one hash with cost 12
	Insert = "insert" // one insert in a durable transaction of its own
	Turn   = "turn"   // what Rotate keeps: one statement, or group commit
)

// Loop does one thing over and over with so many workers, and returns how often
// in a second. dsn is for what needs a database.
func Loop(ctx context.Context, name, dsn string, workers int, d time.Duration) (float64, error) {
	once, end, err := piece(ctx, name, dsn, workers)
	if err != nil {
		return 0, err
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var rate float64
	start := time.Now()
	for worker := range workers {
		running.Go(func() {
			n, did := 0, error(nil)
			for did == nil && time.Since(start) < d && ctx.Err() == nil {
				did = once(ctx, worker)
				n++
			}
			took := time.Since(start)
			mu.Lock()
			defer mu.Unlock()
			rate += float64(n) / took.Seconds()
			err = errors.Join(err, did)
		})
	}
	running.Wait()
	return rate, errors.Join(err, end(), ctx.Err())
}

// piece returns what a worker does once.
func piece(ctx context.Context, name, dsn string, workers int) (once func(context.Context, int) error, end func() error, err error) {
	switch name {
	case Bcrypt:
		password := []byte("correct horse battery")
		hash, err := bcrypt.GenerateFromPassword(password, 12)
		return func(context.Context, int) error { return bcrypt.CompareHashAndPassword(hash, password) }, func() error { return nil }, err
	case Insert:
		return inserts(ctx, dsn)
	case Turn:
		return turns(ctx, dsn, workers)
	}
	return nil, nil, fmt.Errorf("there is no loop %q", name)
}

func inserts(ctx context.Context, dsn string) (func(context.Context, int) error, func() error, error) {
	var db *sql.DB
	var err error
	statement := `INSERT INTO events (id, at, data) VALUES ($1, $2, $3)`
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		db, err = openSQLite(ctx, path)
	} else {
		db, err = openPostgres(ctx, dsn)
	}
	if err != nil {
		return nil, nil, err
	}
	insert, err := db.PrepareContext(ctx, statement)
	return func(ctx context.Context, _ int) error {
		_, err := insert.ExecContext(ctx, rand.Text(), 0, []byte(event))
		return err
	}, db.Close, err
}

func turns(ctx context.Context, dsn string, workers int) (func(context.Context, int) error, func() error, error) {
	r, err := open(ctx, dsn, workers)
	if err != nil {
		return nil, nil, err
	}
	present := make([][sha256.Size]byte, workers)
	for i := range present {
		present[i] = firstHash()
	}
	return func(ctx context.Context, worker int) error {
		t := turn{family: worker, from: present[worker], at: time.Now().UnixMicro(), id: rand.Text(), event: []byte(event)}
		rand.Read(t.to[:])
		ok, err := r.rotate(ctx, t)
		if err == nil && !ok {
			err = errors.New("a turn was refused")
		}
		present[worker] = t.to
		return err
	}, r.close, nil
}
