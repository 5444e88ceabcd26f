package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/doorward/doorward/bench/proc"
	"github.com/doorward/doorward/internal/load"
)

// measure is what one run gave.
type measure struct {
	Rate   float64       // requests, or rounds of a loop, in a second
	P50    time.Duration // 0 for a loop
	P95    time.Duration
	P99    time.Duration
	Errors int
	CPU    time.Duration // of the process for a request
	PG     time.Duration // of PostgreSQL for a request
	All    time.Duration // of both and of the load for a request
	WAL    int64         // what PostgreSQL wrote to its log for a request, bytes
	Peak   int64         // the most memory of the process during the run, bytes
	Others float64       // the part of the machine's processor time that other programs took
	Note   string
}

// usage is how much processor time was used until a moment.
type usage struct {
	at               time.Time
	own, pg, machine time.Duration
	wal              int64         // bytes
	all              time.Duration // of all that belongs to the benchmark
}

func (w work) usage() (u usage, err error) {
	u.at = time.Now()
	if u.own, err = proc.CPU(w.pid); err != nil {
		return u, err
	}
	if w.pgPID != 0 {
		if u.pg, err = proc.FamilyCPU(w.pgPID); err != nil {
			return u, err
		}
	}
	if w.wal != nil {
		if u.wal, err = w.wal(); err != nil {
			return u, err
		}
	}
	load, err := proc.CPU(os.Getpid())
	if err != nil {
		return u, err
	}
	u.all = u.own + u.pg
	if w.pid != os.Getpid() {
		u.all += load
	}
	u.machine, err = proc.MachineCPU()
	return u, err
}

// used notes what was used between two moments, in which n requests were
// answered.
func (m *measure) used(from, to usage, n float64) {
	if n > 0 {
		each := func(d time.Duration) time.Duration { return time.Duration(float64(d) / n) }
		m.CPU, m.PG, m.All = each(to.own-from.own), each(to.pg-from.pg), each(to.all-from.all)
		m.WAL = int64(float64(to.wal-from.wal) / n)
	}
	whole := to.at.Sub(from.at) * time.Duration(runtime.NumCPU())
	m.Others = max(0, float64(to.machine-from.machine-(to.all-from.all))/float64(whole))
}

// once does one run of a row.
func (b *bench) once(ctx context.Context, r *row) (measure, error) {
	w := r.work
	if w.loop != nil {
		return b.loop(ctx, w)
	}
	if err := proc.ForgetPeak(w.pid); err != nil {
		return measure{}, err
	}
	var used []usage
	var failed error
	mark := func() {
		u, err := w.usage()
		used, failed = append(used, u), errors.Join(failed, err, b.profileMark(r, len(used)))
	}
	background := func() error { return nil }
	if w.beside != nil {
		background = b.background(ctx, w)
	}
	result, err := load.Run(ctx, load.Options{Addr: w.addr, Clients: w.clients(), Warm: w.warm, For: b.counted, Every: w.every, At: mark})
	if err = errors.Join(err, failed, background()); err != nil {
		return measure{}, err
	}
	memory, err := proc.Resident(w.pid)
	m := measure{Rate: result.Rate(), P50: result.P50, P95: result.P95, P99: result.P99, Errors: result.Errors, Peak: memory.Peak}
	m.used(used[0], used[1], float64(result.Requests))
	if w.note != nil {
		m.Note = w.note()
	}
	if result.Errors > 0 {
		err = fmt.Errorf("%w: %w", errWrong, result.First)
	}
	return m, err
}

// errWrong is a measure with wrong answers in it: the others go on, and the
// benchmark has failed.
var errWrong = errors.New("wrong answers")

// background keeps the server busy, and returns what waits for its end.
func (b *bench) background(ctx context.Context, w work) func() error {
	done := make(chan error, 1)
	go func() {
		r, err := load.Run(ctx, load.Options{Addr: w.addr, Clients: w.beside(), For: w.warm + b.counted})
		done <- errors.Join(err, r.First)
	}()
	return func() error { return <-done }
}

// loop runs a floor in this process.
func (b *bench) loop(ctx context.Context, w work) (m measure, err error) {
	w.pid = os.Getpid()
	from, err := w.usage()
	if err != nil {
		return m, err
	}
	if m.Rate, err = w.loop(ctx); err != nil {
		return m, err
	}
	to, err := w.usage()
	m.used(from, to, m.Rate*to.at.Sub(from.at).Seconds())
	return m, err
}

// median returns the measure whose every field is the median of the runs.
func median(list []measure) measure {
	if len(list) == 0 {
		return measure{}
	}
	m := measure{
		Rate: middle(list, func(m measure) float64 { return m.Rate }),
		P50:  middle(list, func(m measure) time.Duration { return m.P50 }),
		P95:  middle(list, func(m measure) time.Duration { return m.P95 }),
		P99:  middle(list, func(m measure) time.Duration { return m.P99 }),
		CPU:  middle(list, func(m measure) time.Duration { return m.CPU }),
		PG:   middle(list, func(m measure) time.Duration { return m.PG }),
		All:  middle(list, func(m measure) time.Duration { return m.All }),
		WAL:  middle(list, func(m measure) int64 { return m.WAL }),
		Peak: middle(list, func(m measure) int64 { return m.Peak }),
		Note: list[len(list)-1].Note,
	}
	for _, one := range list {
		m.Errors += one.Errors
	}
	return m
}

// middle returns the median of a field; of an even number, the mean of the two
// in the middle.
func middle[M any, V int64 | float64 | time.Duration](list []M, field func(M) V) V {
	values := make([]V, len(list))
	for i, m := range list {
		values[i] = field(m)
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// ratio returns the median of a field's ratios to the floor's, run by run: what
// disturbed one run disturbed the floor's of the same minute too.
func (r *row) ratio(field func(measure) float64) float64 {
	if r.floor == nil { // nothing is held against floors while it is profiled
		return 0
	}
	var list []float64
	for i := range min(len(r.rounds), len(r.floor.rounds)) {
		if f := field(r.floor.rounds[i]); f > 0 {
			list = append(list, field(r.rounds[i])/f)
		}
	}
	if len(list) == 0 {
		return 0
	}
	return middle(list, func(v float64) float64 { return v })
}

func rateOf(m measure) float64 { return m.Rate }
func cpuOf(m measure) float64  { return float64(m.CPU) }

// verdict holds a row against its target: what is asked, and whether it is so.
func (r *row) verdict() (asked []string, met bool) {
	t, m := r.subject.target, median(r.rounds)
	met = true
	ask := func(holds bool, format string, args ...any) {
		asked, met = append(asked, fmt.Sprintf(format, args...)), met && holds
	}
	if t.rate > 0 {
		ask(r.ratio(rateOf) >= t.rate, "≥ %.0f %% of the floor", 100*t.rate)
	}
	if t.times > 0 {
		ask(r.ratio(cpuOf) <= t.times, "CPU ≤ %.1f × the floor's", t.times)
	}
	if t.cpu > 0 {
		ask(m.CPU <= t.cpu, "CPU ≤ %s ms", ms(t.cpu, 2))
	}
	if t.p99 > 0 {
		ask(m.P99 <= t.p99, "p99 ≤ %s ms", ms(t.p99, 0))
	}
	return asked, met
}
