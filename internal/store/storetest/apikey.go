package storetest

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
)

// APIKeys is the contract of apikey.Store, and of what other verbs do with keys.
func APIKeys(t *testing.T, s *store.Store, w *Witness) {
	t.Run("as written", func(t *testing.T) { keysAsWritten(t, s) })
	t.Run("pages", func(t *testing.T) { keyPages(t, s) })
	t.Run("refused", func(t *testing.T) { keysRefused(t, s, w) })
	t.Run("once", func(t *testing.T) { keyOnce(t, s, w) })
	t.Run("told", func(t *testing.T) { keysTold(t, s, w) })
	t.Run("at once", func(t *testing.T) { keysAtOnce(t, s, w) })
	t.Run("most", func(t *testing.T) { keysMost(t, s, w) })
	t.Run("the rule", func(t *testing.T) { keyRule(t, s, w) })
	t.Run("deputies", func(t *testing.T) { keyActs(t, s, w) })
	t.Run("owners", func(t *testing.T) { keysOfTheGone(t, s) })
	t.Run("ended", func(t *testing.T) { keysEnded(t, s) })
	t.Run("uses", func(t *testing.T) { keyUses(t, s) })
	t.Run("leaked", func(t *testing.T) { keysLeaked(t, s, w) })
	t.Run("purged", func(t *testing.T) { keysPurged(t, s, w) })
}

func user(id string) principal.Owner    { return principal.Owner{Kind: principal.User, ID: id} }
func service(id string) principal.Owner { return principal.Owner{Kind: principal.Service, ID: id} }

// keyFor returns a key with every field set.
func keyFor(owner principal.Owner, name string, scopes ...string) apikey.Key {
	networks, _ := apikey.ParseNetworks([]string{"10.0.0.0/8", "2001:db8::/32"})
	id := strings.ReplaceAll(fmt.Sprintf("%16s", name), " ", "0")
	return apikey.Key{
		ID: id, Name: "Ann’s “" + name + "”", Owner: owner, Scopes: append([]string{}, scopes...), Networks: networks, Resources: []string{"https://api.example/a", "urn:b"}, Rate: 60,
		SecretAt: instant, ExpiresAt: instant.Add(time.Hour), CreatedBy: "cli:test", CreatedAt: instant, UpdatedAt: instant, Version: 1,
	}
}

// keptKey returns what a random secret is kept as.
func keptKey() secret.Kept { return secret.Kept{MAC: secret.HashOf(secret.Random(32)), Pepper: 7} }

func createAPIKey(ctx context.Context, s *store.Store, by principal.Principal, k apikey.Key) error {
	return s.CreateAPIKey(context.WithoutCancel(ctx), by, k, keptKey(), audit.Now(by, instant, audit.APIKeyCreated, k.Target()))
}

// mintKey makes a key past every rule but the owner's.
func mintKey(t testing.TB, s *store.Store, k apikey.Key) apikey.Key {
	t.Helper()
	Want(t, "making "+k.ID, createAPIKey(t.Context(), s, Operator, k), 0)
	return k
}

func updateKey(t testing.TB, s *store.Store, by principal.Principal, k apikey.Key) error {
	_, err := s.UpdateAPIKey(context.WithoutCancel(t.Context()), by, k, audit.Now(by, instant, audit.APIKeyUpdated, k.Target()))
	return err
}

func rotateKey(t testing.TB, s *store.Store, by principal.Principal, k apikey.Key) error {
	_, err := s.RotateAPIKey(context.WithoutCancel(t.Context()), by, k, keptKey(), audit.Now(by, instant, audit.APIKeyRotated, k.Target()))
	return err
}

func revokeKey(t testing.TB, s *store.Store, by principal.Principal, id string, version int64) error {
	return s.DeleteAPIKey(context.WithoutCancel(t.Context()), by, id, version, audit.Now(by, instant, audit.APIKeyRevoked, "key:"+id))
}

func keysAsWritten(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "key-writer"))
	Want(t, "giving a role", give(t, s, Operator, u.ID, "editor", time.Time{}), 0)
	k, first := keyFor(user(u.ID), "written", "read", "write"), keptKey()
	Want(t, "making", s.CreateAPIKey(t.Context(), Operator, k, first, event(audit.APIKeyCreated, k.Target())), 0)
	is := func(what string, want apikey.Credential) {
		t.Helper()
		if got, err := s.APIKey(t.Context(), k.ID); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s, kept is %+v, %v; want %+v", what, got, err, want)
		}
	}
	is("made", apikey.Credential{Key: k, Present: first})
	k.Name, k.Scopes, k.Networks, k.Resources, k.Rate, k.UpdatedAt = "x", []string{}, nil, []string{}, 0, instant.Add(time.Hour)
	got, err := s.UpdateAPIKey(t.Context(), Operator, k, event(audit.APIKeyUpdated, k.Target()))
	k.Version = 2
	if err != nil || !reflect.DeepEqual(got, k) {
		t.Errorf("UpdateAPIKey = %+v, %v; want %+v", got, err, k)
	}
	k.Networks = []netip.Prefix{}
	is("changed", apikey.Credential{Key: k, Present: first})
	second, third := keptKey(), keptKey()
	k.Previous, k.SecretAt, k.ExpiresAt = instant.Add(time.Hour), instant.Add(time.Minute), time.Time{}
	_, err = s.RotateAPIKey(t.Context(), Operator, k, second, event(audit.APIKeyRotated, k.Target()))
	Want(t, "rotating", err, 0)
	k.Version = 3
	is("rotated", apikey.Credential{Key: k, Present: second, Previous: first})
	k.Previous = time.Time{}
	_, err = s.RotateAPIKey(t.Context(), Operator, k, third, event(audit.APIKeyRotated, k.Target()))
	Want(t, "rotating without overlap", err, 0)
	k.Version = 4
	is("rotated without overlap", apikey.Credential{Key: k, Present: third})
	for _, version := range []int64{1, 5} {
		k.Version = version
		Want(t, "a change of another version", updateKey(t, s, Operator, k), fault.Stale)
		Want(t, "a rotation of another version", rotateKey(t, s, Operator, k), fault.Stale)
		Want(t, "a revocation of another version", revokeKey(t, s, Operator, k.ID, version), fault.Stale)
	}
	Want(t, "revoking", revokeKey(t, s, Operator, k.ID, 4), 0)
	_, err = s.APIKey(t.Context(), k.ID)
	Want(t, "reading what is gone", err, fault.NotFound)
	Want(t, "revoking it again", revokeKey(t, s, Operator, k.ID, 0), fault.NotFound)
}

func keyPages(t *testing.T, s *store.Store) {
	ann, bob := create(t, s, person(t, "key-pages-ann")), create(t, s, person(t, "key-pages-bob"))
	registerClient(t, s, application("key-pages"))
	var want []string
	for i, name := range []string{"pC", "pa", "pB", "p1", "pD"} {
		mintKey(t, s, keyFor(user(ann.ID), name))
		want = append(want, keyFor(user(ann.ID), name).ID)
		mintKey(t, s, keyFor(user(bob.ID), fmt.Sprint("bob", i)))
	}
	mintKey(t, s, keyFor(service("key-pages"), "pclient"))
	slices.Sort(want)
	read := func(owner principal.Owner, size int) (ids []string) {
		for after := ""; ; {
			page, err := s.APIKeys(t.Context(), owner, after, size)
			if err != nil || len(page) > size {
				t.Fatalf("a page of %d after %q: %d, %v", size, after, len(page), err)
			}
			for _, k := range page {
				ids = append(ids, k.ID)
			}
			if len(page) < size {
				return ids
			}
			after = page[len(page)-1].ID
		}
	}
	for size := 1; size <= len(want)+1; size++ {
		if got := slices.Sorted(slices.Values(read(user(ann.ID), size))); !slices.Equal(got, want) {
			t.Errorf("in pages of %d ann has %q", size, got)
		}
	}
	if all := read(principal.Owner{}, 3); len(all) < 2*len(want)+1 {
		t.Errorf("all are %q", all)
	}
	for _, nobody := range []principal.Owner{service(ann.ID), user("key-pages"), user("nobody"), user("\x00"), user("\xff")} {
		if got := read(nobody, 3); len(got) > 0 {
			t.Errorf("%v has %q", nobody, got)
		}
	}
}

// What is refused leaves nothing behind.
func keysRefused(t *testing.T, s *store.Store, w *Witness) {
	before := w.Dump(t)
	for _, owner := range []principal.Owner{user("nobody"), service("nobody"), user(""), user("\x00"), service("\xff"), {Kind: principal.CLI, ID: "nobody"}} {
		Want(t, fmt.Sprintf("a key of %q", owner), createAPIKey(t.Context(), s, Operator, keyFor(owner, "refused")), fault.NotFound)
	}
	for _, bad := range []string{"nobody", "", "\x00", "\xff", "' OR 1=1 --"} {
		_, err := s.APIKey(t.Context(), bad)
		Want(t, "reading", err, fault.NotFound)
		Want(t, "changing", updateKey(t, s, Operator, apikey.Key{ID: bad}), fault.NotFound)
		Want(t, "rotating", rotateKey(t, s, Operator, apikey.Key{ID: bad}), fault.NotFound)
		Want(t, "revoking", revokeKey(t, s, Operator, bad, 0), fault.NotFound)
	}
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
}

func keyOnce(t *testing.T, s *store.Store, w *Witness) {
	by := Operator
	by.Origin.Once = principal.Once{Key: "key-once", Request: "body"}
	k := keyFor(user(create(t, s, person(t, "key-once")).ID), "once")
	Want(t, "the first time", createAPIKey(t.Context(), s, by, k), 0)
	before := w.Dump(t)
	again := k
	again.ID = keyFor(k.Owner, "oncemore").ID
	if f, ok := asFault(createAPIKey(t.Context(), s, by, again)); !ok || f.Kind != fault.Replayed || f.ID != k.Target() {
		t.Errorf("the second time: %v", f)
	}
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("it had the effect %q", done)
	}
}

// keysTold holds that every change of a key is told and written down, once.
func keysTold(t *testing.T, s *store.Store, w *Witness) {
	k := keyFor(user(create(t, s, person(t, "key-told")).ID), "told")
	changed := "api-key " + k.ID
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"making", func() error { return createAPIKey(t.Context(), s, Operator, k) }},
		{"changing", func() error { err := updateKey(t, s, Operator, k); k.Version++; return err }},
		{"rotating", func() error { err := rotateKey(t, s, Operator, k); k.Version++; return err }},
		{"revoking", func() error { return revokeKey(t, s, Operator, k.ID, k.Version) }},
	} {
		seq, events := head(t, s), w.events(t)
		Want(t, step.name, step.do(), 0)
		if got := topics(t, s, seq); !slices.Equal(got, []string{changed}) {
			t.Errorf("%s told %q", step.name, got)
		}
		if n := w.events(t) - events; n != 1 {
			t.Errorf("%s wrote %d events", step.name, n)
		}
	}
}

// Of many who change a version one does, and leaves one event.
func keysAtOnce(t *testing.T, s *store.Store, w *Witness) {
	k := mintKey(t, s, keyFor(user(create(t, s, person(t, "key-contended")).ID), "contended"))
	var done atomic.Int64
	events := w.events(t)
	parallel(9, func(i int) {
		err := []func() error{
			func() error { return updateKey(t, s, Operator, k) }, func() error { return rotateKey(t, s, Operator, k) }, func() error { return revokeKey(t, s, Operator, k.ID, 1) },
		}[i%3]()
		if kind := fault.KindOf(err); kind != fault.Stale && kind != fault.NotFound {
			Want(t, "a change", err, 0)
			done.Add(1)
		}
	})
	if n := w.events(t) - events; done.Load() != 1 || n != 1 {
		t.Errorf("of nine at once %d were done, with %d events", done.Load(), n)
	}
}

// An owner has so many keys and no more, also where they are made at once.
func keysMost(t *testing.T, s *store.Store, w *Witness) {
	owner := user(create(t, s, person(t, "key-many")).ID)
	k := mintKey(t, s, keyFor(owner, "many"))
	const others = `owner_kind, owner, name, scopes, networks, resources, rate, secret, pepper, previous, previous_pepper, previous_until, secret_at, expires_at, ended,
		created_by, created_at, updated_at, used_at, used_from, version`
	w.Exec(t, fmt.Sprintf(`INSERT INTO api_keys (id, %s) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT 'many' || i, %s FROM api_keys, n WHERE id = '%s'`,
		others, apikey.Most-2, others, k.ID))
	var done atomic.Int64
	parallel(5, func(i int) {
		err := createAPIKey(t.Context(), s, Operator, keyFor(owner, fmt.Sprint("last", i)))
		if fault.KindOf(err) != fault.Conflict {
			Want(t, "one of the last", err, 0)
			done.Add(1)
		}
	})
	if done.Load() != 1 {
		t.Errorf("of five at once %d were made", done.Load())
	}
}

// Nobody makes a key that has what its owner has not, or what he himself has not; nor
// one of somebody above him; nor one for longer than he holds what it has.
func keyRule(t *testing.T, s *store.Store, w *Witness) {
	createRole(t, s, newRole("key-a", "a"))
	createRole(t, s, newRole("key-ab", "a", "b"))
	smith, boss, peer := actor(t, s, "key-smith", "key-a"), actor(t, s, "key-boss", "key-ab"), actor(t, s, "key-peer", "key-a")
	hour := actor(t, s, "key-hour")
	Want(t, "giving for a minute", give(t, s, Operator, hour.ID, "key-a", instant.Add(time.Minute)), 0)
	narrow := smith
	narrow.Scopes = []string{"c"}
	above, own := mintKey(t, s, keyFor(user(boss.ID), "above", "a", "b")), mintKey(t, s, keyFor(user(smith.ID), "own", "a"))
	theirs := mintKey(t, s, keyFor(user(peer.ID), "theirs", "a"))
	with := func(k apikey.Key, scopes ...string) apikey.Key { k.Scopes = scopes; return k }
	before := w.Dump(t)
	for what, err := range map[string]error{
		"one's own beyond oneself":                 createAPIKey(t.Context(), s, smith, keyFor(user(smith.ID), "bad", "a", "b")),
		"one's own beyond the token":               createAPIKey(t.Context(), s, narrow, keyFor(user(smith.ID), "bad", "a")),
		"an operator's beyond the owner":           createAPIKey(t.Context(), s, Operator, keyFor(user(smith.ID), "bad", "b")),
		"of who is above":                          createAPIKey(t.Context(), s, smith, keyFor(user(boss.ID), "bad")),
		"of a peer, beyond him":                    createAPIKey(t.Context(), s, smith, keyFor(user(peer.ID), "bad", "b")),
		"of a peer, with what ends before the key": createAPIKey(t.Context(), s, hour, keyFor(user(peer.ID), "bad", "a")),
		"widening one's own":                       updateKey(t, s, smith, with(own, "a", "b")),
		"widening one's own, for an operator":      updateKey(t, s, Operator, with(own, "a", "b")),
		"renaming by a narrow token":               updateKey(t, s, narrow, own),
		"rotating by a narrow token":               rotateKey(t, s, narrow, own),
		"changing that of who is above":            updateKey(t, s, smith, with(above)),
		"rotating that of who is above":            rotateKey(t, s, smith, above),
		"revoking that of who is above":            revokeKey(t, s, smith, above.ID, 0),
		"rotating a peer's, with what ends before": rotateKey(t, s, hour, theirs),
		"moving it to another": func() error {
			k := with(own, "b")
			k.Owner = user(boss.ID)
			return updateKey(t, s, smith, k)
		}(),
	} {
		Want(t, what, err, fault.Denied)
	}
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("what was refused left %q", done)
	}
	Want(t, "one's own", createAPIKey(t.Context(), s, smith, keyFor(user(smith.ID), "mine", "a")), 0)
	Want(t, "one's own, past the end of what one holds", createAPIKey(t.Context(), s, hour, keyFor(user(hour.ID), "brief", "a")), 0)
	Want(t, "a peer's", createAPIKey(t.Context(), s, smith, keyFor(user(peer.ID), "peer", "a")), 0)
	Want(t, "narrowing one's own", updateKey(t, s, smith, with(own)), 0)
	Want(t, "rotating a peer's", rotateKey(t, s, smith, theirs), 0)
	Want(t, "revoking one's own by a narrow token", revokeKey(t, s, narrow, own.ID, 0), 0)
	// What the owner lost does not keep him from rotating what is left.
	k := mintKey(t, s, keyFor(user(boss.ID), "lost", "a", "b"))
	Want(t, "taking", take(t, s, Operator, boss.ID, "key-ab"), 0)
	Want(t, "giving less", give(t, s, Operator, boss.ID, "key-a", time.Time{}), 0)
	Want(t, "rotating", rotateKey(t, s, boss, k), 0)
}

// A key acts with what its scopes and its owner's roles allow, and not once it is gone,
// has expired, or lost the scope.
func keyActs(t *testing.T, s *store.Store, w *Witness) {
	createRole(t, s, newRole("key-deputy", "a", "b", "roles:grant"))
	createRole(t, s, newRole("key-only-a", "a"))
	owner := actor(t, s, "key-owner", "key-deputy")
	friend := create(t, s, person(t, "key-friend"))
	k := mintKey(t, s, keyFor(user(owner.ID), "deputy", "a", "roles:grant"))
	by := principal.Principal{Kind: principal.Key, ID: k.ID, Owner: k.Owner, Scopes: []string{"a", "b", "admin", "roles:grant"}, Needs: "roles:grant"}
	Want(t, "giving what it lacks", give(t, s, by, friend.ID, "key-deputy", time.Time{}), fault.Denied)
	Want(t, "giving what it has", give(t, s, by, friend.ID, "key-only-a", time.Time{}), 0)
	Want(t, "taking it again", take(t, s, by, friend.ID, "key-only-a"), 0)
	refused := func(what string, by principal.Principal) {
		t.Helper()
		before := w.Dump(t)
		Want(t, what, give(t, s, by, friend.ID, "key-only-a", time.Time{}), fault.Denied)
		if done := w.Dump(t).Since(before); len(done) > 0 {
			t.Errorf("%s, it did %q", what, done)
		}
	}
	other := by
	other.ID = keyFor(k.Owner, "nosuch").ID
	refused("a key that is none", other)
	k.Scopes = []string{"a"}
	Want(t, "narrowing it", updateKey(t, s, Operator, k), 0)
	refused("without the scope", by)
	k.Version, k.Scopes = 2, []string{"a", "roles:grant"}
	Want(t, "widening it", updateKey(t, s, Operator, k), 0)
	k.Version, k.ExpiresAt = 3, instant
	Want(t, "letting it end", rotateKey(t, s, Operator, k), 0)
	refused("expired", by)
	k.Version, k.ExpiresAt = 4, instant.Add(time.Hour)
	Want(t, "letting it last", rotateKey(t, s, Operator, k), 0)
	off, err := s.User(t.Context(), owner.ID)
	Want(t, "reading", err, 0)
	off.Status = account.Disabled
	_, err = s.UpdateUser(t.Context(), Operator, off, event(audit.UserDisabled, off.Target()))
	Want(t, "disabling", err, 0)
	refused("of who is disabled", by)
	off.Status, off.Version = account.Active, 2
	_, err = s.UpdateUser(t.Context(), Operator, off, event(audit.UserEnabled, off.Target()))
	Want(t, "enabling", err, 0)
	Want(t, "giving again", give(t, s, by, friend.ID, "key-only-a", time.Time{}), 0)
	Want(t, "revoking", revokeKey(t, s, Operator, k.ID, 0), 0)
	Want(t, "taking, once it is gone", take(t, s, by, friend.ID, "key-only-a"), fault.Denied)
}

// With an owner all his keys go, and are told of.
func keysOfTheGone(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "key-goes"))
	c := registerClient(t, s, application("key-goes"))
	var keys []apikey.Key
	for i, owner := range []principal.Owner{user(u.ID), service(c.ID), user(u.ID)} {
		k := mintKey(t, s, keyFor(owner, fmt.Sprint("goes", i)))
		keys = append(keys, k)
		Want(t, "using it", s.AddAPIKeyUses(t.Context(), []apikey.Use{{Key: k.ID, Day: instant, Times: 1, Last: instant}}), 0)
	}
	seq := head(t, s)
	Want(t, "deleting the user", s.DeleteUser(t.Context(), Operator, account.Deletion{ID: u.ID}, event(audit.UserDeleted, u.Target())), 0)
	Want(t, "deleting the client", deleteClient(t, s, Operator, c.ID, 0), 0)
	told := topics(t, s, seq)
	for _, k := range keys {
		_, err := s.APIKey(t.Context(), k.ID)
		Want(t, "reading "+k.ID, err, fault.NotFound)
		if !slices.Contains(told, "api-key "+k.ID) {
			t.Errorf("that %s is gone is not told: %q", k.ID, told)
		}
		if list, err := s.APIKeyUsage(t.Context(), k.ID, time.Time{}); err != nil || len(list) > 0 {
			t.Errorf("it is kept how %s was used: %v, %v", k.ID, list, err)
		}
	}
}

// A key is ended once, if its time is over.
func keysEnded(t *testing.T, s *store.Store) {
	owner := user(create(t, s, person(t, "key-ends")).ID)
	lives, over, ever := keyFor(owner, "lives"), keyFor(owner, "over"), keyFor(owner, "ever")
	over.ExpiresAt, ever.ExpiresAt = instant, time.Time{}
	for _, k := range []apikey.Key{lives, over, ever} {
		mintKey(t, s, k)
		seq := head(t, s)
		for range 2 {
			Want(t, "ending "+k.ID, s.EndAPIKey(t.Context(), k.ID), 0)
		}
		got, err := s.APIKey(t.Context(), k.ID)
		told := len(changesAfter(t, s, seq))
		if want := k.ID == over.ID; err != nil || got.Key.Over != want || told != map[bool]int{true: 1}[want] || got.Key.Version != 1 {
			t.Errorf("%s is ended: %t, told %d times, %v", k.ID, got.Key.Over, told, err)
		}
	}
	Want(t, "ending what is not there", s.EndAPIKey(t.Context(), "nosuch"), 0)
	over.ExpiresAt = instant.Add(time.Hour)
	Want(t, "letting it last", rotateKey(t, s, Operator, over), 0)
	if got, err := s.APIKey(t.Context(), over.ID); err != nil || got.Key.Over {
		t.Errorf("rotated, it is ended: %t, %v", got.Key.Over, err)
	}
}

// Uses add up, the last one stays the last, and nobody is told.
func keyUses(t *testing.T, s *store.Store) {
	k := mintKey(t, s, keyFor(user(create(t, s, person(t, "key-used")).ID), "used"))
	day := time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC)
	seq := head(t, s)
	for _, list := range [][]apikey.Use{
		{{Key: k.ID, Day: day, Times: 3, Last: instant, From: "10.0.0.1"}, {Key: "nosuch", Day: day, Times: 3, Last: instant, From: "10.0.0.1"}},
		{{Key: k.ID, Day: day.AddDate(0, 0, -1), Times: 2, Last: instant.Add(-24 * time.Hour), From: "10.0.0.2"}},
		{{Key: k.ID, Day: day, Times: 4, Last: instant.Add(-time.Minute), From: "10.0.0.3"}},
	} {
		Want(t, "using", s.AddAPIKeyUses(t.Context(), list), 0)
	}
	got, err := s.APIKey(t.Context(), k.ID)
	if err != nil || !got.Key.UsedAt.Equal(instant) || got.Key.UsedFrom != "10.0.0.1" || got.Key.Version != 1 {
		t.Errorf("it was last used at %v from %s, %v", got.Key.UsedAt, got.Key.UsedFrom, err)
	}
	for since, want := range map[time.Time][]int64{day: {7}, day.AddDate(0, 0, -1): {7, 2}, day.AddDate(0, 0, 1): nil} {
		list, err := s.APIKeyUsage(t.Context(), k.ID, since)
		var times []int64
		for _, u := range list {
			times = append(times, u.Times)
		}
		if err != nil || !slices.Equal(times, want) {
			t.Errorf("since %v it was used %v, %v", since, list, err)
		}
	}
	if list, err := s.APIKeyUsage(t.Context(), "nosuch", time.Time{}); err != nil || len(list) > 0 {
		t.Errorf("a key that is none was used %v, %v", list, err)
	}
	if told := changesAfter(t, s, seq); len(told) > 0 {
		t.Errorf("uses told %v", told)
	}
}

func keysLeaked(t *testing.T, s *store.Store, w *Witness) {
	u := create(t, s, person(t, "key-leaks"))
	k := mintKey(t, s, keyFor(user(u.ID), "leaks"))
	letter := outbox.New(u.ID, outbox.KeyLeaked, instant, map[string]string{"key": k.ID})
	seq, before := head(t, s), w.Dump(t)
	Want(t, "a leak", s.LeakAPIKey(t.Context(), k.ID, event(audit.APIKeyLeaked, k.Target()), letter), 0)
	done := w.Dump(t).Since(before)
	for _, want := range []string{"+ audit_events action=apikey.leaked outcome=success", "+ outbox kind=key.leaked"} {
		if !slices.Contains(done, want) {
			t.Errorf("it did %q, want %s", done, want)
		}
	}
	if told := changesAfter(t, s, seq); len(told) != 1 || told[0].Topic != feed.APIKey {
		t.Errorf("it told %v", told)
	}
	before = w.Dump(t)
	Want(t, "again", s.LeakAPIKey(t.Context(), k.ID, event(audit.APIKeyLeaked, k.Target()), letter), fault.NotFound)
	if done := w.Dump(t).Since(before); len(done) > 0 {
		t.Errorf("again, it did %q", done)
	}
}

// What has had its time goes, and what has not stays.
func keysPurged(t *testing.T, s *store.Store, w *Witness) {
	owner := user(create(t, s, person(t, "key-purged")).ID)
	for name, expires := range map[string]time.Time{
		"gone": instant.Add(-apikey.Keep - time.Hour), "kept": instant.Add(-apikey.Keep + time.Hour), "eternal": {},
	} {
		k := keyFor(owner, name)
		k.ExpiresAt = expires
		mintKey(t, s, k)
		Want(t, "using it", s.AddAPIKeyUses(t.Context(), []apikey.Use{
			{Key: k.ID, Day: instant.Add(-apikey.KeepUses - 24*time.Hour), Times: 1, Last: instant}, {Key: k.ID, Day: instant.Add(-apikey.KeepUses + 24*time.Hour), Times: 1, Last: instant},
		}), 0)
	}
	_, err := s.Purge(t.Context())
	Want(t, "purging", err, 0)
	var left []string
	page, err := s.APIKeys(t.Context(), owner, "", 10)
	Want(t, "reading", err, 0)
	for _, k := range page {
		left = append(left, strings.TrimLeft(k.ID, "0"))
		if list, err := s.APIKeyUsage(t.Context(), k.ID, time.Time{}); err != nil || len(list) != 1 {
			t.Errorf("of %s it is kept %v, %v", k.ID, list, err)
		}
	}
	if slices.Sort(left); !slices.Equal(left, []string{"eternal", "kept"}) {
		t.Errorf("left is %q", left)
	}
	if dump := fmt.Sprint(w.Dump(t)["api_keys"]); strings.Contains(dump, hex.EncodeToString([]byte("dwk_"))) {
		t.Error("a key is kept")
	}
}
