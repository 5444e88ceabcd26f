package store_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func TestAccounts(t *testing.T) { storetest.Portable(t, storetest.Accounts) }

// A caller's name for a change is remembered for a day.
func TestOnceIsForgottenAfterADay(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		c := clock.Func(func() time.Time { return now })
		accounts := account.NewService(storetest.Open(t, dsn, store.Options{Clock: c}), c)
		by := storetest.Operator
		by.Origin.Once = principal.Once{Key: "key", Request: "body"}
		create := func(name string) error {
			_, err := accounts.Create(t.Context(), by, account.Draft{Username: name})
			return err
		}
		storetest.Want(t, "the first", create("first"), 0)
		now = now.Add(24 * time.Hour)
		storetest.Want(t, "a day later", create("second"), fault.Replayed)
		now = now.Add(time.Microsecond)
		by.Origin.Once.Request = "another body"
		storetest.Want(t, "after a day", create("third"), 0)
		storetest.Want(t, "again", create("fourth"), fault.Replayed)
	})
}
