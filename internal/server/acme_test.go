package server_test

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/crypto/acme/autocert"

	"github.com/doorward/doorward/internal/servertest"
)

// The account's key and the certificates' keys are sealed, each for its own place:
// whoever reads the database reads nothing, and whoever writes to it moves nothing.
func TestCertificatesAreSealed(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		s.Send(t, "GET", "/readyz", "", "") // it has started
		ctx, cache := t.Context(), s.Core.CertificateCache()
		if _, err := cache.Get(ctx, "auth.example.com"); !errors.Is(err, autocert.ErrCacheMiss) {
			t.Errorf("of nothing: %v", err)
		}
		canary := servertest.Canary(t)
		if err := cache.Put(ctx, "auth.example.com", []byte(canary)); err != nil {
			t.Fatal(err)
		}
		blob, err := s.Core.Store.Certificate(ctx, "auth.example.com")
		if err != nil || bytes.Contains(blob, []byte(canary)) {
			t.Errorf("in the database: %q, %v", blob, err)
		}
		if got, err := cache.Get(ctx, "auth.example.com"); err != nil || string(got) != canary {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := s.Core.Keys.Reseal(ctx, servertest.Operator); err != nil {
			t.Fatal(err)
		}
		again, err := s.Core.Store.Certificate(ctx, "auth.example.com")
		if err != nil || bytes.Equal(blob, again) {
			t.Errorf("it was not sealed anew: %v", err)
		}
		if got, err := cache.Get(ctx, "auth.example.com"); err != nil || string(got) != canary {
			t.Errorf("sealed anew: %q, %v", got, err)
		}
		// Moved, or damaged: an error, and not a miss, which would make a new account.
		for name, blob := range map[string][]byte{"acme_account+key": again, "evil.example": append(again[:len(again)-1:len(again)-1], again[len(again)-1]^1), "empty.example": nil} {
			if err := s.Core.Store.KeepCertificate(ctx, name, append([]byte{}, blob...)); err != nil {
				t.Fatal(err)
			}
			if got, err := cache.Get(ctx, name); err == nil || errors.Is(err, autocert.ErrCacheMiss) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if err := cache.Delete(ctx, "auth.example.com"); err != nil {
			t.Error(err)
		}
		if _, err := cache.Get(ctx, "auth.example.com"); !errors.Is(err, autocert.ErrCacheMiss) {
			t.Errorf("deleted: %v", err)
		}
	})
}

// Where a request seems to come from is told to the doctor alone.
func TestDoctorIsProved(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	proof := s.Core.DoctorProof()
	if a := s.Send(t, "GET", "/readyz", "", "", "Doorward-Doctor", proof); !bytes.Contains([]byte(a.Body), []byte(`"seen_address":"127.0.0.1"`)) {
		t.Errorf("the doctor is told %s", a.Body)
	}
	for _, forged := range []string{"", ".", "1.x", proof[:len(proof)-1], proof + "x", "2" + proof[1:], "9" + proof, proof[:10] + ".", "-1." + proof[11:]} {
		if a := s.Send(t, "GET", "/readyz", "", "", "Doorward-Doctor", forged); a.Status != 200 || bytes.Contains([]byte(a.Body), []byte("seen")) {
			t.Errorf("%q is told %d %s", forged, a.Status, a.Body)
		}
	}
	other := servertest.Start(t, servertest.Options{})
	if a := other.Send(t, "GET", "/readyz", "", "", "Doorward-Doctor", proof); bytes.Contains([]byte(a.Body), []byte("seen")) {
		t.Errorf("another site's doctor is told %s", a.Body)
	}
}
