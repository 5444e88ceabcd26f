package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/storm/program"
	"github.com/doorward/doorward/internal/testpg"
)

// options are what a storm is told.
type options struct {
	kills   int
	crashDB bool          // the database server dies now and then, too
	ready   time.Duration // within which the server must be ready again
	follow  time.Duration // within which a server must follow what was committed elsewhere
	binary  string        // the program
	folder  string        // for what it keeps
	log     io.Writer     // takes what the server logs
	secret  string        // everybody's password
}

// storm is a server on one database that is killed again and again, and its
// clients.
type storm struct {
	options
	kind     string // of database
	dsn      string
	postgres *testpg.Server // nil on SQLite
	master   string         // key
	password string
	port     int

	ledger  *ledger
	verdict *verdict
	sum     *sums
	books   *books
	gate    *gate
	caller  *caller
	actors  []actor
	admin   string // the administrator's access token

	server  *program.Process
	born    time.Time     // when it was started
	grace   time.Duration // of this life of the server
	last    *snapshot
	starts  []time.Duration // until ready
	kept    string          // the checkpoint that the last proof went back to; empty before the first
	dropped int             // how much of the log was looked at
}

const administrator = "admin"

func newStorm(o options, kind, dsn string, postgres *testpg.Server) (*storm, error) {
	port, err := program.Port()
	if err != nil {
		return nil, err
	}
	s := &storm{
		options: o, kind: kind, dsn: dsn, postgres: postgres, master: secret.NewMaster().Reveal(), password: o.secret, port: port,
		ledger: newLedger(), sum: newSums(), gate: newGate(),
	}
	s.verdict = &verdict{ledger: s.ledger}
	s.books = newBooks(s.verdict)
	s.caller = &caller{url: fmt.Sprintf("http://127.0.0.1:%d", port), ledger: s.ledger, verdict: s.verdict, sum: s.sum}
	s.caller.renew()
	return s, nil
}

// command is a call of the program on the storm's database.
func (s *storm) command(args ...string) program.Command {
	return program.Command{
		Path: s.binary, Args: args, Folder: s.folder, Log: s.log,
		Env: program.Environment(
			"DOORWARD_ISSUER="+s.caller.url,
			fmt.Sprintf("DOORWARD_LISTEN=127.0.0.1:%d", s.port),
			"DOORWARD_DATABASE="+s.dsn,
			"DOORWARD_MASTER_KEY="+s.master,
			"DOORWARD_PASSWORDS_HASH=argon2id", // bcrypt would leave time for nothing else
			"DOORWARD_TOKENS_ACCESS_TTL=12h",
			"DOORWARD_TOKENS_ROTATION_GRACE="+s.grace.String(),
			"DOORWARD_RATE_LIMIT_LOGIN=100000/1s", // all come from one address
			"DOORWARD_RATE_LIMIT_GLOBAL=100000/1s",
			"DOORWARD_LOCKOUT_DURATIONS=60m", // longer than a storm
			"DOORWARD_LOG_FORMAT=json",
		),
	}
}

// run is the whole storm. The error is of the storm itself; what the server did
// wrong is in the verdict.
func (s *storm) run(ctx context.Context) error {
	defer func() {
		if s.server != nil {
			s.server.Kill()
		}
	}()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	var busy sync.WaitGroup
	for _, a := range s.actors {
		busy.Go(func() { s.act(a) })
	}
	err := s.blow(ctx)
	s.gate.end()
	busy.Wait()
	if err != nil || s.verdict.stop() {
		return err
	}
	return s.calm(ctx)
}

// act lets an actor act. After a request without an answer it waits until the
// books are balanced.
func (s *storm) act(a actor) {
	after := 0
	for {
		opening, ok := s.gate.enter(after)
		if !ok {
			return
		}
		if !a.unsure() {
			a.step()
		}
		s.gate.leave()
		if a.unsure() {
			after = opening
		}
	}
}

// prepare makes the database, the administrator and the actors, and begins the
// first life of the server.
func (s *storm) prepare(ctx context.Context) error {
	if _, err := program.Run(ctx, s.command("migrate"), ""); err != nil {
		return err
	}
	create := s.command("user", "create", administrator, "--role", "admin", "--password-stdin")
	if _, err := program.Run(ctx, create, s.password+"\n"); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	setup := &base{storm: s, who: "setup"}
	h := setup.login(administrator, "")
	if h == nil {
		return errors.New("the administrator cannot sign in")
	}
	s.admin = h.access
	if err := s.cast(setup); err != nil {
		return err
	}
	return s.balance(ctx)
}

// cast makes the actors and their accounts.
func (s *storm) cast(setup *base) error {
	const chains, browsers, racers, stewards, wardens, burglars, clerks = 5, 2, 1, 2, 2, 1, 1
	account := func(who string) (base, string, error) {
		a := setup.manage(http.MethodPost, "/users", map[string]string{"username": who, "password": s.password}, who)
		var made struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(a.body, &made); err != nil || a.status != http.StatusCreated {
			return base{}, "", fmt.Errorf("making the account %s: %v", who, a)
		}
		return base{storm: s, who: who}, made.ID, nil
	}
	for _, role := range []struct {
		name string
		n    int
		make func(b base, id string) actor
	}{
		{"chain", chains, func(b base, id string) actor { return &chain{base: b, user: id, name: b.who} }},
		{"browser", browsers, func(b base, id string) actor { return &chain{base: b, user: id, name: b.who, mode: "cookie"} }},
		{"racer", racers, func(b base, id string) actor { return &racer{base: b, user: id, name: b.who} }},
		{"steward", stewards, func(b base, id string) actor { return &steward{base: b, user: id, name: b.who} }},
		{"warden", wardens, func(b base, id string) actor {
			return &warden{base: b, user: id, name: b.who, status: "active", version: 1}
		}},
		{"burglar", burglars, func(b base, id string) actor { return &burglar{base: b, user: id, name: b.who} }},
		{"clerk", clerks, func(b base, _ string) actor { return &clerk{base: b} }},
		{"operator", 1, func(b base, _ string) actor { return &operator{base: b} }},
	} {
		for i := range role.n {
			b, id, err := account(fmt.Sprintf("%s-%c", role.name, 'a'+i))
			if err != nil {
				return err
			}
			s.actors = append(s.actors, role.make(b, id))
		}
	}
	return nil
}

// blow kills the server again and again while the actors act, and balances the
// books after each time.
func (s *storm) blow(ctx context.Context) error {
	for range s.kills {
		if ctx.Err() != nil {
			return fmt.Errorf("the storm took too long: %w", ctx.Err())
		}
		s.rest()
		s.gate.lift()
		wait(1, 200)
		if s.postgres != nil && s.crashDB && pick(4) == 0 {
			if err := s.takeDatabase(ctx); err != nil {
				return err
			}
		} else if err := s.kill(ctx); err != nil {
			return err
		}
		if err := s.balance(ctx); err != nil || s.verdict.stop() {
			return err
		}
	}
	return nil
}

// rest lets every actor do what it does while nobody is killed.
func (s *storm) rest() {
	var busy sync.WaitGroup
	for _, a := range s.actors {
		busy.Go(a.rest)
	}
	busy.Wait()
}

func wait(from, to int) { time.Sleep(time.Duration(from*1000+pick((to-from)*1000)) * time.Microsecond) }

// kill kills the server while requests are under way, and begins its next life;
// now and then it is killed once more while it starts.
func (s *storm) kill(ctx context.Context) error {
	s.gate.drop()
	s.server.Kill()
	s.ledger.note("the server is killed")
	s.gate.empty()
	s.sum.add("kills")
	s.inspect(s.server.Log())
	if pick(8) == 0 {
		p, err := program.Start(s.command("serve"))
		if err != nil {
			return err
		}
		wait(1, 80)
		p.Kill()
		s.ledger.note("the server is killed while it starts")
		s.inspect(p.Log())
		s.sum.add("kills while starting")
	}
	return s.start(ctx)
}

// start begins a life of the server.
func (s *storm) start(ctx context.Context) error {
	s.grace = []time.Duration{0, 30 * time.Second}[pick(2)]
	began := time.Now()
	s.born = began
	s.ledger.begin("the server starts, with a grace of %v", s.grace)
	var err error
	if s.server, err = program.Start(s.command("serve")); err != nil {
		return err
	}
	s.dropped = 0
	return s.awaitReady(ctx, began)
}

func (s *storm) awaitReady(ctx context.Context, began time.Time) error {
	within, cancel := context.WithTimeout(ctx, max(10*s.ready, 20*time.Second))
	defer cancel()
	if err := s.server.Ready(within, s.caller.url+"/readyz"); err != nil {
		return err
	}
	took := time.Since(began)
	s.starts = append(s.starts, took)
	s.ledger.note("the server is ready after %v", took.Round(time.Millisecond))
	if took > s.ready {
		s.verdict.violated("server", "it was ready after %v, and %v was promised", took.Round(time.Millisecond), s.ready)
	}
	s.caller.renew()
	return nil
}

// takeDatabase ends the database server as a crash would, while the server goes
// on, and brings it back.
func (s *storm) takeDatabase(ctx context.Context) error {
	s.caller.away.Store(true)
	s.ledger.note("the database crashes")
	if err := s.postgres.Crash(ctx); err != nil {
		return err
	}
	wait(1, 300)
	s.gate.drop()
	s.gate.empty()
	s.sum.add("crashes of the database")
	if err := s.postgres.Revive(ctx); err != nil {
		return err
	}
	s.ledger.note("the database is back")
	err := s.awaitReady(ctx, time.Now())
	time.Sleep(100 * time.Millisecond) // log lines may wait for 20 ms
	s.dropped = len(s.server.Log())    // it may complain of the crash
	s.caller.away.Store(false)
	return err
}

// balance balances the books and settles what the actors do not know.
func (s *storm) balance(ctx context.Context) error {
	if s.postgres != nil {
		if err := s.quiet(ctx); err != nil {
			return err
		}
	}
	after := ""
	if s.last != nil {
		after = s.last.newest
	}
	// What was committed while the server was killed is numbered by its next
	// life: at the start, or soon after.
	for end := time.Now().Add(s.follow); ; time.Sleep(20 * time.Millisecond) {
		now, err := read(ctx, s.dsn, after)
		if err != nil {
			return err
		}
		if now.waiting == 0 || time.Now().After(end) {
			s.last = now
			break
		}
	}
	s.books.balance(s.last)
	for _, a := range s.actors {
		a.settle(s.last)
	}
	s.sum.add("times the books were balanced")
	return s.prove(ctx)
}

// quiet waits until PostgreSQL has noticed that the clients of earlier lives are
// gone: until then it may still commit for them.
func (s *storm) quiet(ctx context.Context) error {
	db, err := open(s.dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	for {
		var old int
		if err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'doorward'
			AND backend_start < $1`, s.born).Scan(&old); err != nil || old == 0 {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// calm ends the storm: the server is asked to stop, and the whole log is read
// once more.
func (s *storm) calm(ctx context.Context) error {
	if err := s.server.Stop(35 * time.Second); err != nil {
		s.verdict.violated("server", "asked to stop, it ended with: %v\n%s", err, s.server.Log())
	}
	s.inspect(s.server.Log())
	all, err := read(ctx, s.dsn, "")
	if err != nil {
		return err
	}
	for _, e := range all.events {
		if e.id > s.last.newest {
			s.books.enter(e)
		}
	}
	s.books.audit(all)
	if err := s.prove(ctx); err != nil {
		return err
	}
	if s.books.count["server.stopped server"] != 1 {
		s.verdict.violated("server", "it was asked to stop once, and the log tells of %d times", s.books.count["server.stopped server"])
	}
	return nil
}

// sqlitePath is where a storm on SQLite keeps its database.
func sqlitePath(folder string) string { return filepath.Join(folder, "storm.db") }
