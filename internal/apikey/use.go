package apikey

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Use is what became known of a key's use on one day. A write for each use would
// make every request a write: uses are gathered in memory and written in batches.
type Use struct {
	Key   string
	Day   time.Time // midnight UTC
	Times int64
	Last  time.Time // of those
	From  string    // the address of the last one; may be empty
}

// How long a key is kept after it has expired, for its owner to see and to rotate, and
// how long it is kept on which days keys were used.
const (
	Keep     = 90 * 24 * time.Hour
	KeepUses = 400 * 24 * time.Hour
)

// uses gathers uses until they are written.
type uses struct {
	mu      sync.Mutex
	waiting map[string][]Use // by key, one for each day
}

// most is of how many keys uses wait in memory; those of more are not counted.
const most = 50_000

func (u *uses) add(key string, at time.Time, from string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.join(Use{key, at.UTC().Truncate(24 * time.Hour), 1, at, from})
}

func (u *uses) join(one Use) {
	list, ok := u.waiting[one.Key]
	if !ok && len(u.waiting) >= most {
		return
	}
	i := slices.IndexFunc(list, func(had Use) bool { return had.Day.Equal(one.Day) })
	if i < 0 {
		u.waiting[one.Key] = append(list, one)
		return
	}
	list[i].Times += one.Times
	if !list[i].Last.After(one.Last) {
		list[i].Last, list[i].From = one.Last, one.From
	}
}

// of returns what waits of a key.
func (u *uses) of(key string) []Use {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.waiting[key])
}

// flush hands what was gathered to keep, and gathers it again if keep fails.
func (u *uses) flush(ctx context.Context, keep func(context.Context, []Use) error) error {
	u.mu.Lock()
	gathered := u.waiting
	u.waiting = map[string][]Use{}
	u.mu.Unlock()
	if len(gathered) == 0 {
		return nil
	}
	var list []Use
	for _, days := range gathered {
		list = append(list, days...)
	}
	// In one order, so that two servers that write do not wait for one another.
	slices.SortFunc(list, func(a, b Use) int { return cmp.Or(cmp.Compare(a.Key, b.Key), a.Day.Compare(b.Day)) })
	err := keep(ctx, list)
	if err != nil {
		u.mu.Lock()
		defer u.mu.Unlock()
		for _, one := range list {
			u.join(one)
		}
	}
	return err
}

// Used notes that a key was used, from an address if that is known.
func (s *Service) Used(key, from string) { s.uses.add(key, s.clock.Now(), from) }

// Flush writes the uses that were noted.
func (s *Service) Flush(ctx context.Context) error { return s.uses.flush(ctx, s.store.AddAPIKeyUses) }

// Usage returns how often a key was used on each of the last so many days on which it
// was, the newest first, with what this process has not written yet.
func (s *Service) Usage(ctx context.Context, key string, days int) ([]Use, error) {
	since := s.clock.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-days)
	list, err := s.store.APIKeyUsage(ctx, key, since)
	if err != nil {
		return nil, err
	}
	for _, one := range s.uses.of(key) {
		i := slices.IndexFunc(list, func(u Use) bool { return u.Day.Equal(one.Day) })
		if i < 0 {
			list = append(list, one)
		} else {
			list[i].Times += one.Times
		}
	}
	slices.SortFunc(list, func(a, b Use) int { return b.Day.Compare(a.Day) })
	return list, nil
}

// seen returns a key with the last use that this process knows.
func (s *Service) seen(k Key) Key {
	for _, one := range s.uses.of(k.ID) {
		if one.Last.After(k.UsedAt) {
			k.UsedAt, k.UsedFrom = one.Last, one.From
		}
	}
	return k
}
