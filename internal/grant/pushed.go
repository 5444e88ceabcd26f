package grant

import (
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// PushedLasts is how long a request that was pushed waits for a browser (RFC 9126, Section
// 4). A browser that came in time may take as long as any.
const PushedLasts = time.Minute

// Pushed is an authorization request that a client brought itself, before it sends the
// person. It is answered once (RFC 9126, Section 7.3).
type Pushed struct {
	ID      secret.Hash // of what its request_uri says
	Client  string
	Query   string // without what the client proved itself by
	Created time.Time
	Expires time.Time
}
