package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/doorward/doorward/bench/proc"
	"github.com/doorward/doorward/bench/seed"
	"github.com/doorward/doorward/internal/secret"
)

// The databases.
const (
	sqlite   = "sqlite"
	postgres = "postgres"
)

// site is a Doorward with its database, as an operator would run it.
type site struct {
	db     string
	users  int
	dsn    string
	dir    string
	binary string
	bare   bool // the build without the audit log
	addr   string
	env    []string
	pgPID  int // of the PostgreSQL server; 0: there is none
	process

	root   string // the administrator's access token, once there is one
	wallet *wallet
}

func (s *site) url() string { return "http://" + s.addr }

func (s *site) String() string {
	if s.bare {
		return s.db + " without the audit log"
	}
	return fmt.Sprintf("%s with %d users", s.db, s.users)
}

// newSite sets up a Doorward and fills its database. It is not running yet.
func (b *bench) newSite(ctx context.Context, db string, users int, bare bool) (*site, error) {
	s := &site{db: db, users: users, binary: b.binary, bare: bare, dir: filepath.Join(b.dir, fmt.Sprintf("%s-%d-%t", db, users, bare))}
	if bare {
		s.binary = b.bare
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if s.addr, err = freeAddr(); err != nil {
		return nil, err
	}
	if s.dsn, err = b.newDatabase(ctx, db, fmt.Sprintf("doorward%d%t", users, bare)); err != nil {
		return nil, err
	}
	if db == postgres {
		s.pgPID = b.pgPID
	}
	s.env = append(environment(),
		"DOORWARD_ISSUER="+s.url(), "DOORWARD_LISTEN="+s.addr, "DOORWARD_DATABASE="+s.dsn, "DOORWARD_MASTER_KEY="+secret.NewMaster().Reveal(),
		"DOORWARD_LOG_LEVEL=info", "DOORWARD_LOG_FORMAT=json", "DOORWARD_ADMIN_PASSWORD="+seed.Password)
	if b.profile != "" {
		s.env = append(s.env, profilerEnv+"="+b.profile+":"+s.profilePath())
	}
	if out, err := s.command("init").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("doorward init: %w\n%s", err, out)
	}
	b.say("%v: writing the accounts", s)
	o := seed.Options{DSN: s.dsn, Users: users, Active: b.active, Audience: s.url()}
	if users == b.growth {
		o.Asleep, o.Sessions = b.asleep, b.signedIn
	}
	began := time.Now()
	active, err := seed.Seed(ctx, o)
	b.say("%v: written in %v", s, time.Since(began).Round(time.Second))
	if err != nil {
		return nil, err
	}
	s.wallet = newWallet(s.addr, active)
	s.process = process{name: s.String(), make: func() *exec.Cmd { return s.command("serve") }, log: filepath.Join(s.dir, "server.log"), ready: s.url() + "/readyz"}
	return s, nil
}

// environment is ours without what would configure a Doorward.
func environment() []string {
	var list []string
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "DOORWARD_") {
			list = append(list, line)
		}
	}
	return list
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// newDatabase returns the address of an empty database.
func (b *bench) newDatabase(ctx context.Context, db, name string) (string, error) {
	if db == sqlite {
		return "sqlite:" + filepath.Join(b.dir, name+".db"), nil
	}
	return b.pg.NewDatabase(ctx, name)
}

func (s *site) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.binary, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// postmaster returns the process of the PostgreSQL server behind a database:
// the parent of the one that serves a connection.
func postmaster(ctx context.Context, db *sql.DB) (pid int, version string, err error) {
	var backend int
	if err := db.QueryRowContext(ctx, `SELECT pg_backend_pid(), current_setting('server_version')`).Scan(&backend, &version); err != nil {
		return 0, "", err
	}
	pid, err = proc.Parent(backend)
	return pid, version, err
}
