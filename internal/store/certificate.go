package store

import (
	"context"

	"github.com/doorward/doorward/internal/clock"
)

// CertificatePlace is what a blob of certificates is sealed for.
func CertificatePlace(name string) string { return "certificates/" + name + "/sealed" }

// Certificate returns what is kept under a name, sealed, or a fault of kind
// NotFound.
func (s *Store) Certificate(ctx context.Context, name string) ([]byte, error) {
	var blob []byte
	err := s.one(ctx, `SELECT sealed FROM certificates WHERE name = ?`, name).scan(&blob)
	return blob, absent(err, "certificate")
}

// KeepCertificate keeps a sealed blob under a name, in place of what was there.
func (s *Store) KeepCertificate(ctx context.Context, name string, blob []byte) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO certificates (name, sealed, kept_at) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, kept_at = excluded.kept_at`, name, blob, clock.Micro(s.clock.Now()))
		return err
	})
}

// DropCertificate drops what is kept under a name, if anything.
func (s *Store) DropCertificate(ctx context.Context, name string) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM certificates WHERE name = ?`, name)
		return err
	})
}
