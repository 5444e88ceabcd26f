package store_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// A token that was spent is refused whatever comes beside it: good turns, another use
// of the same token, and one that spoils the statement of them all.
func TestTurnsBesideOneThatSpoils(t *testing.T) {
	s := storetest.Open(t, storetest.Postgres(t), store.Options{})
	u, err := account.NewService(s, clock.Wall()).Create(t.Context(), storetest.Operator, account.Draft{Username: "ann", Hash: "$x"})
	if err != nil {
		t.Fatal(err)
	}
	now := clock.Wall().Now()
	life := grant.Lifetimes{Absolute: time.Hour, Idle: time.Hour}
	event := func(f grant.Family) audit.Event {
		return audit.Now(principal.Principal{Kind: principal.User, ID: u.ID}, now, audit.TokenRefreshed, f.Target()).About(u.ID, map[string]string{"address": "192.0.2.7"})
	}
	for _, spoils := range []bool{false, true} {
		f, token := grant.New(now, u.ID, "client", life)
		if err := s.SignIn(t.Context(), issue.SignIn{Family: f, Was: "$x"}, event(f)); err != nil {
			t.Fatal(err)
		}
		good, _ := f.Rotate(token, now, life, secret.Pepper{})
		again, _ := f.Rotate(token, now, life, secret.Pepper{})
		stale := good
		stale.From = secret.HashOf([]byte("spent"))
		turns := []grant.Rotation{stale, good, again, stale}
		if spoils {
			none := good
			none.Family = "\x00"
			turns = append(turns, none)
		}
		events := make([]audit.Event, len(turns))
		for i := range events {
			events[i] = event(f)
		}
		told := s.RotateAtOnce(t.Context(), turns, events)
		made := 0
		for i, err := range told[:4] {
			switch {
			case err == nil && (i == 1 || i == 2):
				made++
			case fault.KindOf(err) != fault.Conflict:
				t.Errorf("spoilt %t: turn %d is told %v", spoils, i, err)
			}
		}
		if made != 1 {
			t.Errorf("spoilt %t: of two uses of one token %d were made", spoils, made)
		}
		if spoils && (told[4] == nil || fault.KindOf(told[4]) == fault.Conflict) {
			t.Errorf("what spoilt them is told %v", told[4])
		}
	}
}
