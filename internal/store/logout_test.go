package store_test

import (
	"testing"

	"github.com/doorward/doorward/internal/store/storetest"
)

func TestLogouts(t *testing.T) { storetest.Portable(t, storetest.Logouts) }
