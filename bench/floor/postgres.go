package floor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

const schema = `CREATE TABLE IF NOT EXISTS families (id BIGINT NOT NULL PRIMARY KEY, secret BYTEA NOT NULL, generation BIGINT NOT NULL, used_at BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS events (id TEXT NOT NULL PRIMARY KEY, at BIGINT NOT NULL, data BYTEA NOT NULL);
DELETE FROM families;
DELETE FROM events`

// open opens an empty database of floors and puts families into it.
func open(ctx context.Context, dsn string, families int) (rotation, error) {
	secret := firstHash()
	path, isSQLite := strings.CutPrefix(dsn, "sqlite:")
	if !isSQLite {
		p, err := newPostgres(ctx, dsn)
		if err != nil {
			return nil, err
		}
		return p, begin(ctx, p.db, `INSERT INTO families (id, secret, generation, used_at) VALUES ($1, $2, 1, 0)`, secret[:], families)
	}
	s, err := newSQLite(ctx, path)
	if err != nil {
		return nil, err
	}
	return s, begin(ctx, s.db, `INSERT INTO families (id, secret, generation, used_at) VALUES (?, ?, 1, 0)`, secret[:], families)
}

func begin(ctx context.Context, db *sql.DB, insert string, secret []byte, families int) error {
	for i := range families {
		if _, err := db.ExecContext(ctx, insert, i, secret); err != nil {
			return fmt.Errorf("making families: %w", err)
		}
	}
	return nil
}

// postgres rotates by one statement, which is its own transaction.
type postgres struct {
	db   *sql.DB
	turn *sql.Stmt
}

// connections is how many of them a floor keeps to PostgreSQL: as many as the
// benchmark's own to the floor.
const connections = 16

func openPostgres(ctx context.Context, dsn string) (*sql.DB, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	for statement := range strings.SplitSeq(schema, ";") {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			db.Close()
			return nil, err
		}
	}
	return db, nil
}

func newPostgres(ctx context.Context, dsn string) (*postgres, error) {
	db, err := openPostgres(ctx, dsn)
	if err != nil {
		return nil, err
	}
	turn, err := db.PrepareContext(ctx, `WITH turn AS (
			UPDATE families SET secret = $1, generation = generation + 1, used_at = $2 WHERE id = $3 AND secret = $4 RETURNING id),
		event AS (INSERT INTO events (id, at, data) SELECT $5, $2, $6 FROM turn)
		SELECT id FROM turn`)
	return &postgres{db, turn}, err
}

func (p *postgres) rotate(ctx context.Context, t turn) (bool, error) {
	var id int
	err := p.turn.QueryRowContext(ctx, t.to[:], t.at, t.family, t.from[:], t.id, t.event).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (p *postgres) close() error { return p.db.Close() }
