package keyring

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/principal"
)

// addAuditKey makes a key of checkpoints. The event holds its public half, so
// that the log itself hands over from the key before.
func (s *Service) addAuditKey(ctx context.Context, by principal.Principal) error {
	now := s.clock.Now()
	k, err := s.generate(Key{Purpose: Audit, Alg: jose.EdDSA, CreatedAt: now, ActiveFrom: now}, s.loaded.Load().audit)
	if err != nil {
		return err
	}
	e := audit.Now(by, now, audit.AuditKeyCreated, "audit-key:"+k.ID)
	if e, err = e.Introducing(k.Private.Public()); err != nil {
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

// SignCheckpoint is an audit.Signing. The first checkpoint of a new key is signed
// by the one before too: it covers the event that tells of the new key, so that
// whoever trusts the old one can trust the new one. (Two signatures under one text
// prove nothing of the kind alone: anybody can put his own beside another's.)
func (s *Service) SignCheckpoint(was audit.Checkpoint, before []byte, is audit.Checkpoint) ([]byte, error) {
	keys := s.AuditKeys()
	if len(keys) == 0 {
		return nil, errNoAuditKey
	}
	signers := make([]audit.Signer, len(keys))
	verifiers := make([]note.Verifier, len(keys))
	for i, k := range keys {
		var err error
		if signers[i], err = audit.NewSigner(is.Origin, k.Private); err != nil {
			return nil, err
		}
		verifiers[i] = signers[i]
	}
	if was.Size == 0 {
		return is.Sign(signers[0])
	}
	by := []note.Signer{signers[0]}
	signed, err := audit.OpenCheckpoint(before, verifiers)
	if err != nil {
		return nil, fmt.Errorf("the audit log was altered; run doorward audit verify: its last checkpoint: %w", err)
	}
	if signed.Checkpoint != was {
		return nil, fmt.Errorf("the audit log was altered; run doorward audit verify: its tree of %d leaves is not that of its last checkpoint", was.Size)
	}
	for _, old := range signers[1:] {
		if !signed.By(signers[0]) && signed.By(old) {
			by = append(by, old)
		}
	}
	return is.Sign(by...)
}
