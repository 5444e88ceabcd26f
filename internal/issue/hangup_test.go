package issue_test

import (
	"context"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// hangingUp is a store whose caller leaves at a moment.
type hangingUp struct {
	issue.Store
	found func() // a family was read
	lost  func() // another use of the token was first
}

func (h *hangingUp) FamilyByHandle(ctx context.Context, handle secret.Hash) (grant.Family, error) {
	f, err := h.Store.FamilyByHandle(ctx, handle)
	h.found()
	return f, err
}

func (h *hangingUp) RotateFamily(ctx context.Context, r grant.Rotation, e audit.Event) error {
	err := h.Store.RotateFamily(ctx, r, e)
	if fault.KindOf(err) == fault.Conflict {
		h.lost()
	}
	return err
}

// A token that was spent ends its family, although whoever sent it does not wait
// for the answer: not once it was found spent, and not once another use of it was
// first.
func TestAttackHangingUpSparesNobody(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := storetest.Open(t, dsn, store.Options{})
		v := storetest.NewServices(t, s, storetest.Parts{})
		u := v.User(t, "ann", "editor")
		for _, when := range []string{"found", "lost"} {
			h := &hangingUp{Store: s, found: func() {}, lost: func() {}}
			issuer := issue.NewService(issue.Parts{Store: h, Slots: s, Clock: clock.Wall(), Policy: v.Roles.Policy, Accounts: v.Accounts, Keys: v.Keys},
				issue.Options{Issuer: "https://auth.example", Audience: "https://api.example", AccessTTL: time.Minute, Family: grant.Lifetimes{Absolute: time.Hour, Idle: time.Hour}})
			renewal := issue.Renewal{Token: v.Family(t, u, "read"), Client: client.Builtin}
			token, err := grant.ParseRefreshToken(renewal.Token.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			spend := func() {
				if _, err := v.Issuer.Refresh(t.Context(), storetest.Browser, renewal); err != nil {
					t.Fatal(err)
				}
			}
			ctx, leave := context.WithCancel(t.Context())
			switch when {
			case "found":
				spend()
				h.found = leave
			case "lost": // the other one is first after this one has read
				h.found, h.lost = func() { h.found = func() {}; spend() }, leave
			}
			_, err = issuer.Refresh(ctx, storetest.Browser, renewal)
			if ctx.Err() == nil || err == nil {
				t.Errorf("%s: nobody hung up, or it was answered: %v", when, err)
			}
			f, err := s.FamilyByHandle(t.Context(), token.Handle())
			if err != nil || f.EndedAt.IsZero() || f.EndedWhy != "reused" {
				t.Errorf("%s: the family ended at %v, %q, %v", when, f.EndedAt, f.EndedWhy, err)
			}
			if !v.Revoked.Has(grant.Access{Family: f.ID, Account: u.ID, Policy: 1 << 40}) {
				t.Errorf("%s: its access tokens are taken", when)
			}
			leave()
		}
	})
}
