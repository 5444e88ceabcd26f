package issue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// dying counts attempts until it is down.
type dying struct {
	limit.Store
	left int // how many buckets it still writes
}

func (d *dying) SwapBucket(ctx context.Context, k limit.Key, was int64, b limit.Bucket) (bool, error) {
	if d.left--; d.left < 0 {
		return false, errors.New("connection refused")
	}
	return d.Store.SwapBucket(ctx, k, was, b)
}

// PushMark fails where no bucket may be written any more.
func (d *dying) PushMark(ctx context.Context, name limit.Name, p limit.Push) (time.Time, error) {
	if d.left <= 0 {
		return time.Time{}, errors.New("connection refused")
	}
	return d.Store.PushMark(ctx, name, p)
}

// A guess that was judged is in the log, though what counts attempts went down
// meanwhile; one that could not be counted beforehand is not judged.
func TestGuessIsRecordedWithoutCounters(t *testing.T) {
	for _, c := range []struct {
		name   string
		left   int
		events int
	}{
		{"down before the password was judged", 0, 0},
		{"down after", 1, 1},
		{"down for the address", 2, 1},
	} {
		dsn := storetest.SQLite(t)
		counts := &dying{storetest.Open(t, storetest.SQLite(t), store.Options{}), c.left}
		v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{Counts: counts})
		v.User(t, "ann", "viewer")
		by := storetest.Browser
		by.Origin.Network = "198.51.100.7"
		_, err := v.Issuer.SignIn(t.Context(), by, issue.Password{Name: "ann", Password: secret.From("wrong"), Client: client.Builtin})
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: %v", c.name, err)
		}
		events := 0
		for _, r := range storetest.NewWitness(t, dsn).Dump(t)["audit_events"] {
			if r["action"] == string(audit.LoginFailed) {
				events++
			}
		}
		if events != c.events {
			t.Errorf("%s: %d events", c.name, events)
		}
	}
}

// leaving is a counter whose caller hangs up once an arrival is looked at.
type leaving struct {
	limit.Store
	marks int // how often it was asked for marks
	when  int
	leave func()
}

func (l *leaving) Marks(ctx context.Context, names ...limit.Name) ([]time.Time, error) {
	if l.marks++; l.marks == l.when {
		l.leave()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return l.Store.Marks(ctx, names...)
}

// Who has the right password and hangs up before he is told is signed in, and its
// owner is told of the new place: or he would learn that it is right, unseen.
func TestAttackHangingUpAfterTheRightPassword(t *testing.T) {
	dsn := storetest.SQLite(t)
	counts := &leaving{Store: storetest.Open(t, storetest.SQLite(t), store.Options{}), leave: func() {}}
	v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{Counts: counts})
	v.User(t, "ann", "viewer")
	p := issue.Password{Name: "ann", Password: secret.From(storetest.Password), Client: client.Builtin}
	if _, err := v.Issuer.SignIn(t.Context(), storetest.Browser, p); err != nil {
		t.Fatal(err)
	}
	usual := counts.marks // times that a sign-in asks
	thief := storetest.Browser
	thief.Origin.UserAgent = "thief"
	w := storetest.NewWitness(t, dsn)
	ctx, leave := context.WithCancel(t.Context())
	counts.marks, counts.when, counts.leave = 0, usual, leave
	if _, err := v.Issuer.SignIn(ctx, thief, p); err != nil || ctx.Err() == nil {
		t.Errorf("%v; he hung up: %v", err, ctx.Err())
	}
	for range 2 { // he comes back; the second time the place is known
		if _, err := v.Issuer.SignIn(t.Context(), thief, p); err != nil {
			t.Fatal(err)
		}
		if letters := letters(t, w, outbox.DeviceNew); letters != 1 {
			t.Errorf("%d letters tell of the new device", letters)
		}
	}
}

func letters(t *testing.T, w *storetest.Witness, kind outbox.Kind) (n int) {
	for _, r := range w.Dump(t)["outbox"] {
		if r["kind"] == string(kind) {
			n++
		}
	}
	return n
}

// A scope that nobody can have is refused before the password is looked at; where
// only the right password leads to a refusal, its owner is told of the new place,
// and nothing that was counted is forgotten.
func TestAttackScopeIsNoOracle(t *testing.T) {
	dsn := storetest.SQLite(t)
	v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
	v.User(t, "ann", "viewer")
	ask := func(password, agent string, scope ...string) error {
		by := storetest.Browser
		by.Origin.UserAgent = agent
		_, err := v.Issuer.SignIn(t.Context(), by, issue.Password{Name: "ann", Password: secret.From(password), Client: client.Builtin, Scope: scope})
		return err
	}
	if err := ask(storetest.Password, "hers"); err != nil {
		t.Fatal(err)
	}
	w := storetest.NewWitness(t, dsn)
	before := len(w.Dump(t)["audit_events"])
	right, wrong := ask(storetest.Password, "thief", "no:such"), ask("wrong", "thief", "no:such")
	if right == nil || fmt.Sprint(right) != fmt.Sprint(wrong) || len(w.Dump(t)["audit_events"]) != before || letters(t, w, outbox.DeviceNew) != 0 {
		t.Errorf("a scope that nobody can have: %v with the right password, %v with a wrong one", right, wrong)
	}
	for range 2 {
		if err := ask(storetest.Password, "thief", "write"); fault.KindOf(err) == fault.Unauthenticated || err == nil {
			t.Errorf("a scope that she does not hold: %v", err)
		}
		if n := letters(t, w, outbox.DeviceNew); n != 1 {
			t.Errorf("%d letters tell of the new device", n)
		}
	}
}

// slow is the hash of storetest.Password by bcrypt of cost 12.
const slow = "$2a$12$K5YZF4gsaJGIQkT8K.Hbtub3Q4mQSxdm0zAtF9deSjrJrVMrM9zXO"

// Who leaves while his password is hashed has made a guess: hashing is not free.
func TestAttackLeavingIsAGuess(t *testing.T) {
	dsn := storetest.SQLite(t)
	v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
	u, err := v.Accounts.Create(t.Context(), storetest.Operator, account.Draft{Username: "ann", Hash: slow})
	if err != nil {
		t.Fatal(err)
	}
	w := storetest.NewWitness(t, dsn)
	left := 0
	for n := 0; left < 2; n++ {
		if n == 50 {
			t.Fatal("leaving leaves no trace")
		}
		ctx, leave := context.WithTimeout(t.Context(), 30*time.Millisecond)
		_, err := v.Issuer.SignIn(ctx, storetest.Browser, issue.Password{Name: "ann", Password: secret.From(storetest.Password), Client: client.Builtin})
		leave()
		if err == nil {
			t.Fatal("it was not slow")
		}
		left = 0
		for _, r := range w.Dump(t)["audit_events"] {
			if r["action"] == string(audit.LoginFailed) && r["target"] == u.Target() && strings.Contains(unhex(t, r["data"]), `"reason":"left"`) {
				left++
			}
		}
	}
}

// The owner is told what is locked: his own device, on which somebody guesses, or
// all others.
func TestOwnerIsToldWhatIsLocked(t *testing.T) {
	dsn := storetest.SQLite(t)
	v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
	v.User(t, "ann", "viewer")
	p := issue.Password{Name: "ann", Password: secret.From(storetest.Password), Client: client.Builtin}
	tokens, err := v.Issuer.SignIn(t.Context(), storetest.Browser, p)
	if err != nil {
		t.Fatal(err)
	}
	w := storetest.NewWitness(t, dsn)
	p.Password = secret.From("wrong")
	for device, kind := range map[string]outbox.Kind{"": outbox.AccountLocked, tokens.Device.Reveal(): outbox.DeviceLocked} {
		by := storetest.Browser
		by.Origin.Device = device
		for fault.KindOf(err) != fault.Limited {
			_, err = v.Issuer.SignIn(t.Context(), by, p)
		}
		err = nil
		if n := letters(t, w, kind); n != 1 {
			t.Errorf("%d letters of the kind %s", n, kind)
		}
	}
}
