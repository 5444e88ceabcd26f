package store

import (
	"context"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/secret"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migration is one step of the schema. A step that was once released is never
// changed: its checksum is kept with it.
type migration struct {
	name, text, checksum string
}

// Pending returns the names of the migrations that the database lacks. It fails
// if the database was made by a later version, or if a migration is not the one
// that was applied.
func (s *Store) Pending(ctx context.Context) ([]string, error) {
	applied, err := s.applied(ctx)
	if err != nil {
		return nil, err
	}
	steps, err := pending(applied)
	var names []string
	for _, m := range steps {
		names = append(names, m.name)
	}
	return names, err
}

// Migrate brings the schema up to date, one transaction for each step, and
// returns the names of the steps it took. Several processes may do so at once:
// one migrates, the others wait for it.
func (s *Store) Migrate(ctx context.Context) ([]string, error) {
	if names, err := s.Pending(ctx); err != nil || len(names) == 0 {
		return nil, err
	}
	var taken []string
	err := s.db.write(ctx, func(t *tx) error {
		taken = nil
		if err := s.db.lock(t); err != nil {
			return err
		}
		if _, err := t.exec(`CREATE TABLE IF NOT EXISTS migrations (name TEXT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)`); err != nil {
			return err
		}
		applied, err := readApplied(t.all)
		if err != nil {
			return err
		}
		steps, err := pending(applied)
		if err != nil {
			return err
		}
		for _, m := range steps {
			for _, statement := range split(m.text) {
				if statement = s.db.schema(statement); statement == "" {
					continue
				}
				if _, err := t.exec(statement); err != nil {
					return fmt.Errorf("migration %s: %w", m.name, err)
				}
			}
			if _, err := t.exec(`INSERT INTO migrations (name, checksum, applied_at) VALUES (?, ?, ?)`, m.name, m.checksum, clock.Micro(s.clock.Now())); err != nil {
				return err
			}
			taken = append(taken, m.name)
		}
		return nil
	})
	return taken, err
}

func (s *Store) applied(ctx context.Context) (map[string]string, error) {
	applied, err := readApplied(func(scan func(scanner) error, statement string, args ...any) error {
		return s.all(ctx, scan, statement, args...)
	})
	if err != nil && noTable(err) {
		return nil, nil
	}
	return applied, err
}

func readApplied(all func(func(scanner) error, string, ...any) error) (map[string]string, error) {
	applied := map[string]string{}
	err := all(func(r scanner) error {
		var name, checksum string
		err := r.Scan(&name, &checksum)
		applied[name] = checksum
		return err
	}, `SELECT name, checksum FROM migrations`)
	return applied, err
}

func noTable(err error) bool {
	text := err.Error()
	return strings.Contains(text, "no such table") || strings.Contains(text, "42P01") || errors.Is(err, sql.ErrNoRows)
}

func pending(applied map[string]string) ([]migration, error) {
	known, err := all()
	if err != nil {
		return nil, err
	}
	var steps []migration
	for _, m := range known {
		switch checksum, ok := applied[m.name]; {
		case !ok:
			steps = append(steps, m)
		case checksum != m.checksum:
			return nil, fmt.Errorf("migration %s is not the one that the database was made with: this program was altered, or the database was", m.name)
		}
		delete(applied, m.name)
	}
	for name := range applied {
		return nil, fmt.Errorf("the database was made by a later version of doorward (it has migration %s): use that version", name)
	}
	return steps, nil
}

func all() ([]migration, error) {
	files, err := fs.ReadDir(migrations, "migrations") // sorted by name
	if err != nil {
		return nil, err
	}
	list := make([]migration, 0, len(files))
	for _, f := range files {
		text, err := migrations.ReadFile("migrations/" + f.Name())
		if err != nil {
			return nil, err
		}
		digest := secret.HashOf(text)
		list = append(list, migration{strings.TrimSuffix(f.Name(), ".sql"), string(text), hex.EncodeToString(digest[:])})
	}
	return list, nil
}

// split returns the statements of a migration. Comments go, each statement ends
// with a semicolon at the end of a line, and none has one elsewhere.
func split(text string) []string {
	var plain strings.Builder
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, "--")
		plain.WriteString(strings.TrimRight(code, " \n") + "\n")
	}
	var list []string
	for statement := range strings.SplitSeq(plain.String(), ";\n") {
		if strings.TrimSpace(statement) != "" {
			list = append(list, strings.TrimSpace(statement))
		}
	}
	return list
}

// only returns a statement that is for one kind of database alone without the mark that
// says so, and nothing if it is another's.
func only(kind, statement string) string {
	mark, rest, marked := strings.Cut(statement, " */ ")
	switch {
	case !marked || !strings.HasPrefix(mark, "/* "):
		return statement
	case mark != "/* "+kind:
		return ""
	}
	return rest
}
