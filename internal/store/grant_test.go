package store_test

import (
	"testing"

	"github.com/doorward/doorward/internal/store/storetest"
)

func TestGrants(t *testing.T) { storetest.Contract(t, storetest.Grants) }

func TestSessions(t *testing.T) { storetest.Contract(t, storetest.Sessions) }
