package admin

import (
	"context"
	"net/http"

	"github.com/doorward/doorward/internal/web"
)

func (a *API) locks() {
	handle(a, operation("unlock-user", http.MethodPost, "/users/{id}/unlock", "users", "Forget what failed sign-ins have counted against an account", one, empty), a.unlockUser)
}

// unlockUser opens an account for strangers and for the devices that failed too
// often. An account that is open already stays so.
func (a *API) unlockUser(ctx context.Context, in *ByID) (*struct{}, error) {
	return nil, a.Issuer.Unlock(ctx, web.By(ctx), in.ID)
}

// lockedUntil returns when an account's lock ends. An account is shown also when
// nothing can be counted, and then without.
func (a *API) lockedUntil(ctx context.Context, id string) string {
	s, err := a.Limits.Locked(ctx, "user:"+id)
	if err != nil {
		return ""
	}
	return stamp(s.Until)
}
