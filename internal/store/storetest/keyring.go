package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/store"
)

// Keyring is the contract of keyring.Store.
func Keyring(t *testing.T, s *store.Store, w *Witness) {
	t.Run("signing keys", func(t *testing.T) { signingKeys(t, s) })
	t.Run("peppers", func(t *testing.T) { peppers(t, s) })
	t.Run("one of many", func(t *testing.T) { oneKeyOfMany(t, s, w) })
	t.Run("resealed", func(t *testing.T) { resealed(t, s, w) })
}

func sealedKey(name string, alg jose.Algorithm, ordinal int64) keyring.Sealed {
	return keyring.Sealed{
		Key:  keyring.Key{ID: name, Purpose: keyring.Access, Alg: alg, Ordinal: ordinal, CreatedAt: instant, ActiveFrom: instant.Add(time.Hour)},
		Blob: []byte("\x00sealed " + name),
	}
}

func createKey(t testing.TB, s *store.Store, k keyring.Sealed) error {
	t.Helper()
	return s.CreateSigningKey(context.WithoutCancel(t.Context()), k, event(audit.SigningKeyCreated, "signing-key:"+k.ID))
}

func keysOf(t testing.TB, s *store.Store) map[string]keyring.Sealed {
	t.Helper()
	list, err := s.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]keyring.Sealed{}
	for _, k := range list {
		keys[k.ID] = k
	}
	return keys
}

func signingKeys(t *testing.T, s *store.Store) {
	first, second := sealedKey("first", jose.ES256, 1), sealedKey("second", jose.ES256, 2)
	seq := head(t, s)
	Want(t, "the first", createKey(t, s, first), 0)
	Want(t, "the second", createKey(t, s, second), 0)
	Want(t, "the same place", createKey(t, s, sealedKey("third", jose.ES256, 2)), fault.Conflict)
	Want(t, "the same id", createKey(t, s, sealedKey("first", jose.ES256, 3)), fault.Conflict)
	Want(t, "the same place with another algorithm", createKey(t, s, sealedKey("third", jose.EdDSA, 2)), fault.Conflict)
	Want(t, "another place", createKey(t, s, sealedKey("other", jose.EdDSA, 7)), 0)
	retire := func(name string, at time.Time) error {
		return s.RetireSigningKey(t.Context(), name, at, event(audit.SigningKeyRetired, "signing-key:"+name))
	}
	Want(t, "retiring", retire("first", instant), 0)
	Want(t, "retiring it again", retire("first", instant.Add(time.Hour)), fault.NotFound)
	Want(t, "retiring an unknown one", retire("nobody", instant), fault.NotFound)
	first.RetiredAt = instant
	if got := keysOf(t, s); len(got) != 3 || !reflect.DeepEqual(got["first"], first) || !reflect.DeepEqual(got["second"], second) {
		t.Errorf("kept is %+v, want %+v and %+v", got, first, second)
	}
	if got := topics(t, s, seq); !slices.Equal(got, []string{"keys first", "keys first", "keys other", "keys second"}) {
		t.Errorf("told was %q", got)
	}
}

func peppers(t *testing.T, s *store.Store) {
	pepper := func(purpose string, version int64) keyring.SealedPepper {
		return keyring.SealedPepper{Purpose: purpose, Version: version, CreatedAt: instant, Blob: []byte(fmt.Sprint(purpose, version))}
	}
	create := func(p keyring.SealedPepper) error {
		return s.CreatePepper(t.Context(), p, event(audit.PepperCreated, "pepper:"+p.Purpose))
	}
	want := []keyring.SealedPepper{pepper("cursor", 1), pepper("cursor", 2), pepper("once", 1)}
	for _, p := range want {
		Want(t, "making one", create(p), 0)
	}
	Want(t, "the same version", create(pepper("cursor", 2)), fault.Conflict)
	got, err := s.Peppers(t.Context())
	slices.SortFunc(got, func(a, b keyring.SealedPepper) int { return bytes.Compare(a.Blob, b.Blob) })
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("kept is %+v, %v; want %+v", got, err, want)
	}
}

// Of many keys for one place one is made, with its event.
func oneKeyOfMany(t *testing.T, s *store.Store, w *Witness) {
	before := w.events(t)
	var made atomic.Int64
	parallel(10, func(i int) {
		err := createKey(t, s, sealedKey(fmt.Sprint("rival", i), jose.RS256, 100))
		if err == nil {
			made.Add(1)
		} else if fault.KindOf(err) != fault.Conflict {
			t.Errorf("a key that was late: %v", err)
		}
	})
	if n := w.events(t) - before; made.Load() != 1 || n != 1 {
		t.Errorf("%d keys were made, with %d events", made.Load(), n)
	}
}

// All blobs are resealed, or none.
func resealed(t *testing.T, s *store.Store, w *Witness) {
	before := w.Dump(t)
	n := len(before["signing_keys"]) + len(before["peppers"])
	broken := errors.New("broken")
	calls := 0
	_, err := s.Reseal(t.Context(), func(_ string, blob []byte) ([]byte, error) {
		if calls++; calls == n {
			return nil, broken
		}
		return append(blob, '!'), nil
	}, event(audit.MasterKeyRotated, "master-key:x"))
	if !errors.Is(err, broken) {
		t.Errorf("resealing with a blob that does not open: %v", err)
	}
	if left := w.Dump(t).Since(before); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
	places := map[string]bool{}
	seq := head(t, s)
	count, err := s.Reseal(t.Context(), func(place string, blob []byte) ([]byte, error) {
		places[place] = true
		return append([]byte(place+" "), blob...), nil
	}, event(audit.MasterKeyRotated, "master-key:x"))
	if err != nil || count != n || len(places) != n {
		t.Errorf("%d blobs at %d places were resealed, %v; want %d", count, len(places), err, n)
	}
	for _, r := range w.Dump(t)["signing_keys"] {
		if want := "signing_keys/" + r["id"] + "/private "; !bytes.HasPrefix(unhex(t, r["sealed"]), []byte(want)) {
			t.Errorf("the key %s was sealed for %q", r["id"], unhex(t, r["sealed"]))
		}
	}
	for _, r := range w.Dump(t)["peppers"] {
		if want := "peppers/" + r["purpose"] + "/" + r["version"] + "/secret "; !bytes.HasPrefix(unhex(t, r["sealed"]), []byte(want)) {
			t.Errorf("the pepper %s was sealed for %q", r["purpose"], unhex(t, r["sealed"]))
		}
	}
	if got := topics(t, s, seq); !slices.Equal(got, []string{"keys master-key"}) {
		t.Errorf("told was %q", got)
	}
}
