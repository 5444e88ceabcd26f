package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/bench/proc"
	"github.com/doorward/doorward/internal/testpg"
)

// bench is one run of the benchmark.
type bench struct {
	options
	started time.Time
	out     io.Writer
	dir     string // where everything is written; gone at the end
	root    string // the module's folder
	bare    string // the binary without the audit log
	load    string // the machine's, before
	pg      *testpg.Server
	pgDB    *sql.DB
	pgPID   int
	pgName  string // its version

	sites    []*site
	rivals   []*rival // with -peers
	scaled   []*scaled
	children []*program
	rows     []*row
	failed   []string // rows with wrong answers
}

// row is a subject on a site, or with a provider.
type row struct {
	subject  *subject
	site     *site
	provider *provider // instead of a site, with -peers
	floor    *row
	work     work
	rounds   []measure
}

func (r *row) String() string {
	if r.provider != nil {
		return fmt.Sprintf("%s, %s", r.subject.name, r.provider.name)
	}
	if r.subject.each || r.subject.grows {
		return fmt.Sprintf("%s, %v", r.subject.name, r.site)
	}
	return r.subject.name
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: %4.0f s  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "doorward-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	defer func() { err = errors.Join(err, b.stop()) }()
	b.load = loadAverage()
	if err := b.setUp(ctx); err != nil {
		return err
	}
	plan := b.plan
	if b.peers {
		plan = b.planPeers
	}
	if err := plan(ctx); err != nil {
		return err
	}
	for n := range b.runs {
		if err := b.round(ctx, n); err != nil {
			return err
		}
	}
	if err := b.scaleUp(ctx); err != nil {
		return err
	}
	if err := b.report(ctx); err != nil {
		return err
	}
	if len(b.failed) > 0 {
		return fmt.Errorf("wrong answers: %s", strings.Join(b.failed, "; "))
	}
	return nil
}

// setUp builds the binary and starts a Doorward on every database.
func (b *bench) setUp(ctx context.Context) error {
	if err := b.build(ctx); err != nil {
		return err
	}
	if slices.Contains(b.databases, postgres) {
		b.say("starting PostgreSQL")
		var err error
		if b.pg, err = testpg.Start(ctx, testpg.Options{Durable: true}); err != nil {
			return err
		}
		if b.pgDB, err = sql.Open("pgx", b.pg.DSN("postgres")); err != nil {
			return err
		}
		if b.pgPID, b.pgName, err = postmaster(ctx, b.pgDB); err != nil {
			return err
		}
	}
	sizes := []int{b.users}
	if b.growth > 0 {
		sizes = append(sizes, b.growth)
	}
	for _, users := range sizes {
		for _, db := range b.databases {
			s, err := b.newSite(ctx, db, users, false)
			if err != nil {
				return err
			}
			b.sites = append(b.sites, s)
		}
	}
	if b.audit {
		for _, db := range b.databases {
			s, err := b.newSite(ctx, db, b.users, true)
			if err != nil {
				return err
			}
			b.sites = append(b.sites, s)
		}
	}
	if err := b.setUpPeers(ctx); err != nil {
		return err
	}
	for _, p := range b.processes() {
		b.say("%s: starting the server", p.name)
		if err := p.starting(ctx, b.starts); err != nil {
			return err
		}
	}
	return b.idling(ctx)
}

// build builds the binary that is measured: static, and without what only a
// debugger reads.
func (b *bench) build(ctx context.Context) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	b.root = strings.TrimSpace(string(root))
	if b.binary != "" {
		b.binary, err = filepath.Abs(b.binary)
		return err
	}
	b.binary = filepath.Join(b.dir, "doorward")
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", b.binary}
	if b.profile != "" {
		overlay, err := b.overlay()
		if err != nil {
			return err
		}
		args = append(args, "-overlay="+overlay)
	}
	b.say("building")
	if err := b.compile(ctx, args...); err != nil || !b.audit {
		return err
	}
	b.bare = b.binary + "-noaudit"
	return b.compile(ctx, append(args, "-tags=noaudit", "-o", b.bare)...)
}

func (b *bench) compile(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/doorward")...)
	cmd.Dir, cmd.Env = b.root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// idling looks at the servers when they have done nothing for a while.
func (b *bench) idling(ctx context.Context) error {
	select {
	case <-time.After(b.idle):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, p := range b.processes() {
		var err error
		if p.idle, err = proc.Resident(p.cmd.Process.Pid); err != nil {
			return err
		}
	}
	return nil
}

// processes are all servers: every Doorward, and after them the peers.
func (b *bench) processes() (list []*process) {
	for _, s := range b.sites {
		list = append(list, &s.process)
	}
	for _, p := range b.rivals {
		list = append(list, &p.process)
	}
	return list
}

// plan makes the rows of this run, and prepares them.
func (b *bench) plan(ctx context.Context) error {
	wanted, err := b.wanted()
	if err != nil {
		return err
	}
	for i := range subjects {
		s := &subjects[i]
		if !wanted[s.name] {
			continue
		}
		for n, site := range b.sites {
			if site.bare && s.name != audited {
				continue
			}
			if s.grows || b.scale && !s.isFloor || site.users == b.users && (s.each || n == 0) {
				b.rows = append(b.rows, &row{subject: s, site: site, floor: b.floorOf(s, site)})
			}
		}
	}
	for _, r := range b.rows {
		if r.work, err = r.subject.prepare(ctx, b, r.site); err != nil {
			return fmt.Errorf("%v: %w", r, err)
		}
	}
	return nil
}

// wanted are the subjects that the command line asks for, with their floors.
func (b *bench) wanted() (map[string]bool, error) {
	wanted, known := map[string]bool{}, []string{}
	for _, s := range subjects {
		known = append(known, s.name)
		// What is there for the sake of growth is left out where nothing grows.
		if slices.Contains(b.paths, s.name) || len(b.paths) == 0 && (s.each || !s.grows || b.growth > 0) {
			wanted[s.name] = true
			if s.floor != "" && b.profile == "" {
				wanted[s.floor] = true
			}
		}
	}
	for _, name := range b.paths {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("-path %q is none of %s", name, strings.Join(known, ", "))
		}
	}
	return wanted, nil
}

// floorOf returns the row that a path is held against: on the same database,
// where that matters.
func (b *bench) floorOf(s *subject, site *site) (found *row) {
	for _, r := range b.rows {
		if r.subject.name == s.floor && (!r.subject.each || r.site.db == site.db) {
			found = r
		}
	}
	return found
}

// round measures every row once.
func (b *bench) round(ctx context.Context, n int) error {
	for _, s := range b.sites { // an access token lives for a quarter of an hour
		if err := s.wallet.renew(ctx, b.connections); err != nil {
			return fmt.Errorf("%v: %w", s, err)
		}
	}
	for _, r := range b.rows {
		if r.work.ready != nil {
			if err := r.work.ready(ctx); err != nil {
				return fmt.Errorf("%v: %w", r, err)
			}
		}
		m, err := b.once(ctx, r)
		if errors.Is(err, errWrong) {
			b.failed = append(b.failed, fmt.Sprintf("%v: %v", r, err))
		} else if err != nil {
			return fmt.Errorf("%v: %w", r, err)
		}
		r.rounds = append(r.rounds, m)
		if err := b.keepProfile(ctx, r); err != nil {
			return err
		}
		b.say("run %d: %v: %.0f/s, p99 %s ms, CPU %s ms", n+1, r, m.Rate, ms(m.P99, 2), ms(m.CPU, 3))
	}
	return nil
}

func (b *bench) startChild(ctx context.Context, o childOptions) (*program, error) {
	p, err := startChild(ctx, o)
	if err == nil {
		b.children = append(b.children, p)
	}
	return p, err
}

func (b *bench) stop() error {
	var errs []error
	for _, p := range b.children {
		errs = append(errs, p.stop())
	}
	for _, p := range b.processes() {
		errs = append(errs, p.stop())
	}
	if b.pgDB != nil {
		errs = append(errs, b.pgDB.Close())
	}
	if b.pg != nil {
		errs = append(errs, b.pg.Stop())
	}
	return errors.Join(errs...)
}
