package keyring

import (
	"cmp"
	"context"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// Store is what this package needs to have kept for it.
type Store interface {
	SigningKeys(context.Context) ([]Sealed, error)
	// CreateSigningKey returns a fault of kind Conflict if a key of the same
	// purpose and ordinal exists: somebody else was first.
	CreateSigningKey(context.Context, Sealed, audit.Event) error
	// RetireSigningKey returns a fault of kind NotFound for an unknown key.
	RetireSigningKey(ctx context.Context, id string, at time.Time, e audit.Event) error
	// LongestToken returns the longest lifetime that access tokens were ever given,
	// with the skew of clocks.
	LongestToken(context.Context) (time.Duration, error)
	Peppers(context.Context) ([]SealedPepper, error)
	// CreatePepper returns a fault of kind Conflict if the version exists.
	CreatePepper(context.Context, SealedPepper, audit.Event) error
	// Reseal passes every sealed blob through change, in one transaction, and
	// returns how many there were.
	Reseal(ctx context.Context, change func(place string, blob []byte) ([]byte, error), e audit.Event) (int, error)
}

// Options are an operator's choices about keys.
type Options struct {
	Algorithm    jose.Algorithm // for access tokens
	PublishAhead time.Duration
	Keep         time.Duration // the lifetime of tokens, and the skew of clocks; APIs may have chosen a longer one
}

// Service is the keyring. It is safe for concurrent use.
type Service struct {
	store   Store
	clock   clock.Clock
	options Options
	sealer  func() (*secret.Sealer, error) // reads the master key again

	load   sync.Mutex // one load at a time
	loaded atomic.Pointer[contents]
	failed atomic.Bool // the last load
}

// ErrSealed is wrapped by errors that an operator must mend: the master key
// cannot be read, does not open what is there, or opens what this version of the
// program does not know.
var ErrSealed = errors.New("the keyring cannot be opened")

// contents is what was loaded, and what follows from it until a time.
type contents struct {
	keys    []Key                      // for access tokens, of all algorithms
	keep    time.Duration              // how long a key is published once it signs no more
	audit   []Key                      // for checkpoints, the newest first
	peppers map[string]secret.Versions // by purpose, the newest first
	view    View
}

// NewService returns a keyring. sealer is asked for the master key when keys
// are loaded, so that a master key that was replaced in its file is found.
func NewService(store Store, c clock.Clock, o Options, sealer func() (*secret.Sealer, error)) *Service {
	return &Service{store: store, clock: c, options: o, sealer: sealer}
}

// Start loads the keyring and makes what is missing of it: a signing key, which
// signs at once where there is none; one of a newly chosen algorithm, which is
// published ahead; and the peppers.
func (s *Service) Start(ctx context.Context) error {
	if err := s.Load(ctx); err != nil {
		return err
	}
	by := principal.Principal{Kind: principal.System, ID: "start"}
	made := false
	keys, states := s.Keys()
	signing := false
	last := Key{} // of those that sign or will
	for i, k := range keys {
		if k.Purpose != Access {
			continue
		}
		signing = signing || states[i] == Active
		if states[i] != Gone && k.Ordinal > last.Ordinal {
			last = k
		}
	}
	if last.Alg != s.options.Algorithm || !signing {
		ahead := s.options.PublishAhead
		if !signing { // nobody holds a token of ours that lives, or nobody can get one
			ahead = 0
		}
		if _, err := s.Rotate(ctx, by, ahead); err != nil && fault.KindOf(err) != fault.Conflict {
			return err
		}
		made = true
	}
	if len(s.loaded.Load().audit) == 0 {
		if err := s.addAuditKey(ctx, by); err != nil && fault.KindOf(err) != fault.Conflict {
			return err
		}
		made = true
	}
	for _, purpose := range purposes {
		if len(s.loaded.Load().peppers[purpose]) == 0 {
			if err := s.addPepper(ctx, by, purpose, 1); err != nil && fault.KindOf(err) != fault.Conflict {
				return err
			}
			made = true
		}
	}
	if made {
		return s.Load(ctx)
	}
	return nil
}

// Load reads the keyring again. A key that does not open is an error: a server
// that guessed would sign what others cannot verify.
func (s *Service) Load(ctx context.Context) error {
	s.load.Lock()
	defer s.load.Unlock()
	s.failed.Store(true) // until it has not
	sealer, err := s.sealer()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSealed, err)
	}
	sealed, err := s.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("reading signing keys: %w", err)
	}
	c := &contents{}
	longest, err := s.store.LongestToken(ctx)
	if err != nil {
		return fmt.Errorf("reading how long tokens live: %w", err)
	}
	c.keep = max(longest, s.options.Keep)
	for _, k := range sealed {
		der, err := sealer.Open(k.Blob, k.place())
		if err != nil {
			return fmt.Errorf("%w: signing key %s: %w", ErrSealed, k.ID, err)
		}
		if k.Private, err = jose.ParsePrivate(k.Alg, der); err != nil {
			return fmt.Errorf("%w: signing key %s: %w", ErrSealed, k.ID, err)
		}
		if k.Purpose == Audit {
			c.audit = append(c.audit, k.Key)
		} else {
			c.keys = append(c.keys, k.Key)
		}
	}
	slices.SortFunc(c.audit, func(a, b Key) int { return cmp.Compare(b.Ordinal, a.Ordinal) })
	if c.peppers, err = s.openPeppers(ctx, sealer); err != nil {
		return err
	}
	if c.view, err = newView(c.keys, c.keep, s.clock.Now()); err != nil {
		return err
	}
	s.loaded.Store(c)
	s.failed.Store(false)
	return nil
}

// Retry loads the keyring again if the last load failed.
func (s *Service) Retry(ctx context.Context) error {
	if !s.failed.Load() {
		return nil
	}
	return s.Load(ctx)
}

// Apply loads the keyring again when it changed. A load that fails leaves what
// there is.
func (s *Service) Apply(ctx context.Context, c feed.Change) error {
	if c.Topic == feed.Keys || c.Topic == feed.Gap {
		return s.Load(ctx)
	}
	return nil
}

// Rotate makes a new key that signs after ahead. With 0 it signs at once, and
// verifiers learn of it by its unknown kid.
func (s *Service) Rotate(ctx context.Context, by principal.Principal, ahead time.Duration) (Key, error) {
	return s.rotate(ctx, by, Access, s.options.Algorithm, ahead)
}

// RotateFor is Rotate for the APIs that chose an algorithm for themselves. It is a
// fault of kind NotFound if none ever did.
func (s *Service) RotateFor(ctx context.Context, by principal.Principal, alg jose.Algorithm, ahead time.Duration) (Key, error) {
	if !slices.ContainsFunc(s.loaded.Load().keys, func(k Key) bool { return k.Purpose == accessBy(alg) }) {
		return Key{}, fault.New(fault.NotFound, "no API has chosen %s for itself", alg)
	}
	return s.rotate(ctx, by, accessBy(alg), alg, ahead)
}

// Ensure makes a key for the APIs that choose an algorithm for themselves, if there
// is none that signs. It signs at once: nobody holds a token of such a key yet.
func (s *Service) Ensure(ctx context.Context, by principal.Principal, alg jose.Algorithm) error {
	if view, err := s.View(); err == nil && view.byAlg[alg] != nil {
		return nil
	}
	_, err := s.rotate(ctx, by, accessBy(alg), alg, 0)
	if fault.KindOf(err) == fault.Conflict { // somebody else was first
		return s.Load(ctx)
	}
	return err
}

func (s *Service) rotate(ctx context.Context, by principal.Principal, purpose string, alg jose.Algorithm, ahead time.Duration) (Key, error) {
	now := s.clock.Now()
	k, err := s.generate(Key{Purpose: purpose, Alg: alg, CreatedAt: now, ActiveFrom: now.Add(ahead)}, s.loaded.Load().keys)
	if err != nil {
		return Key{}, err
	}
	e := audit.Now(by, now, audit.SigningKeyCreated, "signing-key:"+k.ID).With("alg", string(k.Alg)).
		With("active_from", k.ActiveFrom.Format(audit.TimeFormat))
	if err := s.store.CreateSigningKey(ctx, k, e); err != nil {
		return Key{}, err
	}
	return k.Key, s.Load(ctx)
}

// generate makes the key that k describes, as the last of a chain, and seals it.
func (s *Service) generate(k Key, chain []Key) (Sealed, error) {
	sealer, err := s.sealer()
	if err != nil {
		return Sealed{}, err
	}
	private, kid, err := named(k.Alg)
	if err != nil {
		return Sealed{}, err
	}
	der, err := jose.MarshalPrivate(private)
	if err != nil {
		return Sealed{}, err
	}
	k.ID, k.Ordinal, k.Private = kid, 1, private
	for _, o := range chain {
		if o.Purpose == k.Purpose {
			k.Ordinal = max(k.Ordinal, o.Ordinal+1)
		}
	}
	return Sealed{Key: k, Blob: sealer.Seal(der, k.place())}, nil
}

// named makes a key and its kid. One kid of 64 would begin with a hyphen, and
// signing-key retire would take it for a flag: such a key is made again.
func named(alg jose.Algorithm) (crypto.Signer, string, error) {
	for {
		private, err := jose.Generate(alg)
		if err != nil {
			return nil, "", err
		}
		public, err := jose.PublicJWK("", alg, private.Public())
		if err != nil || !strings.HasPrefix(public.Kid, "-") {
			return private, public.Kid, err
		}
	}
}

// Retire withdraws a key at once, for one that may be known to others: it is
// published no more, and what it signed is refused. The last key that can sign
// for its purpose is not withdrawn: rotate first.
func (s *Service) Retire(ctx context.Context, by principal.Principal, kid string) error {
	now := s.clock.Now()
	keys, keep := s.loaded.Load().keys, s.loaded.Load().keep
	i := slices.IndexFunc(keys, func(k Key) bool { return k.ID == kid })
	if i < 0 {
		return fault.New(fault.NotFound, "there is no signing key %s; see: doorward signing-key list", kid)
	}
	_, other := pick(keys, func(k Key) bool {
		return k.ID != kid && k.Purpose == keys[i].Purpose && StateOf(k, keys, now, keep) == Active
	})
	if StateOf(keys[i], keys, now, keep) == Active && !other {
		return fault.New(fault.Conflict, "it is the key that signs now; make another first: doorward signing-key rotate --now")
	}
	if err := s.store.RetireSigningKey(ctx, kid, now, audit.Now(by, now, audit.SigningKeyRetired, "signing-key:"+kid)); err != nil {
		return err
	}
	return s.Load(ctx)
}

// Keys returns all keys, the newest first, without their private parts, and the
// state of each.
func (s *Service) Keys() ([]Key, []State) {
	now := s.clock.Now()
	c := s.loaded.Load()
	keys := slices.SortedFunc(slices.Values(c.keys), newest)
	states := make([]State, len(keys))
	for i := range keys {
		states[i] = StateOf(keys[i], keys, now, c.keep)
		keys[i].Private = nil
	}
	return keys, states
}

// View is what the keyring says at a moment: who signs, and what is published.
type View struct {
	Signer    *jose.Signer // of access tokens (RFC 9068)
	Algorithm jose.Algorithm
	Published []Key  // without their private parts
	JWKS      []byte // the JWK Set document (RFC 7517, Section 5)
	ETag      string // of JWKS, quoted
	byAlg     map[jose.Algorithm]*jose.Signer
	idBy      map[jose.Algorithm]*jose.Signer // of ID tokens
	until     time.Time
}

// SignerBy returns who signs the access tokens of an API that chose an algorithm; none
// stands for that of all others.
func (v *View) SignerBy(alg jose.Algorithm) (*jose.Signer, error) {
	if alg == "" {
		return v.Signer, nil
	}
	if s := v.byAlg[alg]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("%w for %s", errNoKey, alg)
}

// IDSigner returns who signs ID tokens by an algorithm. The first that is asked for makes
// a key, which signs at once: nobody holds a token of such a key yet.
func (s *Service) IDSigner(ctx context.Context, alg jose.Algorithm) (*jose.Signer, error) {
	view, err := s.View()
	if err != nil {
		return nil, err
	}
	if signer := view.idBy[alg]; signer != nil {
		return signer, nil
	}
	if err := s.Ensure(ctx, principal.Principal{Kind: principal.System, ID: "server"}, alg); err != nil {
		return nil, err
	}
	if view, err = s.View(); err != nil {
		return nil, err
	}
	if signer := view.idBy[alg]; signer != nil {
		return signer, nil
	}
	return nil, fmt.Errorf("%w for %s", errNoKey, alg)
}

func newView(keys []Key, keep time.Duration, now time.Time) (View, error) {
	v := View{byAlg: map[jose.Algorithm]*jose.Signer{}, idBy: map[jose.Algorithm]*jose.Signer{}, until: changes(keys, now, keep)}
	var set struct {
		Keys []jose.JWK `json:"keys"`
	}
	set.Keys = []jose.JWK{}
	for _, k := range slices.SortedFunc(slices.Values(keys), newest) {
		if StateOf(k, keys, now, keep) == Gone {
			continue
		}
		j, err := jose.PublicJWK(k.ID, k.Alg, k.Private.Public())
		if err != nil {
			return View{}, err
		}
		set.Keys = append(set.Keys, j)
		v.Published = append(v.Published, k)
	}
	text, err := json.Marshal(set)
	if err != nil {
		return View{}, err
	}
	digest := secret.HashOf(text)
	v.JWKS, v.ETag = text, `"`+hex.EncodeToString(digest[:16])+`"`

	return v, v.sign(keys, keep, now)
}

// sign finds who signs: for each purpose the newest key that may.
func (v *View) sign(keys []Key, keep time.Duration, now time.Time) error {
	done := map[string]bool{}
	for _, k := range slices.SortedFunc(slices.Values(keys), newest) {
		if done[k.Purpose] || StateOf(k, keys, now, keep) != Active {
			continue
		}
		done[k.Purpose] = true
		signer, err := jose.NewSigner(k.Alg, k.ID, "at+jwt", k.Private)
		if err != nil {
			return err
		}
		id, err := jose.NewSigner(k.Alg, k.ID, "JWT", k.Private)
		if err != nil {
			return err
		}
		if v.idBy[k.Alg] == nil || k.Purpose == Access {
			v.idBy[k.Alg] = id
		}
		if k.Purpose == Access {
			v.Signer, v.Algorithm = signer, k.Alg
		} else {
			v.byAlg[k.Alg] = signer
		}
	}
	return nil
}

var errNoKey = errors.New("no signing key is active")

// View returns what the keyring says now.
func (s *Service) View() (*View, error) {
	c := s.loaded.Load()
	now := s.clock.Now()
	if !c.view.until.IsZero() && !now.Before(c.view.until) {
		fresh := *c
		var err error
		if fresh.view, err = newView(c.keys, c.keep, now); err != nil {
			return nil, err
		}
		s.loaded.CompareAndSwap(c, &fresh)
		c = &fresh
	}
	if c.view.Signer == nil {
		return nil, errNoKey
	}
	return &c.view, nil
}
