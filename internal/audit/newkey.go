package audit

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"errors"

	"golang.org/x/mod/sumdb/note"
)

// newKey is a key of checkpoints of which an event tells, and what vouches for it.
type newKey struct {
	key     ed25519.PublicKey
	voucher []byte // a signature by the key before; empty for the first key
}

// vouched is what a key signs to vouch for the next. It cannot be taken for a
// checkpoint, which has three lines.
func vouched(key ed25519.PublicKey) []byte {
	return []byte("doorward: this key signs the checkpoints of the audit log from now on\n" + base64.StdEncoding.EncodeToString(key) + "\n")
}

// Introducing returns e with the public key of checkpoints that it tells of, and
// with what the key before signs for it, if there is one.
func (e Event) Introducing(key crypto.PublicKey, before crypto.Signer) (Event, error) {
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return e, errors.New("a checkpoint is signed with Ed25519")
	}
	e = e.With("public_key", base64.StdEncoding.EncodeToString(public))
	if before == nil {
		return e, nil
	}
	voucher, err := before.Sign(nil, vouched(public), crypto.Hash(0))
	return e.With("voucher", base64.StdEncoding.EncodeToString(voucher)), err
}

// newKey returns the key that the event tells of, if it does.
func (l Leaf) newKey() (k newKey, ok bool) {
	if l.Action != AuditKeyCreated {
		return k, false
	}
	key, err := base64.StdEncoding.DecodeString(l.Detail.Key)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return k, false
	}
	k.key = key
	k.voucher, err = base64.StdEncoding.DecodeString(l.Detail.Voucher)
	return k, err == nil
}

// trusting returns keys, each once, and those that one of them vouches for in the
// events of a log: of one key after the other, as they were made. Who can write
// into the database alone can tell of a key, and vouch for none.
func trusting(keys []note.Verifier, told []newKey, origin string) []note.Verifier {
	var list []note.Verifier
	has := func(v note.Verifier) bool {
		for _, o := range list {
			if o.Name() == v.Name() && o.KeyHash() == v.KeyHash() {
				return true
			}
		}
		return false
	}
	for _, v := range keys {
		if !has(v) {
			list = append(list, v)
		}
	}
	for _, k := range told {
		_, v, err := NewVerifierKey(origin, k.key)
		if err != nil || has(v) {
			continue
		}
		for _, o := range list {
			if o.Name() == origin && o.Verify(vouched(k.key), k.voucher) {
				list = append(list, v)
				break
			}
		}
	}
	return list
}
