package keyring

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
)

// The purposes of peppers. One key serves one purpose.
const (
	RefreshSuccessor = "refresh-successor" // derives a refresh token within its grace
	Cursor           = "cursor"            // authenticates the cursors of lists
	Once             = "once"              // names requests that are to have one effect
	Device           = "device"            // tells browsers that signed in before
	Attempt          = "attempt"           // hides names that were typed and are nobody's
	Form             = "form"              // ties forms to the browser that they were shown to
	ClientSecret     = "client-secret"     // keeps the secrets of clients
	APIKey           = "api-key"           // keeps API keys
)

var purposes = []string{RefreshSuccessor, Cursor, Once, Device, Attempt, Form, ClientSecret, APIKey}

// Pepper is a random key for MACs, by purpose and version. A row that holds a
// MAC holds the version that made it.
type Pepper struct {
	Purpose   string
	Version   int64
	CreatedAt time.Time
	Key       []byte // 32 bytes
}

// SealedPepper is a pepper as it is kept.
type SealedPepper struct {
	Pepper        // without Key
	Blob   []byte // sealed for place
}

func (p Pepper) place() string { return fmt.Sprintf("peppers/%s/%d/secret", p.Purpose, p.Version) }

func (s *Service) openPeppers(ctx context.Context, sealer *secret.Sealer) (map[string][]Pepper, error) {
	sealed, err := s.store.Peppers(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading peppers: %w", err)
	}
	peppers := map[string][]Pepper{}
	for _, p := range sealed {
		if p.Key, err = sealer.Open(p.Blob, p.place()); err != nil {
			return nil, fmt.Errorf("%w: pepper %s, version %d: %w", ErrSealed, p.Purpose, p.Version, err)
		}
		peppers[p.Purpose] = append(peppers[p.Purpose], p.Pepper)
	}
	for _, list := range peppers {
		slices.SortFunc(list, func(a, b Pepper) int { return int(b.Version - a.Version) })
	}
	return peppers, nil
}

func (s *Service) addPepper(ctx context.Context, by principal.Principal, purpose string, version int64) error {
	now := s.clock.Now()
	sealer, err := s.sealer()
	if err != nil {
		return err
	}
	p := Pepper{Purpose: purpose, Version: version, CreatedAt: now}
	blob := sealer.Seal(secret.Random(32), p.place())
	return s.store.CreatePepper(ctx, SealedPepper{p, blob}, audit.Now(by, now, audit.PepperCreated, fmt.Sprintf("pepper:%s/%d", purpose, version)))
}

// Pepper returns the newest pepper for a purpose.
func (s *Service) Pepper(purpose string) (Pepper, error) {
	if list := s.loaded.Load().peppers[purpose]; len(list) > 0 {
		return list[0], nil
	}
	return Pepper{}, fmt.Errorf("there is no pepper for %s", purpose)
}

// PepperVersion returns one version of the pepper for a purpose.
func (s *Service) PepperVersion(purpose string, version int64) (Pepper, error) {
	for _, p := range s.loaded.Load().peppers[purpose] {
		if p.Version == version {
			return p, nil
		}
	}
	return Pepper{}, fmt.Errorf("there is no pepper for %s, version %d", purpose, version)
}

// Reseal seals everything that the master key seals anew, under the first key
// of its file, and returns how many blobs there were.
func (s *Service) Reseal(ctx context.Context, by principal.Principal) (int, error) {
	sealer, err := s.sealer()
	if err != nil {
		return 0, err
	}
	e := audit.Now(by, s.clock.Now(), audit.MasterKeyRotated, "master-key:"+sealer.Current())
	return s.store.Reseal(ctx, func(place string, blob []byte) ([]byte, error) {
		plain, err := sealer.Open(blob, place)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", place, err)
		}
		return sealer.Seal(plain, place), nil
	}, e)
}
