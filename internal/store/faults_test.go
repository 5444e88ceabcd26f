package store_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// scene is one thing to be done, with all that it needs prepared.
type scene struct {
	do func() error
	// again is done after a fault, when nothing fails any more: the first time
	// had its effect or not.
	again func(t *testing.T, happened bool)
}

// deed is a verb whose every statement is made to fail.
type deed struct {
	name  string
	grace time.Duration
	set   func(t *testing.T, v *storetest.Services, name string) scene
}

var deeds = []deed{
	{"sign in", 0, signingIn},
	{"sign in with a wrong password", 0, beingRefused},
	{"sign in a browser", 0, signingInABrowser},
	{"sign out", 0, signingOut},
	{"sign out a browser", 0, signingOutABrowser},
	{"change the password", 0, changingPassword},
	{"change the password before an audience", 0, changingPasswordHeard},
	{"create a user", 0, creatingUser},
	{"disable a user", 0, disabling},
	{"unlock a user", 0, unlocking},
	{"give a role", 0, givingRole},
	{"replace a role", 0, replacingRole},
	{"delete a role", 0, deletingRole},
	{"apply a policy", 0, applyingPolicy},
}

var rotations = []deed{
	{"refresh", 0, refreshing},
	{"refresh with a grace", 10 * time.Second, refreshingWithGrace},
	{"reuse", 0, reusing},
	{"refresh a browser", 0, refreshingABrowser},
}

// kinds are the ways in which a statement fails. Where there are several errors
// each step has one of them.
var kinds = []struct {
	name   string
	done   bool
	errors []error
}{
	{"failed", false, []error{errors.New("injected"), context.DeadlineExceeded}},
	{"bad connection", false, []error{driver.ErrBadConn}},
	{"lost answer", true, []error{io.ErrUnexpectedEOF}},
	{"serialization failure", false, []error{&pgconn.PgError{Code: "40001"}}},
}

// After a fault at any statement there is the old state or the new one, whole,
// with its events; and nobody is told of a success that is none (FLT-002).
func TestAttackFLT002EveryStatementFails(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) { everyFault(t, dsn, false, deeds) })
}

// The same holds for a rotation, in each of its forms: the token that was not
// spent is good, and the one that was is not (RT-012).
func TestAttackRT012CrashWithinRotation(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) { everyFault(t, dsn, false, rotations) })
	t.Run("postgres-portable", func(t *testing.T) { everyFault(t, storetest.Postgres(t), true, rotations) })
}

func everyFault(t *testing.T, dsn string, portable bool, deeds []deed) {
	t.Parallel()
	f := &storetest.Faults{}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := clock.Func(func() time.Time { return now })
	s := storetest.Open(t, dsn, store.Options{Clock: c, Wrap: f.Wrap, Portable: portable})
	p := prover{faults: f, Witness: storetest.NewWitness(t, dsn)}
	for _, d := range deeds {
		t.Run(d.name, func(t *testing.T) {
			v := storetest.NewServices(t, s, storetest.Parts{Clock: c, Family: grant.Lifetimes{Absolute: 24 * time.Hour, Idle: time.Hour, Grace: d.grace}})
			n := 0
			p.next = func() scene {
				n++
				return d.set(t, v, fmt.Sprintf("person%d", n))
			}
			p.prove(t)
		})
	}
}

// prover holds one deed against its faults.
type prover struct {
	*storetest.Witness
	faults *storetest.Faults
	next   func() scene // prepares the deed anew

	scene  scene
	before storetest.Dump // as the scene was prepared
	whole  []string       // what is different once it was done
}

// prove does the deed again and again. Each time the first step fails that has
// not failed before, until none is left; then the next kind of fault begins.
func (p *prover) prove(t *testing.T) {
	p.prepare(t)
	if err := p.scene.do(); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	p.whole = p.Dump(t).Since(p.before)
	p.prepare(t)
	for _, k := range kinds {
		for failed := map[string]bool{}; ; {
			f := storetest.Fault{Err: k.errors[len(failed)%len(k.errors)], Done: k.done}
			step, happened := p.try(t, f, failed)
			if happened {
				p.scene.again(t, true)
				p.prepare(t)
			}
			if t.Failed() {
				t.Fatalf("%s: at %v", k.name, step)
			}
			if step.Kind == "" {
				break
			}
		}
	}
	p.scene.again(t, false)
}

func (p *prover) prepare(t *testing.T) {
	p.Exec(t, "BEGIN; DELETE FROM "+strings.Join([]string{
		"audit_packs", "changes", "once", "grants", "token_families", "sessions", "users", "clients", "groups", "members", "resources", "organizations", "organization_members", "outbox",
		"codes", "consents", "authorization_requests", "pushed_requests", "session_clients", "ssf_streams", "ssf_subjects", "ssf_events",
	}, "; DELETE FROM ")+"; COMMIT")
	p.scene = p.next()
	p.before = p.Dump(t)
}

// try does the deed with a fault at the first step that is not among failed, and
// adds it. It returns that step and whether the deed was done.
func (p *prover) try(t *testing.T, f storetest.Fault, failed map[string]bool) (step storetest.Step, happened bool) {
	seen := map[storetest.Step]int{}
	committed, commits := false, false
	p.faults.Use(func(s storetest.Step) storetest.Fault {
		seen[s]++
		name := fmt.Sprint(s, seen[s])
		// A statement that is a transaction of its own commits as it ends. What
		// follows the first commit is the change feed, which can wait.
		ends := s.Kind == "commit" || strings.HasSuffix(s.Text, "SELECT n FROM made")
		if step.Kind == "" && !failed[name] {
			failed[name] = true
			step, commits = s, ends && !committed
			return f
		}
		committed = committed || ends
		return storetest.Fault{}
	})
	err := p.scene.do()
	p.faults.Use(nil)
	after := p.Dump(t)
	after.Check(t)
	differs := after.Since(p.before)
	happened = slices.Equal(differs, p.whole)
	switch {
	case !happened && len(differs) > 0:
		t.Errorf("something between was left:\n\t%s\nwant nothing or:\n\t%s", strings.Join(differs, "\n\t"), strings.Join(p.whole, "\n\t"))
	case err == nil && !happened:
		t.Error("a success was told that was none")
	case err == nil && f.Done && commits:
		t.Error("a success was told that nobody could know")
	case err != nil && happened && (!f.Done || !commits):
		t.Errorf("it was done, and a failure was told: %v", err)
	case err != nil && step.Kind == "":
		t.Errorf("without a fault: %v", err)
	}
	if _, serialization := errors.AsType[*pgconn.PgError](f.Err); serialization && p.Postgres() && (step.Tx || commits) && err != nil {
		t.Errorf("it was not tried again: %v", err)
	}
	if _, told := errors.AsType[*oauth.Error](err); told || fault.KindOf(err) != 0 && fault.KindOf(err) != fault.Unavailable {
		t.Errorf("it was told as the caller's mistake: %v", err)
	}
	return step, happened
}
