// Command siege holds ten thousand idle TLS connections and a slowloris of two
// thousand against the real program, and looks at what becomes of everybody else's
// requests, and of the memory.
//
//	go run ./bench/siege
//
// The load comes from this machine too and shares its cores. Linux alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/doorward/doorward/bench/proc"
	"github.com/doorward/doorward/internal/storm/program"
)

func main() {
	o := options{}
	flag.IntVar(&o.idle, "idle", 10_000, "how many connections say nothing")
	flag.IntVar(&o.slow, "slow", 2000, "how many connections speak slowly")
	flag.DurationVar(&o.phase, "for", 6*time.Second, "how long good requests are measured before, during and after")
	flag.DurationVar(&o.slowFor, "slow-for", 16*time.Second, "how long the slowloris lasts")
	flag.DurationVar(&o.settle, "settle", 3*time.Minute, "how long the memory may take to come back")
	flag.IntVar(&o.rate, "rate", 100, "good requests a second")
	flag.Parse()
	if err := run(context.Background(), o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "siege:", err)
		os.Exit(1)
	}
}

type options struct {
	idle, slow, rate       int
	phase, slowFor, settle time.Duration
}

func run(ctx context.Context, o options, out io.Writer) error {
	if err := files(o.idle + o.slow + 200); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "doorward-siege-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	binary, err := program.Build(ctx, folder, "cmd/doorward")
	if err != nil {
		return err
	}
	s, err := newSite(ctx, binary, folder)
	if err != nil {
		return err
	}
	defer s.process.Kill()
	_, err = s.siege(ctx, o, out)
	return err
}

// files lets this process and those it starts have that many files open.
func files(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < uint64(n) {
		return fmt.Errorf("this machine allows %d open files to a process, and %d are needed", limit.Max, n)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// look is one look at the server.
type look struct {
	when     string
	p50, p99 time.Duration
	requests int
	fresh    time.Duration // p99 of requests that come by a connection of their own
	resident int64
	cpu      float64 // cores
}

func (s *site) siege(ctx context.Context, o options, out io.Writer) (*slow, error) {
	var looks []look
	take := func(when string) error {
		l, err := s.look(ctx, when, o)
		looks = append(looks, l)
		fmt.Fprintf(out, "%-28s %5d requests  p50 %7s  p99 %7s  fresh p99 %7s  %6.1f MiB  %4.2f cores\n", l.when, l.requests,
			l.p50.Round(10*time.Microsecond), l.p99.Round(10*time.Microsecond), l.fresh.Round(10*time.Microsecond), float64(l.resident)/(1<<20), l.cpu)
		return err
	}
	if err := take("warming up"); err != nil {
		return nil, err
	}
	if err := take("before"); err != nil {
		return nil, err
	}
	began := time.Now()
	conns, err := s.idle(ctx, o.idle)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "%d idle connections opened in %s\n", len(conns), time.Since(began).Round(100*time.Millisecond))
	if err := take("with idle connections"); err != nil {
		return nil, err
	}
	if n := open(conns); n != len(conns) {
		return nil, fmt.Errorf("of %d idle connections %d are open", len(conns), n)
	}
	cores, err := s.busy(min(o.phase, 3*time.Second))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "idle, with them all: %.3f cores\n", cores)
	under, end := context.WithTimeout(ctx, o.slowFor)
	defer end()
	var r *slow
	var attack sync.WaitGroup
	attack.Go(func() { r = s.slowloris(under, o.slow, time.Second) })
	rest(ctx, o.slowFor/3)
	err = take("with idle and slow ones")
	attack.Wait()
	fmt.Fprintf(out, "slow connections: %d opened, %d closed by the server, the last after %s, %d refused\n", r.opened.Load(), r.closed.Load(), time.Duration(r.longest.Load()).Round(100*time.Millisecond), r.failed.Load())
	for _, c := range conns {
		c.Close()
	}
	if err != nil {
		return nil, err
	}
	if err := take("after"); err != nil {
		return nil, err
	}
	if o.settle == 0 {
		return r, nil
	}
	took, err := s.settle(looks[1].resident, o.settle)
	fmt.Fprintf(out, "memory: within 10 %% of before after %s, %v\n", took.Round(time.Second), err)
	return r, errors.Join(err, take("at the end"))
}

// look measures good requests for a while.
func (s *site) look(ctx context.Context, when string, o options) (look, error) {
	cpu, err := proc.CPU(s.process.PID())
	if err != nil {
		return look{}, err
	}
	began := time.Now()
	var kept, fresh []time.Duration
	var failed error
	var mu sync.Mutex
	var requests sync.WaitGroup
	ask := func(c *http.Client, due time.Time, list *[]time.Duration) {
		err := s.ask(ctx, c)
		took := time.Since(due)
		mu.Lock()
		defer mu.Unlock()
		*list = append(*list, took)
		failed = errors.Join(failed, err)
	}
	const clients = 8
	for n := range clients {
		requests.Go(func() {
			c := s.client()
			defer c.CloseIdleConnections()
			if err := s.ask(ctx, c); err != nil { // the connection is not measured here
				ask(c, time.Now(), &kept)
			}
			every := time.Second * clients / time.Duration(o.rate)
			for due := time.Now().Add(every * time.Duration(n) / clients); time.Since(began) < o.phase; due = due.Add(every) {
				rest(ctx, time.Until(due))
				ask(c, due, &kept)
			}
		})
	}
	requests.Go(func() {
		for due := time.Now(); time.Since(began) < o.phase; due = due.Add(100 * time.Millisecond) {
			rest(ctx, time.Until(due))
			c := s.client()
			ask(c, due, &fresh)
			c.CloseIdleConnections()
		}
	})
	requests.Wait()
	after, err := proc.CPU(s.process.PID())
	if err != nil {
		return look{}, err
	}
	m, err := proc.Resident(s.process.PID())
	l := look{when: when, requests: len(kept) + len(fresh), p50: percentile(kept, 50), p99: percentile(kept, 99), fresh: percentile(fresh, 99), resident: m.Now, cpu: (after - cpu).Seconds() / time.Since(began).Seconds()}
	return l, errors.Join(err, failed)
}

func (s *site) ask(ctx context.Context, c *http.Client) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.address+"/users/me", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	answer, err := c.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s, %w", answer.Status, err)
	}
	return nil
}

// busy returns how many cores the server uses where nobody asks anything.
func (s *site) busy(long time.Duration) (cores float64, err error) {
	before, err := proc.CPU(s.process.PID())
	if err != nil {
		return 0, err
	}
	time.Sleep(long)
	after, err := proc.CPU(s.process.PID())
	return (after - before).Seconds() / long.Seconds(), err
}

// settle waits until the memory is what it was.
func (s *site) settle(before int64, within time.Duration) (time.Duration, error) {
	began := time.Now()
	for {
		m, err := proc.Resident(s.process.PID())
		if err != nil || m.Now <= before+before/10 {
			return time.Since(began), err
		}
		if time.Since(began) > within {
			return within, fmt.Errorf("it is still %d MiB, and was %d MiB", m.Now>>20, before>>20)
		}
		time.Sleep(time.Second)
	}
}

func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)*p/100, len(all)-1)]
}
