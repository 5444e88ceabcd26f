package store_test

import (
	"testing"

	"github.com/doorward/doorward/internal/store/storetest"
)

func TestRegistrations(t *testing.T) { storetest.Portable(t, storetest.Registrations) }
