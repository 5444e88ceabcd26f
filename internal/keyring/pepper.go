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
	// Makes pairwise subjects. They are made by its first version for ever: another would
	// make everybody another person to every application.
	Pairwise = "pairwise"
)

var purposes = []string{RefreshSuccessor, Cursor, Once, Device, Attempt, Form, ClientSecret, APIKey, Pairwise}

// SealedPepper is a pepper as it is kept: a key for MACs, by purpose and version.
type SealedPepper struct {
	Purpose   string
	Version   int64
	CreatedAt time.Time
	Blob      []byte // sealed for place
}

func (p SealedPepper) place() string {
	return fmt.Sprintf("peppers/%s/%d/secret", p.Purpose, p.Version)
}

func (s *Service) openPeppers(ctx context.Context, sealer *secret.Sealer) (map[string]secret.Versions, error) {
	sealed, err := s.store.Peppers(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading peppers: %w", err)
	}
	peppers := map[string]secret.Versions{}
	for _, p := range sealed {
		key, err := sealer.Open(p.Blob, p.place())
		if err != nil {
			return nil, fmt.Errorf("%w: pepper %s, version %d: %w", ErrSealed, p.Purpose, p.Version, err)
		}
		peppers[p.Purpose] = append(peppers[p.Purpose], secret.Pepper{Version: p.Version, Key: key})
	}
	for _, list := range peppers {
		slices.SortFunc(list, func(a, b secret.Pepper) int { return int(b.Version - a.Version) })
	}
	return peppers, nil
}

func (s *Service) addPepper(ctx context.Context, by principal.Principal, purpose string, version int64) error {
	now := s.clock.Now()
	sealer, err := s.sealer()
	if err != nil {
		return err
	}
	p := SealedPepper{Purpose: purpose, Version: version, CreatedAt: now}
	p.Blob = sealer.Seal(secret.Random(32), p.place())
	return s.store.CreatePepper(ctx, p, audit.Now(by, now, audit.PepperCreated, fmt.Sprintf("pepper:%s/%d", purpose, version)))
}

// Peppers returns the versions of the pepper for a purpose, as they are whenever one is
// asked for.
func (s *Service) Peppers(purpose string) secret.Peppers { return peppers{s, purpose} }

type peppers struct {
	keys    *Service
	purpose string
}

func (p peppers) all() secret.Versions { return p.keys.loaded.Load().peppers[p.purpose] }

func (p peppers) Newest() (secret.Pepper, error) {
	newest, err := p.all().Newest()
	if err != nil {
		return newest, fmt.Errorf("%w for %s", err, p.purpose)
	}
	return newest, nil
}

func (p peppers) Version(version int64) (secret.Pepper, bool) { return p.all().Version(version) }

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
