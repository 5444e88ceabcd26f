package store_test

import (
	"testing"

	"github.com/doorward/doorward/internal/store"
)

// Statements of PostgreSQL alone are for PostgreSQL alone.
func TestVersions(t *testing.T) {
	for version, want := range map[string]bool{
		"PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc": true,
		"PostgreSQL 11.2-YB-2.20.1.0-b0 on x86_64-pc-linux-gnu, compiled by clang":          false,
		"CockroachDB CCL v24.3.0 (x86_64-pc-linux-gnu, built 2024/11/18)":                   false,
		"": false,
	} {
		if got := store.Itself(version); got != want {
			t.Errorf("%s: %t", version, got)
		}
	}
}
