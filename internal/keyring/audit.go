package keyring

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/principal"
)

// addAuditKey makes a key of checkpoints. The event holds its public half, and a
// signature for it by the key before: whoever trusts that can trust this one.
func (s *Service) addAuditKey(ctx context.Context, by principal.Principal) error {
	now := s.clock.Now()
	k, err := s.generate(Key{Purpose: Audit, Alg: jose.EdDSA, CreatedAt: now, ActiveFrom: now}, s.loaded.Load().audit)
	if err != nil {
		return err
	}
	e := audit.Now(by, now, audit.AuditKeyCreated, "audit-key:"+k.ID)
	var before crypto.Signer
	if keys := s.AuditKeys(); len(keys) > 0 {
		before = keys[0].Private
	}
	if e, err = e.Introducing(k.Private.Public(), before); err != nil {
		return err
	}
	return s.store.CreateSigningKey(ctx, k, e)
}

// RotateAudit makes a new key that signs checkpoints from the next one on. The
// ones before stay: what they signed can be verified for ever.
func (s *Service) RotateAudit(ctx context.Context, by principal.Principal) error {
	if err := s.addAuditKey(ctx, by); err != nil {
		return err
	}
	return s.Load(ctx)
}

// AuditKeys returns the keys of checkpoints. The first one signs, and all of them
// verify.
func (s *Service) AuditKeys() []Key { return s.loaded.Load().audit }

// AuditVerifiers returns who can verify the checkpoints of an origin.
func (s *Service) AuditVerifiers(origin string) ([]note.Verifier, error) {
	var list []note.Verifier
	for _, k := range s.AuditKeys() {
		_, v, err := audit.NewVerifierKey(origin, k.Private.Public())
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

var errNoAuditKey = errors.New("there is no key to sign checkpoints with")

// SignCheckpoint is an audit.Signing. It signs nothing on top of what none of the
// keys signed.
func (s *Service) SignCheckpoint(was audit.Checkpoint, before []byte, is audit.Checkpoint) ([]byte, error) {
	keys := s.AuditKeys()
	if len(keys) == 0 {
		return nil, errNoAuditKey
	}
	signer, err := audit.NewSigner(is.Origin, keys[0].Private)
	if err != nil {
		return nil, err
	}
	if was.Size == 0 {
		return is.Sign(signer)
	}
	verifiers, err := s.AuditVerifiers(is.Origin)
	if err != nil {
		return nil, err
	}
	signed, err := audit.OpenCheckpoint(before, verifiers)
	if err != nil {
		return nil, fmt.Errorf("the audit log was altered; run doorward audit verify: its last checkpoint: %w", err)
	}
	if signed.Checkpoint != was {
		return nil, fmt.Errorf("the audit log was altered; run doorward audit verify: its tree of %d leaves is not that of its last checkpoint", was.Size)
	}
	return is.Sign(signer)
}
