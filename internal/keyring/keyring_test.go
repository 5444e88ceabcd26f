package keyring_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

var options = keyring.Options{Algorithm: jose.EdDSA, PublishAhead: time.Hour, Keep: 10 * time.Minute}

// service returns a keyring over a store whose master key file holds text.
func service(s keyring.Store, file *atomic.Pointer[secret.Text]) *keyring.Service {
	return keyring.NewService(s, clock.Wall(), options, func() (*secret.Sealer, error) { return secret.ParseSealer(*file.Load()) })
}

func file(keys ...secret.Text) *atomic.Pointer[secret.Text] {
	var lines []string
	for _, k := range keys {
		lines = append(lines, k.Reveal())
	}
	text := secret.From(strings.Join(lines, "\n"))
	p := &atomic.Pointer[secret.Text]{}
	p.Store(&text)
	return p
}

func begin(t *testing.T, k *keyring.Service) *keyring.Service {
	t.Helper()
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

func jwks(t *testing.T, k *keyring.Service) string {
	t.Helper()
	v, err := k.View()
	if err != nil {
		t.Fatal(err)
	}
	return string(v.JWKS)
}

// Servers that start at the same moment on an empty database share one key and
// one set of peppers.
func TestStartAtOnce(t *testing.T) {
	const servers = 5
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		master := file(secret.NewMaster())
		storetest.Open(t, dsn, store.Options{})
		all := make([]*keyring.Service, servers)
		for i := range all {
			all[i] = service(storetest.Open(t, dsn, store.Options{}), master)
		}
		var wait sync.WaitGroup
		for _, k := range all {
			wait.Go(func() {
				if err := k.Start(t.Context()); err != nil {
					t.Errorf("starting: %v", err)
				}
			})
		}
		wait.Wait()
		for _, k := range all {
			if err := k.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			keys, states := k.Keys()
			if len(keys) != 1 || states[0] != keyring.Active || jwks(t, k) != jwks(t, all[0]) {
				t.Errorf("there are %d keys, %v", len(keys), states)
			}
			for _, purpose := range []string{keyring.RefreshSuccessor, keyring.Cursor, keyring.Once} {
				mine, err := k.Peppers(purpose).Newest()
				first, errFirst := all[0].Peppers(purpose).Newest()
				if err != nil || errFirst != nil || string(mine.Key) != string(first.Key) || mine.Version != 1 {
					t.Errorf("the peppers for %s differ: %v, %v", purpose, err, errFirst)
				}
			}
		}
	})
}

// What the master key seals opens with that key, in its own row, and nowhere
// else; a server that cannot open it does not start, and one that runs goes on
// with what it has (KM-004).
func TestAttackKM004KeysThatDoNotOpen(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		master := file(secret.NewMaster())
		s := storetest.Open(t, dsn, store.Options{})
		k := begin(t, service(s, master))
		if _, err := k.Rotate(t.Context(), storetest.Operator, 0); err != nil {
			t.Fatal(err)
		}
		was, w := jwks(t, k), storetest.NewWitness(t, dsn)
		refuses := func(what string, with *atomic.Pointer[secret.Text]) {
			t.Helper()
			if err := service(s, with).Start(t.Context()); !errors.Is(err, keyring.ErrSealed) {
				t.Errorf("%s: a server starts, %v", what, err)
			}
			if with == master {
				if err := k.Apply(t.Context(), feed.Change{Topic: feed.Keys}); !errors.Is(err, keyring.ErrSealed) {
					t.Errorf("%s: a server that runs follows: %v", what, err)
				}
			}
			if now := jwks(t, k); now != was {
				t.Errorf("%s: a server that runs publishes %s", what, now)
			}
		}
		refuses("another master key", file(secret.NewMaster()))
		refuses("no master key", file(secret.From("")))
		refuses("half a master key", file(secret.From("AAAA")))
		for what, steps := range map[string][3]string{
			"a key in another's row": {
				`UPDATE signing_keys SET sealed = (SELECT o.sealed FROM signing_keys AS o WHERE o.ordinal = 1 AND o.purpose = 'access') WHERE ordinal = 2`,
				`signing_keys`, `UPDATE signing_keys SET sealed = (SELECT b.sealed FROM kept AS b WHERE b.id = signing_keys.id)`,
			},
			"a key under another's id": {
				`UPDATE signing_keys SET id = 'x' WHERE ordinal = 2`,
				`signing_keys`, `UPDATE signing_keys SET id = (SELECT b.id FROM kept AS b WHERE b.ordinal = 2) WHERE ordinal = 2`,
			},
			"a pepper in another's row": {
				`UPDATE peppers SET sealed = (SELECT o.sealed FROM peppers AS o WHERE o.purpose = 'once') WHERE purpose = 'cursor'`,
				`peppers`, `UPDATE peppers SET sealed = (SELECT b.sealed FROM kept AS b WHERE b.purpose = peppers.purpose)`,
			},
			"a pepper of another version": {
				`UPDATE peppers SET version = 2 WHERE purpose = 'once'`,
				`peppers`, `UPDATE peppers SET version = 1 WHERE purpose = 'once'`,
			},
		} {
			w.Exec(t, `CREATE TABLE kept AS SELECT * FROM `+steps[1])
			w.Exec(t, steps[0])
			refuses(what, master)
			w.Exec(t, steps[2])
			w.Exec(t, `DROP TABLE kept`)
			if err := k.Retry(t.Context()); err != nil || jwks(t, k) != was {
				t.Fatalf("%s: once it is put right: %v", what, err)
			}
		}
	})
}

// The master key is replaced while servers run: one that reads at any moment
// opens all that it reads, and the old key opens nothing in the end.
func TestResealWhileOthersRead(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		old, fresh := secret.NewMaster(), secret.NewMaster()
		here, there := storetest.Open(t, dsn, store.Options{}), storetest.Open(t, dsn, store.Options{})
		master := file(old)
		k := begin(t, service(here, master))
		if _, err := k.Rotate(t.Context(), storetest.Operator, time.Hour); err != nil {
			t.Fatal(err)
		}
		was := jwks(t, k)
		other := begin(t, service(there, master))
		master.Store(file(fresh, old).Load()) // both servers read the file again when they load
		ctx, stop := context.WithCancel(t.Context())
		var reading sync.WaitGroup
		loads := 0
		reading.Go(func() {
			for ctx.Err() == nil {
				if err := other.Load(t.Context()); err != nil || jwks(t, other) != was {
					t.Errorf("after %d loads: %v", loads, err)
					return
				}
				loads++
			}
		})
		w := storetest.NewWitness(t, dsn)
		all := int(w.Number(t, `SELECT (SELECT COUNT(*) FROM signing_keys) + (SELECT COUNT(*) FROM peppers)`))
		for range 5 {
			if n, err := k.Reseal(t.Context(), storetest.Operator); err != nil || n != all {
				t.Errorf("resealing: %d, %v; want all %d keys and peppers", n, err, all)
			}
		}
		stop()
		reading.Wait()
		if loads == 0 {
			t.Error("nobody read")
		}
		if err := begin(t, service(there, file(fresh))).Load(t.Context()); err != nil {
			t.Errorf("with the new key alone: %v", err)
		}
		if err := service(there, file(old)).Start(t.Context()); !errors.Is(err, secret.ErrUnknownMaster) {
			t.Errorf("with the old key alone: %v", err)
		}
		// Without the old key nothing is resealed, and nothing is lost.
		if _, err := service(here, file(secret.NewMaster())).Reseal(t.Context(), storetest.Operator); err == nil {
			t.Error("it was resealed without its key")
		}
		if err := service(there, file(fresh)).Start(t.Context()); err != nil {
			t.Errorf("after that: %v", err)
		}
	})
}
