package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"

	"github.com/doorward/doorward/bench/proc"
	"github.com/doorward/doorward/internal/load"
)

// fleet is what several servers on one database did together.
type fleet struct {
	servers int
	path    string
	measure // P99 is that of the slowest server
}

// fleets measures one, two and four servers on the database of a site, each asked over
// its share of the connections.
func (b *bench) fleets(ctx context.Context, s *site) (list []fleet, err error) {
	servers := []*process{&s.process}
	addrs := []string{s.addr}
	defer func() {
		for _, p := range servers[1:] {
			err = errors.Join(err, p.stop())
		}
	}()
	service, err := s.service(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range []int{1, 2, 4} {
		for len(servers) < n {
			p, addr, err := b.replica(ctx, s, len(servers))
			if err != nil {
				return nil, err
			}
			servers, addrs = append(servers, p), append(addrs, addr)
		}
		for _, path := range []struct {
			name    string
			clients func() []load.Client
		}{
			{"refresh-spread", func() []load.Client { return refreshing(all)(b, s) }},
			{"credentials", func() []load.Client {
				return answering(times(b.connections, load.Post(nil, s.addr, tokenPath, "grant_type=client_credentials", "Authorization", service.basic)), `"access_token":"`)
			}},
		} {
			m, err := b.together(ctx, s, servers, addrs, path.clients())
			if err != nil {
				return nil, fmt.Errorf("%d servers, %s: %w", n, path.name, err)
			}
			b.say("%d servers: %s: %.0f/s, p99 %s ms, CPU %s ms, PostgreSQL %s ms", n, path.name, m.Rate, ms(m.P99, 2), ms(m.CPU, 3), ms(m.PG, 3))
			list = append(list, fleet{n, path.name, m})
		}
	}
	return list, nil
}

// replica starts another server on the database of a site.
func (b *bench) replica(ctx context.Context, s *site, n int) (*process, string, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	p := &process{name: fmt.Sprintf("server %d", n), log: s.logOf(n), ready: "http://" + addr + "/readyz", make: func() *exec.Cmd {
		cmd := s.command("serve")
		cmd.Env = append(cmd.Env, "DOORWARD_LISTEN="+addr)
		return cmd
	}}
	return p, addr, p.starting(ctx, 1)
}

// together has clients ask several servers at once: the one with number i asks server i
// modulo their number.
func (b *bench) together(ctx context.Context, s *site, servers []*process, addrs []string, clients []load.Client) (measure, error) {
	shares := make([][]load.Client, len(servers))
	for i, c := range clients {
		shares[i%len(shares)] = append(shares[i%len(shares)], c)
	}
	used := func() (own, pg time.Duration, err error) {
		for _, p := range servers {
			cpu, failed := proc.CPU(p.cmd.Process.Pid)
			own, err = own+cpu, errors.Join(err, failed)
		}
		if s.pgPID != 0 {
			var failed error
			pg, failed = proc.FamilyCPU(s.pgPID)
			err = errors.Join(err, failed)
		}
		return own, pg, err
	}
	results, failed := make([]load.Result, len(servers)), make([]error, len(servers))
	run := func(long time.Duration) error {
		var running sync.WaitGroup
		for i := range servers {
			running.Go(func() {
				results[i], failed[i] = load.Run(ctx, load.Options{Addr: addrs[i], Clients: shares[i], For: long})
			})
		}
		running.Wait()
		return errors.Join(failed...)
	}
	if err := run(b.warm); err != nil {
		return measure{}, err
	}
	own, pg, errFrom := used()
	err := run(b.counted)
	ownTo, pgTo, errTo := used()
	if err := errors.Join(errFrom, err, errTo); err != nil {
		return measure{}, err
	}
	var m measure
	requests := 0
	for _, r := range results {
		m.Rate, m.P99, m.Errors = m.Rate+r.Rate(), max(m.P99, r.P99), m.Errors+r.Errors
		if requests += r.Requests; r.Errors > 0 {
			return m, fmt.Errorf("%w: %w", errWrong, r.First)
		}
	}
	each := func(d time.Duration) time.Duration { return d / time.Duration(max(1, requests)) }
	m.CPU, m.PG = each(ownTo-own), each(pgTo-pg)
	return m, nil
}
