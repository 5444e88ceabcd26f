package server_test

import (
	"testing"

	"github.com/doorward/doorward/internal/servertest"
)

// Servers in one process have one hashing worker for each core, each of them, though
// the first one makes room for its own by raising GOMAXPROCS.
func TestWorkersBesideOtherServers(t *testing.T) {
	first := servertest.Start(t, servertest.Options{}).Core.Hasher.Describe()
	for range 3 {
		if next := servertest.Start(t, servertest.Options{}).Core.Hasher.Describe(); next != first {
			t.Errorf("the first: %s; another: %s", first, next)
		}
	}
}
