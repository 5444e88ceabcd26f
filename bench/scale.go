package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/bench/seed"
	"github.com/doorward/doorward/internal/load"
)

// scaledPaths is what -scale measures with few accounts and with many, unless -path says
// otherwise: whatever reads or writes rows of people.
var scaledPaths = []string{"me-spread", "refresh-spread", "userinfo", "introspect", "credentials", "code", "login"}

// scaled is what there is to say of a database with many accounts.
type scaled struct {
	site  *site
	sizes []size
	purge *purge
	fleet []fleet
}

// scaleUp looks at each database with many accounts: what the rows take, what a purge
// costs those who ask meanwhile, and what several servers on it do.
func (b *bench) scaleUp(ctx context.Context) error {
	if !b.scale {
		return nil
	}
	for _, s := range b.sites {
		if s.users != b.growth {
			continue
		}
		found := scaled{site: s}
		b.scaled = append(b.scaled, &found)
		if err := s.wallet.renew(ctx, b.connections); err != nil {
			return err
		}
		var err error
		if found.sizes, err = s.sizes(ctx); err != nil {
			return fmt.Errorf("%v: %w", s, err)
		}
		if b.expiring > 0 {
			if found.purge, err = b.purging(ctx, s); err != nil {
				return fmt.Errorf("%v: the purge: %w", s, err)
			}
		}
		if s.db != postgres {
			continue
		}
		if found.fleet, err = b.fleets(ctx, s); err != nil {
			return fmt.Errorf("%v: several servers: %w", s, err)
		}
	}
	return nil
}

// open opens a site's database beside its server.
func (s *site) open() (*sql.DB, error) {
	if path, ok := strings.CutPrefix(s.dsn, "sqlite:"); ok {
		return sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	}
	return sql.Open("pgx", s.dsn)
}

// size is what the rows of a table take.
type size struct {
	table   string
	rows    int64
	data    int64 // bytes, with what is kept out of line
	indexes int64
}

// sizes measures the tables that grow with people and with what they do. The database has
// just been counted through (ANALYZE) after it was filled; what came since is little.
func (s *site) sizes(ctx context.Context) (list []size, err error) {
	db, err := s.open()
	if err != nil {
		return nil, err
	}
	defer db.Close()
	for _, table := range []string{"users", "grants", "token_families", "sessions", "audit_leaves", "audit_names"} {
		z := size{table: table}
		if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&z.rows); err != nil {
			return nil, err
		}
		if s.db == sqlite {
			err = db.QueryRowContext(ctx, `SELECT SUM(CASE WHEN name = ? THEN pgsize ELSE 0 END), SUM(CASE WHEN name = ? THEN 0 ELSE pgsize END)
				FROM dbstat WHERE aggregate = TRUE AND name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?)`, table, table, table).Scan(&z.data, &z.indexes)
		} else {
			err = db.QueryRowContext(ctx, `SELECT pg_table_size($1::regclass), pg_indexes_size($1::regclass)`, table).Scan(&z.data, &z.indexes)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, z)
	}
	return list, nil
}

// purge is what a purge did, and what those who asked meanwhile saw.
type purge struct {
	rows               int
	took               time.Duration // to a slice
	calm50, calm99     time.Duration
	during50, during99 time.Duration // the medians of its slices
	worst99            time.Duration // of its slices
}

const (
	slice    = 2 * time.Second
	expiring = 200_000 // families, and as many sessions
	pace     = 500     // refreshes a second
)

// purging measures refreshes at a steady pace, slice by slice, before what has expired is
// in the database, and while the server's purge takes it away. Requests are timed from
// when they are due: if the purge makes the server stand still, that is seen.
func (b *bench) purging(ctx context.Context, s *site) (*purge, error) {
	db, err := s.open()
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var calm50, calm99, during50, during99 []time.Duration
	for range 10 {
		r, err := b.paced(ctx, s)
		if err != nil {
			return nil, err
		}
		calm50, calm99 = append(calm50, r.P50), append(calm99, r.P99)
	}
	if err := seed.Expire(ctx, s.dsn, b.expiring); err != nil {
		return nil, err
	}
	p := &purge{rows: 2 * b.expiring}
	b.say("%v: waiting for the purge of %d rows", s, p.rows)
	left := b.expiring
	for began := time.Now(); left > 0; {
		if time.Since(began) > 30*time.Minute {
			return nil, fmt.Errorf("%d families are still there after %v", left, time.Since(began))
		}
		r, err := b.paced(ctx, s)
		if err != nil {
			return nil, err
		}
		before := left
		if err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM token_families WHERE user_id = 'nobody' AND ended_at = 0`).Scan(&left); err != nil {
			return nil, err
		}
		if left < before {
			during50, during99 = append(during50, r.P50), append(during99, r.P99)
			p.took += r.For
		}
	}
	self := func(d time.Duration) time.Duration { return d }
	p.calm50, p.calm99, p.during50, p.during99 = middle(calm50, self), middle(calm99, self), middle(during50, self), middle(during99, self)
	p.worst99 = slices.Max(during99)
	return p, nil
}

// paced refreshes for a slice.
func (b *bench) paced(ctx context.Context, s *site) (load.Result, error) {
	r, err := load.Run(ctx, load.Options{
		Addr: s.addr, Clients: refreshing(all)(b, s), For: b.slice, Every: time.Duration(b.connections) * time.Second / pace,
	})
	if err == nil && r.Errors > 0 {
		err = fmt.Errorf("%w: %w", errWrong, r.First)
	}
	return r, err
}

// scaleTables are what -scale adds to the report.
func (b *bench) scaleTables() string {
	var t strings.Builder
	t.WriteString("\n### Few and many\n\n" + b.manyTable())
	sizes := table{{"table", "database", "rows", "data, bytes a row", "indexes, bytes a row", "both, MiB"}}
	purges := table{{"database", "rows purged", "in", "p50 ms without", "p99 ms without", "p50 ms meanwhile", "p99 ms meanwhile", "worst p99 of 2 s, ms"}}
	fleets := table{{"servers on one database", "path", "req/s", "p99 ms, of the slowest", "CPU-ms of the servers", "PostgreSQL CPU-ms", "errors"}}
	for _, found := range b.scaled {
		name := fmt.Sprintf("%s, %s", found.site.db, plural(found.site.users, "account"))
		for _, z := range found.sizes {
			per := func(bytes int64) string { return strconv.FormatInt(bytes/max(1, z.rows), 10) }
			sizes = append(sizes, []string{"`" + z.table + "`", name, grouped(int(z.rows)), per(z.data), per(z.indexes), mib(z.data + z.indexes)})
		}
		if p := found.purge; p != nil {
			purges = append(purges, []string{
				name, grouped(p.rows), p.took.Round(time.Second).String(), ms(p.calm50, 2), ms(p.calm99, 2), ms(p.during50, 2), ms(p.during99, 2), ms(p.worst99, 2),
			})
		}
		for _, f := range found.fleet {
			fleets = append(fleets, []string{strconv.Itoa(f.servers), "`" + f.path + "`", rate(f.Rate), ms(f.P99, 2), ms(f.CPU, 3), ms(f.PG, 3), strconv.Itoa(f.Errors)})
		}
	}
	t.WriteString("\n### What a row takes\n\n" + sizes.String() + "\n### The purge\n\n" + purges.String())
	if len(fleets) > 1 {
		t.WriteString("\n### Several servers\n\n" + fleets.String())
	}
	return t.String()
}

// manyTable has the paths with few accounts and with many beside one another.
func (b *bench) manyTable() string {
	t := table{{"", "database", "accounts", "req/s", "p50 ms", "p99 ms", "CPU-ms", "PostgreSQL CPU-ms", "PostgreSQL's log, bytes", "peak MiB"}}
	for _, r := range b.rows {
		if r.subject.isFloor {
			continue
		}
		m := median(r.rounds)
		wal := ""
		if m.WAL > 0 {
			wal = grouped(int(m.WAL))
		}
		t = append(t, []string{
			"`" + r.subject.name + "`", r.site.db, grouped(r.site.users), rate(m.Rate), ms(m.P50, 2), ms(m.P99, 2), ms(m.CPU, 3), ms(m.PG, 3), wal, mib(m.Peak),
		})
	}
	return t.String()
}

// logOf is where a replica writes to.
func (s *site) logOf(n int) string { return filepath.Join(s.dir, fmt.Sprintf("server-%d.log", n)) }
