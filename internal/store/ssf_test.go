package store_test

import (
	"testing"

	"github.com/doorward/doorward/internal/store/storetest"
)

func TestStreams(t *testing.T) { storetest.Portable(t, storetest.Streams) }
