package store_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// A million events verify in ten seconds. It takes minutes to make them, so it
// runs when it is asked for: DOORWARD_TEST_MILLION=1000000, or fewer.
func TestVerifyMillion(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("DOORWARD_TEST_MILLION"))
	if err != nil {
		t.Skip("it takes minutes; DOORWARD_TEST_MILLION=1000000 runs it")
	}
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		w := storetest.NewWitnessed(t, storetest.Open(t, dsn, store.Options{}))
		began := time.Now()
		const workers = 128
		done := make(chan error, workers)
		for worker := range workers {
			go func() {
				by := principal.Principal{Kind: principal.User, ID: fmt.Sprintf("06eadcervsh0om6j6juveo%04d", worker), Client: "app",
					Origin: principal.Origin{RequestID: "06eadcervsh0om6j6juveoabcd", Address: "192.0.2.77", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}}
				var err error
				for i := 0; i < n/workers && err == nil; i++ {
					err = w.Record(t.Context(), audit.Now(by, time.Now(), audit.TokenRefreshed, "family:06eadcervsh0om6j6juveoabcd").With("scope", "openid users:read"))
				}
				done <- err
			}()
		}
		for range workers {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("writing: %v", time.Since(began))
		began = time.Now()
		w.SequenceAll(t, 1000)
		t.Logf("sequencing: %v", time.Since(began))
		began = time.Now()
		r := w.Verify(t, nil)
		took := time.Since(began)
		t.Logf("verifying %d events, %d checkpoints: %v", r.Events, r.Checkpoints, took)
		if r.Problem != nil || r.Events < int64(n-workers) {
			t.Errorf("%d events: %v", r.Events, r.Problem)
		}
		if took > 10*time.Second {
			t.Errorf("%d events were verified in %v", n, took)
		}
	})
}
