package audit

import (
	"testing"

	"github.com/doorward/doorward/internal/principal"
)

// What the log costs a refresh before the database: the event is made, and what is
// kept of it worked out.
func BenchmarkRecord(b *testing.B) {
	by := principal.Principal{
		Kind: principal.User, ID: "06h2cl91gb8k3mccglsp25rm6c", Client: "doorward", Family: "06h2cl98o0sl1cgrkpgesu7gs0",
		Origin: principal.Origin{RequestID: "NZZOQ4Q4OYRSDP27NMJXPDBCI6", Address: "192.0.2.7", UserAgent: "curl/8.5.0"},
	}
	b.ReportAllocs()
	for b.Loop() {
		e := Now(by, at, TokenRefreshed, "family:06h2cl91gb8k3mccglsp25rm6c").With("scope", "orders:read orders:write")
		e.Record()
	}
}
