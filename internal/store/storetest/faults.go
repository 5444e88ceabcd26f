package storetest

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
)

// Step is one call of a database driver.
type Step struct {
	Kind string // connect, begin, prepare, exec, query, commit or rollback
	Text string // the statement, if there is one
	Tx   bool   // within a transaction, or its end
}

// Fault is what becomes of a step. The zero Fault lets it pass.
type Fault struct {
	// Err is what the caller is told. After driver.ErrBadConn or
	// io.ErrUnexpectedEOF the connection answers nothing more.
	Err error
	// Done: the step is done all the same, and only its answer is lost.
	Done bool
}

// Faults stands between database/sql and a driver. It sees every step, can make
// any of them fail, and can hold one up. Its Wrap is for store.Options.
type Faults struct {
	mu    sync.Mutex
	ask   func(Step) Fault
	watch func(statement string, args []driver.NamedValue)
}

// Watch has every statement that is run from now on told, with its arguments; nil tells
// none. watch is called by several goroutines.
func (f *Faults) Watch(watch func(statement string, args []driver.NamedValue)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watch = watch
}

func (f *Faults) tell(statement string, args []driver.NamedValue) {
	f.mu.Lock()
	watch := f.watch
	f.mu.Unlock()
	if watch != nil {
		watch(statement, args)
	}
}

// Use has every step from now on asked about; nil lets all pass. ask may block,
// and is called by several goroutines.
func (f *Faults) Use(ask func(Step) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ask = ask
}

func (f *Faults) of(s Step) Fault {
	f.mu.Lock()
	ask := f.ask
	f.mu.Unlock()
	if ask == nil {
		return Fault{}
	}
	return ask(s)
}

// Wrap puts f before the driver's connections.
func (f *Faults) Wrap(c driver.Connector) driver.Connector { return faultyConnector{f, c} }

type faultyConnector struct {
	faults *Faults
	next   driver.Connector
}

func (c faultyConnector) Driver() driver.Driver { return c.next.Driver() }

func (c faultyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if fault := c.faults.of(Step{Kind: "connect"}); fault.Err != nil {
		return nil, fault.Err
	}
	next, err := c.next.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &faultyConn{Conn: next, faults: c.faults, statements: map[driver.Stmt]bool{}}, nil
}

// faultyConn is a connection of which database/sql uses what both drivers have.
type faultyConn struct {
	driver.Conn
	faults     *Faults
	broken     atomic.Bool
	tx         atomic.Bool // a transaction is open
	statements map[driver.Stmt]bool
}

// Close closes the statements first: SQLite lets nothing go before they are, and
// a connection that is lost has let go of all.
func (c *faultyConn) Close() error {
	for s := range c.statements {
		_ = s.Close()
	}
	c.statements = nil
	return c.Conn.Close()
}

// step asks about a step and takes it, or not. undo lets go of what it returned
// if the answer is lost.
func step[T any](c *faultyConn, s Step, take func() (T, error), undo func(T)) (T, error) {
	var none T
	if c.broken.Load() {
		return none, driver.ErrBadConn
	}
	s.Tx = c.tx.Load()
	switch s.Kind {
	case "begin":
		c.tx.Store(true)
	case "commit", "rollback":
		c.tx.Store(strings.HasPrefix(s.Text, "ROLLBACK TO"))
	}
	fault := c.faults.of(s)
	if fault.Err == nil {
		return take()
	}
	defer c.broken.Store(errors.Is(fault.Err, driver.ErrBadConn) || errors.Is(fault.Err, io.ErrUnexpectedEOF))
	if fault.Done {
		v, err := take()
		if err != nil {
			return none, err
		}
		undo(v)
	}
	return none, fault.Err
}

func (c *faultyConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := step(c, Step{Kind: "begin"}, func() (driver.Tx, error) {
		return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	}, func(tx driver.Tx) { _ = tx.Rollback() })
	if err != nil {
		return nil, err
	}
	return faultyTx{tx, c}, nil
}

func (c *faultyConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	s, err := step(c, Step{Kind: "prepare", Text: text}, func() (driver.Stmt, error) {
		return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	}, func(s driver.Stmt) { _ = s.Close() })
	if err != nil {
		return nil, err
	}
	c.statements[s] = true
	return faultyStmt{s, c, text}, nil
}

func (c *faultyConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	return c.exec(text, args, func() (driver.Result, error) {
		return c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
	})
}

func (c *faultyConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	return c.query(text, args, func() (driver.Rows, error) {
		return c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
	})
}

func (c *faultyConn) exec(text string, args []driver.NamedValue, run func() (driver.Result, error)) (driver.Result, error) {
	c.faults.tell(text, args)
	kind := "exec"
	switch word, _, _ := strings.Cut(text, " "); word { // SQLite's transactions are statements
	case "BEGIN", "COMMIT", "ROLLBACK":
		kind = strings.ToLower(word)
	}
	return step(c, Step{Kind: kind, Text: text}, run, func(driver.Result) {})
}

func (c *faultyConn) query(text string, args []driver.NamedValue, run func() (driver.Rows, error)) (driver.Rows, error) {
	c.faults.tell(text, args)
	return step(c, Step{Kind: "query", Text: text}, run, func(r driver.Rows) { _ = r.Close() }) // which runs it to its end
}

func (c *faultyConn) Ping(ctx context.Context) error {
	if p, ok := c.Conn.(driver.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

func (c *faultyConn) ResetSession(ctx context.Context) error {
	if r, ok := c.Conn.(driver.SessionResetter); ok && !c.broken.Load() {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *faultyConn) IsValid() bool {
	if v, ok := c.Conn.(driver.Validator); ok && !v.IsValid() {
		return false
	}
	return !c.broken.Load()
}

func (c *faultyConn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type faultyTx struct {
	driver.Tx
	conn *faultyConn
}

func (t faultyTx) Commit() error { return t.end("commit", t.Tx.Commit) }

func (t faultyTx) Rollback() error { return t.end("rollback", t.Tx.Rollback) }

func (t faultyTx) end(kind string, do func() error) error {
	_, err := step(t.conn, Step{Kind: kind}, func() (struct{}, error) { return struct{}{}, do() }, func(struct{}) {})
	switch {
	case err != nil && kind == "commit":
		_ = t.Tx.Rollback() // a driver that fails to commit has ended the transaction
	case err != nil:
		t.conn.broken.Store(true) // and one that fails to roll back, the connection
	}
	return err
}

type faultyStmt struct {
	driver.Stmt
	conn *faultyConn
	text string
}

func (s faultyStmt) Close() error {
	if !s.conn.statements[s.Stmt] {
		return nil
	}
	delete(s.conn.statements, s.Stmt)
	return s.Stmt.Close()
}

func (s faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.exec(s.text, args, func() (driver.Result, error) {
		return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	})
}

func (s faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.query(s.text, args, func() (driver.Rows, error) {
		return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	})
}
