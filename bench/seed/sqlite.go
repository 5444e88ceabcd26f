package seed

import (
	"context"
	"database/sql"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// intoSQLite writes everything in one transaction, by statements of as many rows as go
// together. SQLite looks for parameters that have a name, one after the other, for each
// of them: here they have none.
func (w *writer) intoSQLite(ctx context.Context, path string, make func() error) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=cache_size(-200000)&_pragma=temp_store(MEMORY)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	for _, t := range w.tables() {
		var full *sql.Stmt
		t.write = func(values []any) (err error) {
			if len(values) != together*len(t.columns) {
				_, err = tx.ExecContext(ctx, t.statement(len(values)/len(t.columns)), values...)
				return err
			}
			if full == nil {
				if full, err = tx.PrepareContext(ctx, t.statement(together)); err != nil { //nolint:sqlclosecheck // it ends with the transaction
					return err
				}
			}
			_, err = full.ExecContext(ctx, values...)
			return err
		}
	}
	if err := make(); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

func (t *table) statement(rows int) string {
	row := "(?" + strings.Repeat(", ?", len(t.columns)-1) + ")"
	return "INSERT INTO " + t.name + " (" + strings.Join(t.columns, ", ") + ") VALUES " + row + strings.Repeat(", "+row, rows-1)
}
