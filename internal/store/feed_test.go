package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestChanges(t *testing.T) { storetest.Portable(t, storetest.Changes) }

// Two servers read while many write on both: each sees every change once, in the
// order of the numbers, without a gap, and those of the policy in the order of
// its versions.
func TestChangesAreMissedByNobody(t *testing.T) {
	const writers, each = 20, 5
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		both := [2]*store.Store{storetest.Open(t, dsn, store.Options{}), storetest.Open(t, dsn, store.Options{})}
		services := storetest.NewServices(t, both[0], storetest.Parts{})
		users := make([]string, writers*each)
		for n := range users {
			users[n] = services.User(t, fmt.Sprint("wanted", n)).ID
		}
		start, err := both[0].NumberChanges(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var writing, reading sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for n := range each {
					write(t, both[w%2], users[w*each+n], w*each+n)
				}
			})
		}
		done := make(chan struct{})
		for _, s := range both {
			reading.Go(func() { follow(t, s, start, done, writers*each) })
		}
		writing.Wait()
		close(done)
		reading.Wait()
		storetest.NewWitness(t, dsn).Dump(t).Check(t)
	})
}

// write makes a change of the keyring, or of the policy at every other n.
func write(t *testing.T, s *store.Store, user string, n int) {
	by, now := storetest.Operator, time.Now()
	var err error
	if n%2 == 0 {
		p := keyring.SealedPepper{Purpose: fmt.Sprint("p", n), Version: 1, Blob: []byte("x")}
		err = s.CreatePepper(t.Context(), p, audit.Now(by, now, audit.PepperCreated, "pepper"))
	} else {
		g := rbac.Grant{ID: fmt.Sprint("grant", n), Principal: user, Role: "viewer"}
		err = s.CreateGrant(t.Context(), by, g, audit.Now(by, now, audit.GrantCreated, "user:"+user))
	}
	if err != nil {
		t.Errorf("write %d: %v", n, err)
	}
}

// follow reads changes until the writers are done and there is nothing more.
func follow(t *testing.T, s *store.Store, seq int64, done <-chan struct{}, want int) {
	var policy int64
	seen := map[string]int{}
	for finished := false; ; {
		last, err := s.NumberChanges(t.Context())
		if err != nil {
			t.Errorf("numbering: %v", err)
			return
		}
		page, err := s.ChangesAfter(t.Context(), seq, 7)
		if err != nil {
			t.Errorf("reading: %v", err)
			return
		}
		for _, c := range page {
			if c.Seq != seq+1 {
				t.Errorf("after number %d came %d", seq, c.Seq)
			}
			seq = c.Seq
			seen[fmt.Sprint(c.Topic, c.Key, c.Version)]++
			if c.Topic == feed.Grants || c.Topic == feed.GrantLost {
				if c.Version <= policy {
					t.Errorf("after version %d of the policy came %d", policy, c.Version)
				}
				policy = c.Version
			}
		}
		if finished && seq == last {
			break
		}
		select {
		case <-done:
			finished = true
		default:
		}
	}
	for change, times := range seen {
		if times != 1 {
			t.Errorf("%s was read %d times", change, times)
		}
	}
	if len(seen) < want {
		t.Errorf("%d changes were read, want %d at least", len(seen), want)
	}
}

// What nobody needs any more goes, in batches, and nothing else.
func TestPurge(t *testing.T) {
	const many = 1200
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		s := storetest.Open(t, dsn, store.Options{Clock: clock.Func(func() time.Time { return now })})
		w := storetest.NewWitness(t, dsn)
		if _, err := s.NumberChanges(t.Context()); err != nil {
			t.Fatal(err)
		}
		bytes := "BLOB"
		if w.Postgres() {
			bytes = "BYTEA"
		}
		at := func(d time.Duration) int64 { return now.Add(d).UnixMicro() }
		fill := func(table, columns, values string, n int) {
			w.Exec(t, fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO %s (%s) SELECT %s FROM n`, n, table, columns, values))
		}
		family := func(name string, expires, grace int64, n int) {
			fill("token_families", `id, handle, user_id, client_id, scope, audience, amr, auth_time, secret, generation, grace_salt, grace_pepper, grace_until, created_at, used_at, idle_until, expires_at, ended_at, ended_why`,
				fmt.Sprintf(`'%[1]s' || i, CAST('%[1]s' || i AS %[2]s), 'u', 'c', '', '', '', 0, CAST('s' AS %[2]s), 1, CAST('salt' AS %[2]s), 1, %[3]d, 0, 0, 0, %[4]d, 0, ''`,
					name, bytes, grace, expires), n)
		}
		w.Exec(t, "DELETE FROM changes")
		fill("changes", "id, seq, topic, subject, version, at, until", fmt.Sprintf(`'old' || i, i, 'keys', 'k', 0, 0, %d`, at(-48*time.Hour)), many)
		fill("changes", "id, seq, topic, subject, version, at, until", fmt.Sprintf(`'needed' || i, 10000 + i, 'keys', 'k', 0, 0, %d`, at(time.Second)), 3)
		fill("changes", "id, seq, topic, subject, version, at, until", fmt.Sprintf(`'unread' || i, NULL, 'keys', 'k', 0, 0, %d`, at(-48*time.Hour)), 2)
		fill("once", "key, request, target, expires_at", fmt.Sprintf(`'old' || i, 'r', 't', %d`, at(-48*time.Hour)), many)
		fill("once", "key, request, target, expires_at", fmt.Sprintf(`'live' || i, 'r', 't', %d`, at(time.Hour)), 4)
		family("old", at(-48*time.Hour), at(-50*time.Hour), many)
		family("live", at(time.Hour), at(time.Second), 5)
		family("past-grace", at(time.Hour), at(-time.Second), 6)
		count := func(from string) int64 { return w.Number(t, "SELECT COUNT(*) FROM "+from) }
		batches := 0
		for more := true; more; batches++ {
			before := count("changes") + count("once") + count("token_families")
			var err error
			if more, err = s.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			if gone := before - count("changes") - count("once") - count("token_families"); gone > 3*200 {
				t.Errorf("one call deleted %d rows", gone)
			}
		}
		if batches < 6 || batches > 7 {
			t.Errorf("it took %d calls", batches)
		}
		for from, want := range map[string]int64{
			"changes WHERE id LIKE 'needed%'": 3, "changes WHERE id LIKE 'unread%'": 2, "changes": 5, "once": 4, "token_families": 11,
			"token_families WHERE grace_salt IS NOT NULL": 5,
		} {
			if n := count(from); n != want {
				t.Errorf("%s: %d are left, want %d", from, n, want)
			}
		}
	})
}

// Behind a batch the purge rests for longer than that took, so that whoever writes beside
// it is held up for no more than a part of the time.
func TestPurgeRests(t *testing.T) {
	t.Parallel()
	const slow, batches = 10 * time.Millisecond, 3
	var faults storetest.Faults
	dsn := storetest.SQLite(t)
	s := storetest.Open(t, dsn, store.Options{Wrap: faults.Wrap})
	storetest.NewWitness(t, dsn).Exec(t, fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO once (key, request, target, expires_at) SELECT 'old' || i, 'r', 't', 0 FROM n`, batches*200))
	var took atomic.Int64
	faults.Use(func(step storetest.Step) storetest.Fault {
		if step.Kind == "exec" && strings.HasPrefix(step.Text, "DELETE FROM once") {
			time.Sleep(slow)
			took.Add(1)
		}
		return storetest.Fault{}
	})
	begun := time.Now()
	for more := true; more; {
		var err error
		if more, err = s.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if whole := time.Since(begun); took.Load() != batches+1 || whole < batches*4*slow {
		t.Errorf("%d batches of %v each took %v", took.Load(), slow, whole)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Purge(stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("a purge that is stopped: %v", err)
	}
}
