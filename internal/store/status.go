package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/status"
)

// ReserveSlots gives n bits that nobody else is given, from the newest list that has
// them, or a new one.
func (s *Store) ReserveSlots(ctx context.Context, n int64, expires time.Time) (status.Block, error) {
	var b status.Block
	err := s.write(ctx, func(t *tx) error {
		b = status.Block{N: n}
		var until int64
		err := t.one(`UPDATE status_lists SET given = given + ? WHERE given + ? <= ? AND id = (
				SELECT id FROM status_lists WHERE opened_at > ? AND until >= ? AND given + ? <= ? ORDER BY opened_at DESC, id DESC LIMIT 1)
			RETURNING id, key, given - ?, until`,
			n, n, status.Size, clock.Micro(t.now.Add(-status.Open)), clock.Micro(expires), n, status.Size, n).scan(&b.List, &b.Key, &b.First, &until)
		if errors.Is(err, sql.ErrNoRows) {
			b.List, b.Key, b.Until = id.New(t.now), secret.Random(16), expires.Add(status.Open)
			_, err = t.exec(`INSERT INTO status_lists (id, key, given, opened_at, until, version) VALUES (?, ?, ?, ?, ?, 0)`,
				b.List, b.Key, n, clock.Micro(t.now), clock.Micro(b.Until))
			return err
		}
		b.Until = clock.FromMicro(until)
		return err
	})
	return b, err
}

// keepRun keeps what bits of tokens of no family are of; nil for none.
func (t *tx) keepRun(r *grant.Run) error {
	if r == nil {
		return nil
	}
	access, err := json.Marshal(r.Access)
	if err != nil {
		return err
	}
	live := status.Live{Held: r.Held}
	var until int64
	for _, h := range r.Held {
		until = max(until, h.Until)
	}
	for i, owner := range slices.Compact(slices.Sorted(slices.Values(r.Owners()))) {
		if _, err := t.exec(`INSERT INTO status_runs (owner, id, first, access, live, until) VALUES (?, ?, ?, ?, ?, ?)`,
			owner, r.ID, i == 0, string(access), live.String(), clock.Micro(time.Unix(until, 0))); err != nil {
			return err
		}
	}
	return nil
}

// ClaimMarks lets one server set bits at a time: holder, for as long as it says so
// again. It returns up to which change they are set.
func (s *Store) ClaimMarks(ctx context.Context, pass int64, holder string, lease time.Duration) (seq int64, mine bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		now := clock.Micro(t.now)
		err := t.one(`UPDATE status_marks SET holder = ?, until = ? WHERE id = ? AND (holder = ? OR until <= ?) RETURNING seq`,
			holder, clock.Micro(t.now.Add(lease)), pass, holder, now).scan(&seq)
		if mine = err == nil; errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return seq, mine, err
}

// tokenPage is how many rows are looked through at once for tokens that a mark voids.
const tokenPage = 500

// The families that a mark may concern. Each statement finds them by an index, but for
// those that a role, an API or an organization concerns: they are looked through.
const (
	liveFamilies = `SELECT id, user_id, client_id, organization, audience, live FROM token_families WHERE live <> '' AND `
	familiesOf   = liveFamilies + `user_id = ? AND ended_at = 0 AND id > ? ORDER BY id LIMIT ?`
	familiesBy   = liveFamilies + `client_id = ? AND id > ? ORDER BY id LIMIT ?`
	allFamilies  = liveFamilies + `id > ? ORDER BY id LIMIT ?`
)

// familiesAtOnce is how many families one statement looks for.
const familiesAtOnce = 100

var placesOfFamilies = `(?` + strings.Repeat(`, ?`, familiesAtOnce-1) + `)`

// TokensOfFamilies returns the access tokens that end with some families, and may be alive.
func (s *Store) TokensOfFamilies(ctx context.Context, ids []string) (list []grant.Issued, err error) {
	now := s.clock.Now()
	for chunk := range slices.Chunk(ids, familiesAtOnce) {
		families, owners := make([]any, familiesAtOnce), make([]any, familiesAtOnce)
		for i := range families { // what is too few is said twice: it is one statement
			id := chunk[min(i, len(chunk)-1)]
			owner, _ := grant.Mark{Kind: grant.OfFamily, Key: id}.Owner()
			families[i], owners[i] = id, owner
		}
		if err := s.all(ctx, func(r scanner) error {
			_, err := readIssued(r, &list, now)
			return err
		}, familiesIn, families...); err != nil {
			return nil, err
		}
		runs, err := s.runsOf(ctx, `owner IN `+placesOfFamilies, owners, now)
		if err != nil {
			return nil, err
		}
		list = append(list, runs...)
	}
	return list, nil
}

var familiesIn = liveFamilies + `id IN ` + placesOfFamilies

// readIssued adds what a family has to a list, as far as it may be alive, and returns its id.
func readIssued(r scanner, list *[]grant.Issued, now time.Time) (family string, err error) {
	var i grant.Issued
	var live, audience string
	if err := r.Scan(&i.Family, &i.Account, &i.Client, &i.Organization, &audience, &live); err != nil {
		return "", err
	}
	return i.Family, alive(list, i, live, []string{audience}, now)
}

// TokensOf returns a page of the access tokens that a mark may void and that may be
// alive, after what a page before ended with; next is empty after the last.
func (s *Store) TokensOf(ctx context.Context, m grant.Mark, after string) (list []grant.Issued, next string, err error) {
	now := s.clock.Now()
	statement, args := allFamilies, []any{}
	switch m.Kind {
	case grant.OfFamily:
		list, err := s.TokensOfFamilies(ctx, []string{m.Key})
		return list, "", err
	case grant.OfPrincipal: // an account, and then a client
		statement, args = familiesOf, []any{m.Key}
		if by, ok := strings.CutPrefix(after, byClient); ok {
			statement, after = familiesBy, by
		}
	case grant.OfKey: // no family comes of a key
		statement = ""
	}
	if statement != "" {
		last, n := "", 0
		if err := s.all(ctx, func(r scanner) error {
			family, err := readIssued(r, &list, now)
			n, last = n+1, family
			return err
		}, statement, append(args, after, tokenPage)...); err != nil {
			return nil, "", err
		}
		switch {
		case n == tokenPage && statement == familiesBy:
			return list, byClient + last, nil
		case n == tokenPage:
			return list, last, nil
		case statement == familiesOf:
			return list, byClient, nil
		}
	}
	where, args := `first`, []any(nil)
	if owner, found := m.Owner(); found {
		where, args = `owner = ?`, []any{owner}
	}
	runs, err := s.runsOf(ctx, where, args, now)
	return append(list, runs...), "", err
}

// byClient begins where a page ends that is of a client's families.
const byClient = "client "

// runsOf returns the tokens of no family that a condition finds.
func (s *Store) runsOf(ctx context.Context, where string, args []any, now time.Time) (list []grant.Issued, err error) {
	err = s.all(ctx, func(r scanner) error {
		var access, live string
		if err := r.Scan(&access, &live); err != nil {
			return err
		}
		var i grant.Issued
		if err := json.Unmarshal([]byte(access), &i.Access); err != nil {
			return err
		}
		return alive(&list, i, live, nil, now)
	}, `SELECT access, live FROM status_runs WHERE `+where+` AND until >= ?`, append(args, clock.Micro(now))...)
	return list, err
}

// alive adds tokens to a list, as far as they may be alive. audience is nil for those
// that say themselves what they carry.
func alive(list *[]grant.Issued, i grant.Issued, live string, audience []string, now time.Time) error {
	l, err := status.ParseLive(live)
	if err != nil {
		return err
	}
	if audience != nil {
		i.Roles, i.Audience = l.Roles, audience
	}
	for _, h := range l.Held {
		if h.Until >= now.Unix() {
			i.Held = append(i.Held, h)
		}
	}
	if len(i.Held) > 0 {
		*list = append(*list, i)
	}
	return nil
}

// MarkSlots sets bits, and notes up to which change they are set now. If somebody else
// did that meanwhile, it does nothing: he sets them, too.
func (s *Store) MarkSlots(ctx context.Context, pass, from, to int64, slots []status.Slot) error {
	lists := map[string]map[int64][]int64{} // by list and page, the indexes
	for _, at := range slots {
		if lists[at.List] == nil {
			lists[at.List] = map[int64][]int64{}
		}
		n := status.Page(at.Index)
		lists[at.List][n] = append(lists[at.List][n], at.Index)
	}
	return s.write(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE status_marks SET seq = ? WHERE id = ? AND seq = ?`, to, pass, from)
		if err != nil || n == 0 {
			return err
		}
		// The two passes may want one page at once: that of the list is locked first.
		order := slices.Sorted(maps.Keys(lists))
		for _, list := range order {
			if _, err := t.exec(`UPDATE status_lists SET version = version + 1 WHERE id = ?`, list); err != nil {
				return err
			}
		}
		for _, list := range order {
			if err := t.setBits(list, lists[list]); err != nil {
				return err
			}
		}
		return nil
	})
}

// pagesAtOnce is how many pages one statement writes.
const pagesAtOnce = 16

// setBits sets bits of a list, by page.
func (t *tx) setBits(list string, set map[int64][]int64) error {
	pages := slices.Sorted(maps.Keys(set))
	bits := map[int64][]byte{}
	if err := t.all(func(r scanner) error {
		var n int64
		var kept []byte
		err := r.Scan(&n, &kept)
		bits[n] = kept
		return err
	}, `SELECT page, bits FROM status_pages WHERE list = ? AND page BETWEEN ? AND ?`, list, pages[0], pages[len(pages)-1]); err != nil {
		return err
	}
	for chunk := range slices.Chunk(pages, pagesAtOnce) {
		var args []any
		for _, n := range chunk {
			args = append(args, list, n, status.Set(bits[n], set[n]...))
		}
		if _, err := t.exec(`INSERT INTO status_pages (list, page, bits) VALUES (?, ?, ?)`+strings.Repeat(`, (?, ?, ?)`, len(chunk)-1)+
			` ON CONFLICT (list, page) DO UPDATE SET bits = excluded.bits`, args...); err != nil {
			return err
		}
	}
	return nil
}

// StatusList returns the version of a list, which rises with its bits, or a NotFound.
func (s *Store) StatusList(ctx context.Context, list string) (version int64, err error) {
	if !text(list) {
		return 0, absent(sql.ErrNoRows, "status list")
	}
	err = s.one(ctx, `SELECT version FROM status_lists WHERE id = ? AND until >= ?`, list, clock.Micro(s.clock.Now())).scan(&version)
	return version, absent(err, "status list")
}

// StatusPages returns those of a list's pages that have bits set.
func (s *Store) StatusPages(ctx context.Context, list string) (map[int64][]byte, error) {
	pages := map[int64][]byte{}
	err := s.all(ctx, func(r scanner) error {
		var n int64
		var bits []byte
		err := r.Scan(&n, &bits)
		pages[n] = bits
		return err
	}, `SELECT page, bits FROM status_pages WHERE list = ?`, list)
	return pages, err
}
