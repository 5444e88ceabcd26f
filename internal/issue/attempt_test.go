package issue_test

import (
	"context"
	"errors"
	"testing"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// dying counts attempts until it is down.
type dying struct {
	limit.Store
	left int // how many buckets it still writes
}

func (d *dying) SwapBucket(ctx context.Context, k limit.Key, was int64, b limit.Bucket) (bool, error) {
	if d.left--; d.left < 0 {
		return false, errors.New("connection refused")
	}
	return d.Store.SwapBucket(ctx, k, was, b)
}

// A guess that was judged is in the log, though what counts attempts went down
// meanwhile; one that could not be counted beforehand is not judged.
func TestGuessIsRecordedWithoutCounters(t *testing.T) {
	for _, c := range []struct {
		name   string
		left   int
		events int
	}{
		{"down before the password was judged", 0, 0},
		{"down after", 1, 1},
	} {
		dsn := storetest.SQLite(t)
		counts := &dying{storetest.Open(t, storetest.SQLite(t), store.Options{}), c.left}
		v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{Counts: counts})
		v.User(t, "ann", "viewer")
		_, err := v.Issuer.SignIn(t.Context(), storetest.Browser, issue.Password{Name: "ann", Password: secret.From("wrong"), Client: client.Builtin})
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: %v", c.name, err)
		}
		events := 0
		for _, r := range storetest.NewWitness(t, dsn).Dump(t)["audit_events"] {
			if r["action"] == string(audit.LoginFailed) {
				events++
			}
		}
		if events != c.events {
			t.Errorf("%s: %d events", c.name, events)
		}
	}
}
