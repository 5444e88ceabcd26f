package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/doorward/doorward/internal/secret"
)

// postgresDB is a PostgreSQL server, or one that speaks its language. It runs at
// READ COMMITTED: what must be decided by one is decided by one guarded
// statement, or behind the lock of a row.
type postgresDB struct {
	db      *sql.DB
	bound   sync.Map // statement → the same with $1, $2 …
	records *queue
	running sync.WaitGroup // the goroutines that write what is in the queues
	itself  bool           // and not CockroachDB or YugabyteDB, which speak its language

	turns, turnsIn, issued, codes, redeemed *batch
}

func openPostgres(ctx context.Context, dsn string, wrap func(driver.Connector) driver.Connector) (*postgresDB, error) {
	pool, dsn, err := poolSize(dsn)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the database's address is not a PostgreSQL URL") // pgx's words may hold the password
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	config.RuntimeParams["application_name"] = "doorward"
	if _, set := config.RuntimeParams["statement_timeout"]; !set {
		config.RuntimeParams["statement_timeout"] = "10000"
	}
	if _, set := config.RuntimeParams["idle_in_transaction_session_timeout"]; !set {
		config.RuntimeParams["idle_in_transaction_session_timeout"] = "15000"
	}
	p := &postgresDB{db: sql.OpenDB(wrap(stdlib.GetConnector(*config))), records: newQueue()}
	p.db.SetMaxOpenConns(pool)
	p.db.SetMaxIdleConns(pool) // a pool that lets connections go reconnects at every burst
	var version string
	if err := p.db.QueryRowContext(ctx, `SELECT version()`).Scan(&version); err != nil {
		p.db.Close()
		return nil, fmt.Errorf("connecting to PostgreSQL at %s:%d: %w", config.Host, config.Port, err)
	}
	p.itself = itself(version)
	p.running.Go(p.recorder)
	p.turns, p.turnsIn, p.issued, p.codes, p.redeemed = p.batch(turns), p.batch(turnsIn), p.batch(issued), p.batch(codes), p.batch(redeemed)
	return p, nil
}

// itself reports whether a database that says its version is PostgreSQL, and not another
// that speaks its language: that one is asked in standard SQL alone.
func itself(version string) bool {
	return strings.HasPrefix(version, "PostgreSQL ") && !strings.Contains(version, "-YB-")
}

// poolSize takes the parameter pool_max_conns from the URL, as pgx's own pool
// does.
func poolSize(dsn string) (int, string, error) {
	size := 8 + 4*runtime.NumCPU()
	u, err := url.Parse(dsn)
	if err != nil {
		return 0, "", errors.New("the database's address is not a URL")
	}
	q := u.Query()
	if text := q.Get("pool_max_conns"); text != "" {
		if size, err = strconv.Atoi(text); err != nil || size < 1 || size > 1000 {
			return 0, "", errors.New("pool_max_conns in the database's address is a number from 1 to 1000")
		}
		q.Del("pool_max_conns")
		u.RawQuery = q.Encode()
		dsn = u.String()
	}
	return size, dsn, nil
}

// bind writes ? as $1, $2 …
func (p *postgresDB) bind(statement string) string {
	if b, ok := p.bound.Load(statement); ok {
		return b.(string)
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(statement, "?") {
		if n > 0 {
			fmt.Fprintf(&b, "$%d", n)
		}
		b.WriteString(part)
		n++
	}
	p.bound.Store(statement, b.String())
	return b.String()
}

// attempts is how often a transaction is tried that the database could not
// serialise with another.
const attempts = 6

func (p *postgresDB) write(ctx context.Context, f func(*tx) error) error {
	var err error
	for n := range attempts {
		if n > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(secret.Random(1)[0]) * time.Duration(n) * 100 * time.Microsecond):
			}
		}
		if err = p.once(ctx, f); !unserialisable(err) {
			return err
		}
	}
	return err
}

func (p *postgresDB) once(ctx context.Context, f func(*tx) error) error {
	began, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning: %w", err)
	}
	defer began.Rollback() //nolint:errcheck // after a commit it does nothing, and else the error is known
	run := &postgresTx{p: p, tx: began}
	if err := isolated(f, &tx{ctx: ctx, run: run}); err != nil {
		return err
	}
	if err := run.events.flush(ctx, run); err != nil {
		return err
	}
	if err := began.Commit(); err != nil {
		return uncertain{fmt.Errorf("committing: %w", err)}
	}
	return nil
}

// uncertain is the failure of a commit that may have been done.
type uncertain struct{ error }

func (u uncertain) Unwrap() error { return u.error }

// unserialisable reports whether the transaction failed for another's sake and
// may be tried again.
func unserialisable(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01")
}

// record shares one commit between the events that wait. They are inserts of
// new rows: none fails for another's sake.
func (p *postgresDB) record(ctx context.Context, f func(*tx) error) error {
	return p.records.do(ctx, f)
}

// An event that may be there is not written again: if it has its leaf by now, a
// second one that waits would stop the log for ever.
func (p *postgresDB) recorder() {
	for first := range p.records.jobs {
		group := p.records.gather(first, largestGroup)
		err := p.together(group)
		_, unknown := errors.AsType[uncertain](err)
		for _, j := range group {
			if j.err = err; err != nil && !unknown { // one of them spoils the transaction: each for itself
				j.err = p.together([]*job{j})
			}
		}
		for _, j := range group {
			close(j.done)
		}
	}
}

// together writes jobs in one transaction.
func (p *postgresDB) together(group []*job) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return p.write(ctx, func(t *tx) error {
		for _, j := range group {
			if err := j.f(t); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *postgresDB) query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	return p.db.QueryContext(ctx, p.bind(statement), args...)
}

// lock makes other processes that migrate wait.
func (p *postgresDB) lock(t *tx) error {
	_, err := t.run.exec(t.ctx, `SELECT pg_advisory_xact_lock(7236838215318)`)
	return err
}

// schema has texts sorted by their bytes, as in SQLite, whatever the database's
// locale. Ids are compared here and in the database: where "ch" or "aa" is a letter
// of its own, pages would lose some.
func (p *postgresDB) schema(statement string) string {
	return strings.ReplaceAll(only("postgres", statement), " TEXT ", ` TEXT COLLATE "C" `)
}

func (p *postgresDB) about(ctx context.Context) (Settings, error) {
	a := Settings{Kind: "postgres"}
	var fsync, commit, pages string
	for name, into := range map[string]*string{"server_version": &a.Version, "fsync": &fsync, "synchronous_commit": &commit, "full_page_writes": &pages} {
		if err := p.db.QueryRowContext(ctx, "SHOW "+name).Scan(into); err != nil {
			return a, err
		}
	}
	a.Durable = fsync == "on" && commit != "off" && pages == "on"
	a.Why = fmt.Sprintf("fsync=%s synchronous_commit=%s full_page_writes=%s", fsync, commit, pages)
	var private bool
	var address string
	err := p.db.QueryRowContext(ctx, `SELECT clock_timestamp(), COALESCE((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), COALESCE(host(inet_server_addr()), '')`).
		Scan(&a.At, &private, &address)
	if ip, notIP := netip.ParseAddr(address); notIP == nil && !ip.IsLoopback() && !private {
		a.Plain = address
	}
	return a, err
}

func (p *postgresDB) close() error {
	p.records.close()
	for _, b := range []*batch{p.turns, p.turnsIn, p.issued, p.codes, p.redeemed} {
		b.waiting.close()
	}
	p.running.Wait()
	return p.db.Close()
}

type postgresTx struct {
	p      *postgresDB
	tx     *sql.Tx
	events unpacked
}

func (t *postgresTx) exec(ctx context.Context, statement string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(ctx, t.p.bind(statement), args...)
}

func (t *postgresTx) query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, t.p.bind(statement), args...)
}

func (*postgresTx) holding(statement string) string { return statement + " FOR SHARE" }

func (t *postgresTx) unpacked() *unpacked { return &t.events }

// duplicate returns the constraint that a write broke, if it is one of
// uniqueness.
func duplicate(err error) (string, bool) {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.ConstraintName, e.Code == "23505"
	}
	return sqliteDuplicate(err)
}
