package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// work is one of several jobs that are written in one group.
type work struct {
	name string // of the account, or the target of the event
	do   func() error
	want fault.Kind // where nothing fails; -1 for an error that is no fault
}

// Jobs that share a transaction stand and fall alone, but for its commit: if
// that fails, all who shared it are told. Whatever statement fails, a job that was told of a
// success has had its effect, with its event, and one that was told of a failure
// has not, unless the answer to the commit was lost.
func TestAttackFLT002EveryStatementOfAGroupFails(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		f := &storetest.Faults{}
		s := storetest.Open(t, dsn, store.Options{Wrap: f.Wrap})
		w := storetest.NewWitness(t, dsn)
		g := &group{s, f, w}
		p := keyring.SealedPepper{Purpose: "test", Version: 1, Blob: []byte("sealed")}
		if err := s.CreatePepper(t.Context(), p, audit.Now(storetest.Operator, time.Now(), audit.PepperCreated, "pepper:test/1")); err != nil {
			t.Fatal(err)
		}
		for _, k := range kinds {
			for n, failed := 0, map[string]bool{}; ; n++ {
				fault := storetest.Fault{Err: k.errors[len(failed)%len(k.errors)], Done: k.done}
				jobs := mixed(t, s, fmt.Sprintf("%c%d", k.name[0], n))
				if w.Postgres() {
					jobs = events(t, s, fmt.Sprintf("%c%d", k.name[0], n))
				}
				step, told := g.write(t, jobs, fault, failed)
				g.judge(t, jobs, told, step, fault)
				if t.Failed() {
					t.Fatalf("%s: at %v", k.name, step)
				}
				if step.Kind == "" {
					break
				}
			}
		}
	})
}

// mixed returns events to write and accounts to create, one that is there
// already, one whose caller has gone, and a job that panics.
func mixed(t *testing.T, s *store.Store, name string) []work {
	accounts := account.NewService(s, clock.Wall())
	by := storetest.Operator
	create := func(ctx context.Context, name string) func() error {
		by := by
		return func() error {
			_, err := accounts.Create(ctx, by, account.Draft{Username: name})
			return err
		}
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	list := []work{{name + "-panic", func() error { // first: the others are in a group without it
		_, err := s.Reseal(t.Context(), func(string, []byte) ([]byte, error) { panic("a bug") }, audit.Now(storetest.Operator, time.Now(), audit.MasterKeyRotated, name+"-panic"))
		return err
	}, -1}}
	list = append(list, events(t, s, name)[:2]...)
	for i := range 3 {
		list = append(list, work{fmt.Sprintf("%s-%d", name, i), create(t.Context(), fmt.Sprintf("%s-%d", name, i)), 0})
	}
	list = append(list, work{name + "-gone", create(gone, name+"-gone"), -1})
	by.Origin.Once = principal.Once{Key: "refused", Request: "body"} // what is written before it is refused
	return append(list, work{name + "-holder", create(t.Context(), name+"-holder"), fault.Conflict})
}

func events(t *testing.T, s *store.Store, name string) []work {
	var list []work
	for i := range 5 {
		target := fmt.Sprintf("%s-event-%d", name, i)
		e := audit.Now(storetest.Operator, time.Now(), audit.TokenRefused, target)
		list = append(list, work{target, func() error { return s.Record(t.Context(), e) }, 0})
	}
	return list
}

// group writes jobs in one group.
type group struct {
	*store.Store
	faults *storetest.Faults
	*storetest.Witness
}

// write holds up the commit of one job until all others wait behind it. It
// returns the first step of their group that was not among failed, which failed,
// and what each job was told.
func (g *group) write(t *testing.T, jobs []work, f storetest.Fault, failed map[string]bool) (step storetest.Step, told []error) {
	t.Helper()
	atCommit, release := make(chan struct{}), make(chan struct{})
	seen, commits := map[storetest.Step]int{}, 0
	var mu sync.Mutex
	g.faults.Use(func(s storetest.Step) storetest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if s.Kind == "commit" {
			if commits++; commits == 1 {
				close(atCommit)
				<-release
				return storetest.Fault{}
			}
		}
		seen[s]++
		name := fmt.Sprint(s, seen[s])
		if commits == 0 || step.Kind != "" || failed[name] {
			return storetest.Fault{}
		}
		failed[name], step = true, s
		return f
	})
	told = make([]error, len(jobs))
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := holder(t, g, jobs[0].name); err != nil {
			t.Errorf("the holder: %v", err)
		}
	})
	<-atCommit
	for i, job := range jobs { // in their order, so that the steps are the same each time
		before := g.Waiting()
		var over atomic.Bool
		wait.Go(func() { told[i] = job.do(); over.Store(true) })
		for !over.Load() && g.Waiting() == before { // whoever has gone may not even wait
			time.Sleep(100 * time.Microsecond)
		}
	}
	close(release)
	wait.Wait()
	g.faults.Use(nil)
	return step, told
}

// holder is the job before the group: an account whose name one of the group
// wants too, or an event where accounts are not written in groups.
func holder(t *testing.T, g *group, name string) error {
	prefix, _, _ := strings.Cut(name, "-")
	if g.Postgres() {
		return events(t, g.Store, prefix+"-holder")[0].do()
	}
	_, err := account.NewService(g.Store, clock.Wall()).Create(t.Context(), storetest.Operator, account.Draft{Username: prefix + "-holder"})
	return err
}

func (g *group) judge(t *testing.T, jobs []work, told []error, step storetest.Step, f storetest.Fault) {
	t.Helper()
	d := g.Dump(t)
	d.Check(t)
	if len(d["once"]) > 0 {
		t.Errorf("what was refused left %v", d["once"])
	}
	made := map[string]int{} // effects by name: an account, and an event by its target
	for _, r := range d["users"] {
		made[r["username"]]++
		made["user:"+r["id"]]-- // the event about it
	}
	for _, r := range d["audit_events"] {
		made[r["target"]]++
	}
	for target, n := range made {
		if strings.HasPrefix(target, "user:") && n != 0 {
			t.Errorf("there are %d events too many about %s", n, target)
		}
	}
	lost := f.Done && step.Kind == "commit"
	unsure := 0
	for i, job := range jobs {
		err, effect := told[i], made[job.name] > 0 && job.want != fault.Conflict
		expected := fault.KindOf(err) == max(job.want, 0) && (err == nil) == (job.want == 0)
		switch {
		case step.Kind == "" && !expected:
			t.Errorf("without a fault, %s: %v", job.name, err)
		case err == nil && !effect:
			t.Errorf("%s: a success was told that was none", job.name)
		case err != nil && effect && !lost:
			t.Errorf("%s was done, and a failure was told: %v", job.name, err)
		case err != nil && effect && lost:
			unsure++
		}
	}
	if lost && unsure == 0 {
		t.Error("the answer to a commit was lost, and nobody was told so")
	}
}
