package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/doorward/doorward/internal/fault"
)

// sqliteDB is one file. All that is written goes through one goroutine with one
// connection, which puts whatever waits into one transaction: a commit waits
// for the disk, and so many requests share the wait.
type sqliteDB struct {
	readers *sql.DB
	writers *sql.DB
	reads   sync.Map // statement → *sql.Stmt
	queue   *queue
	done    chan struct{}
}

// waitForLock is how long a writer of another process (a command) is waited for.
const waitForLock = 10 * time.Second

func openSQLite(ctx context.Context, path string, wrap func(driver.Connector) driver.Connector) (*sqliteDB, error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("SQLite needs a file: sqlite:PATH")
	}
	open := func(pragmas ...string) *sql.DB {
		q := url.Values{"_txlock": {"immediate"}, "_pragma": append([]string{
			fmt.Sprintf("busy_timeout(%d)", waitForLock.Milliseconds()),
			"journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(4000)", "foreign_keys(ON)", "temp_store(MEMORY)",
		}, pragmas...)}
		dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
		return sql.OpenDB(wrap(connector{dsn, &sqlite.Driver{}}))
	}
	if err := ownFile(path); err != nil {
		return nil, fmt.Errorf("the database: %w", err)
	}
	s := &sqliteDB{
		readers: open("query_only(ON)", "cache_size(-4000)"), writers: open("cache_size(-8000)"),
		queue: newQueue(), done: make(chan struct{}),
	}
	readers := max(4, runtime.NumCPU())
	s.readers.SetMaxOpenConns(readers)
	s.readers.SetMaxIdleConns(readers)
	s.writers.SetMaxOpenConns(1)
	s.writers.SetMaxIdleConns(1)
	conn, err := s.writers.Conn(ctx)
	if err != nil {
		s.readers.Close()
		s.writers.Close()
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	w := &sqliteWriter{db: s.writers, conn: conn, statements: map[string]*sql.Stmt{}}
	go func() {
		defer close(s.done)
		w.run(s.queue.jobs)
	}()
	return s, nil
}

// ownFile makes a new database its owner's alone. SQLite gives the files beside
// it the same mode.
func ownFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return f.Close()
}

// connector opens connections of a driver that has no connector of its own.
type connector struct {
	dsn    string
	driver driver.Driver
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c connector) Driver() driver.Driver                        { return c.driver }

func (s *sqliteDB) write(ctx context.Context, f func(*tx) error) error { return s.queue.do(ctx, f) }

// record needs no door of its own: every write shares its commit.
func (s *sqliteDB) record(ctx context.Context, f func(*tx) error) error { return s.write(ctx, f) }

func (s *sqliteDB) query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	prepared, ok := s.reads.Load(statement)
	if !ok {
		fresh, err := s.readers.PrepareContext(ctx, statement)
		if err != nil {
			return nil, err
		}
		var lost bool
		if prepared, lost = s.reads.LoadOrStore(statement, fresh); lost {
			fresh.Close()
		}
	}
	// A read here is over in microseconds; to make it end earlier would cost two
	// goroutines for each, one of database/sql and one of the driver.
	return prepared.(*sql.Stmt).QueryContext(context.WithoutCancel(ctx), args...)
}

// lock does nothing: a SQLite transaction that may write is alone from its
// beginning.
func (s *sqliteDB) lock(*tx) error { return nil }

// schema has whole numbers that are a table's key be the number of its row, which SQLite
// has anyway: there is no index besides.
func (s *sqliteDB) schema(statement string) string {
	return strings.ReplaceAll(only("sqlite", statement), " BIGINT NOT NULL PRIMARY KEY", " INTEGER NOT NULL PRIMARY KEY")
}

func (s *sqliteDB) about(ctx context.Context) (Settings, error) {
	a := Settings{Kind: "sqlite"}
	var mode string
	var level int
	for pragma, into := range map[string]any{`SELECT sqlite_version()`: &a.Version, `PRAGMA journal_mode`: &mode, `PRAGMA synchronous`: &level} {
		if err := s.readers.QueryRowContext(ctx, pragma).Scan(into); err != nil {
			return a, err
		}
	}
	a.Durable = mode == "wal" && level >= 2
	a.Why = fmt.Sprintf("journal_mode=%s synchronous=%d", mode, level)
	return a, nil
}

func (s *sqliteDB) close() error {
	s.queue.close()
	err := s.readers.Close()
	<-s.done
	return errors.Join(err, s.writers.Close())
}

// sqliteWriter is the one goroutine that writes.
type sqliteWriter struct {
	db         *sql.DB
	conn       *sql.Conn
	statements map[string]*sql.Stmt // prepared on conn
	wrote      bool                 // the job that runs has changed something
	events     unpacked             // of the jobs of the transaction
}

func (w *sqliteWriter) run(jobs <-chan *job) {
	for first := range jobs {
		group := w.group(first, jobs)
		for _, j := range group {
			close(j.done)
		}
	}
	if w.conn != nil {
		// The file alone then holds everything: whoever copies it once the program
		// has ended has it all. Where another process reads, that one will do this.
		_ = w.statement("PRAGMA wal_checkpoint(TRUNCATE)")
		w.conn.Close()
	}
}

// group writes first and whatever waits behind it in one transaction. If one of
// them spoils it, those before it are written again, each for itself; if the
// commit fails, none was done.
func (w *sqliteWriter) group(first *job, jobs <-chan *job) []*job {
	group := []*job{first}
	if err := w.begin(); err != nil {
		first.err = err
		return group
	}
	for j := first; ; {
		if j.err = j.ctx.Err(); j.err == nil && w.spoils(j) {
			w.each(group[:len(group)-1])
			return group
		}
		if len(group) == largestGroup {
			break
		}
		var more bool
		select {
		case j, more = <-jobs:
		default:
		}
		if !more {
			break
		}
		group = append(group, j)
	}
	if len(group) > 1 && w.events.flush(context.Background(), w) != nil { // the event of one of them cannot be written
		w.each(group)
		return group
	}
	if err := w.commit(); err != nil {
		for _, j := range group {
			j.err = err
		}
	}
	return group
}

// each gives up the transaction of jobs, and runs each for itself.
func (w *sqliteWriter) each(jobs []*job) {
	w.abandon()
	for _, j := range jobs {
		w.alone(j)
	}
}

// commit ends a transaction with the events of its jobs, or abandons it.
func (w *sqliteWriter) commit() error {
	err := w.events.flush(context.Background(), w)
	if err == nil {
		err = w.statement("COMMIT")
	}
	if err != nil {
		w.abandon()
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// spoils runs a job in the transaction of its group, and reports whether it left
// something there that must not be: what it wrote before it failed. A failure
// that is no fault may have ended the whole transaction.
func (w *sqliteWriter) spoils(j *job) bool {
	w.wrote = false
	before := len(w.events.records)
	j.err = isolated(j.f, &tx{ctx: context.WithoutCancel(j.ctx), run: w})
	if j.err == nil {
		return false
	}
	if spoils := w.wrote || fault.KindOf(j.err) == 0; spoils {
		return true
	}
	w.events.cut(before) // nothing was flushed, or it would have written
	return false
}

// alone runs a job in a transaction of its own.
func (w *sqliteWriter) alone(j *job) {
	if j.err = j.ctx.Err(); j.err != nil {
		return
	}
	if j.err = w.begin(); j.err != nil {
		return
	}
	if j.err = isolated(j.f, &tx{ctx: context.WithoutCancel(j.ctx), run: w}); j.err != nil {
		w.abandon()
		return
	}
	j.err = w.commit()
}

// isolated runs f so that its panic is its own.
func isolated(f func(*tx) error, t *tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f(t)
}

func (w *sqliteWriter) begin() error {
	if w.conn == nil {
		conn, err := w.db.Conn(context.Background())
		if err != nil {
			return err
		}
		w.conn = conn
	}
	if err := w.statement("BEGIN IMMEDIATE"); err != nil {
		w.abandon()
		return err
	}
	return nil
}

// abandon rolls back, and takes another connection if that is not certain.
func (w *sqliteWriter) abandon() {
	w.events.cut(0)
	if w.statement("ROLLBACK") == nil {
		return
	}
	// Statements are closed before their connection, never after: SQLite frees
	// what they hold on to with it.
	if w.conn.Raw(func(any) error { return nil }) == nil {
		for _, s := range w.statements {
			s.Close()
		}
	}
	clear(w.statements)
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // the pool throws it away
	w.conn.Close()
	w.conn = nil
}

func (w *sqliteWriter) statement(text string) error {
	_, err := w.exec(context.Background(), text)
	return err
}

func (w *sqliteWriter) prepared(ctx context.Context, statement string) (*sql.Stmt, error) {
	if s, ok := w.statements[statement]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(ctx, statement)
	if err == nil {
		w.statements[statement] = s
	}
	return s, err
}

func (w *sqliteWriter) exec(ctx context.Context, statement string, args ...any) (sql.Result, error) {
	s, err := w.prepared(ctx, statement)
	if err != nil {
		return nil, err
	}
	result, err := s.ExecContext(ctx, args...)
	if err == nil {
		n, unknown := result.RowsAffected()
		w.wrote = w.wrote || n > 0 || unknown != nil || strings.HasPrefix(statement, "CREATE")
	}
	return result, err
}

func (w *sqliteWriter) query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	s, err := w.prepared(ctx, statement)
	if err != nil {
		return nil, err
	}
	w.wrote = w.wrote || !strings.HasPrefix(statement, "SELECT") // … RETURNING
	return s.QueryContext(ctx, args...)
}

// holding has nothing to add: while one writes, nobody else does.
func (w *sqliteWriter) holding(statement string) string { return statement }

func (w *sqliteWriter) unpacked() *unpacked { return &w.events }

// sqliteDuplicate reports whether err says that a unique value exists.
func sqliteDuplicate(err error) (string, bool) {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok || e.Code() != sqlite3.SQLITE_CONSTRAINT_UNIQUE && e.Code() != sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
		return "", false
	}
	return e.Error(), true
}
