package admin

import (
	"context"
	"encoding/hex"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// once returns who asks, with the name that he gave to this change, if any. The
// digests are keyed: a body may hold a password, and a plain digest of it could
// be tried out.
func (a *API) once(ctx context.Context, key, route string, body []byte) (principal.Principal, error) {
	by := web.By(ctx)
	if key == "" {
		return by, nil
	}
	if len(key) > 255 {
		return by, fault.At("Idempotency-Key", "it has at most 255 characters")
	}
	pepper, err := a.Keys.Peppers(keyring.Once).Newest()
	if err != nil {
		return by, err
	}
	name := secret.MAC(pepper.Key, "key", []byte(by.String()), []byte(route), []byte(key))
	request := secret.MAC(pepper.Key, "request", body)
	by.Origin.Once = principal.Once{Key: hex.EncodeToString(name[:]), Request: hex.EncodeToString(request[:])}
	return by, nil
}
