package store_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestCertificates(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		if _, err := s.Certificate(ctx, "a.example"); fault.KindOf(err) != fault.NotFound {
			t.Fatalf("of nothing: %v", err)
		}
		for _, text := range []string{"one", "two\x00\xff"} { // the later stays
			if err := s.KeepCertificate(ctx, "a.example", []byte(text)); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Certificate(ctx, "a.example"); err != nil || string(got) != text {
				t.Errorf("%q, %v; want %q", got, err, text)
			}
		}
		if err := s.KeepCertificate(ctx, "acme_account+key", []byte("key")); err != nil {
			t.Fatal(err)
		}
		// They are resealed with all that the master key seals.
		places := map[string]string{}
		n, err := s.Reseal(ctx, func(place string, blob []byte) ([]byte, error) {
			places[place] = string(blob)
			return bytes.ToUpper(blob), nil
		}, audit.Now(storetest.Operator, time.Unix(1, 0), audit.MasterKeyRotated, "master-key:x"))
		if err != nil || n != len(places) || places["certificates/acme_account+key/sealed"] != "key" || places["certificates/a.example/sealed"] != "two\x00\xff" {
			t.Errorf("%d, %v, %q", n, err, places)
		}
		if got, err := s.Certificate(ctx, "acme_account+key"); err != nil || string(got) != "KEY" {
			t.Errorf("after resealing: %q, %v", got, err)
		}
		for range 2 {
			if err := s.DropCertificate(ctx, "a.example"); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Certificate(ctx, "a.example"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("after dropping: %v", err)
		}
	})
}
