package admin

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// A cursor is the id of the last item of a page and a MAC over it, the caller
// and the query: it goes on with the list that it came from, and opens no other.

func (a *API) cursor(ctx context.Context, last string, query ...string) (string, error) {
	mac, err := a.cursorMAC(ctx, last, query)
	return last + "." + base64.RawURLEncoding.EncodeToString(mac[:16]), err
}

// after returns the id that a cursor names.
func (a *API) after(ctx context.Context, cursor string, query ...string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	last := cursor[:max(0, strings.LastIndexByte(cursor, '.'))]
	want, err := a.cursor(ctx, last, query...)
	if err != nil {
		return "", err
	}
	if secret.From(want).Equal(secret.From(cursor)) {
		return last, nil
	}
	return "", fault.At("query.after", "it is not the cursor of this list; begin again without it")
}

func (a *API) cursorMAC(ctx context.Context, last string, query []string) (secret.Hash, error) {
	pepper, err := a.Keys.Peppers(keyring.Cursor).Newest()
	if err != nil {
		return secret.Hash{}, err
	}
	parts := [][]byte{[]byte(web.By(ctx).String()), []byte(last)}
	for _, q := range query {
		parts = append(parts, []byte(q))
	}
	return secret.MAC(pepper.Key, "cursor", parts...), nil
}
