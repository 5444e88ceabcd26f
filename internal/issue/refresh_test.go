package issue_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func refresh(ctx context.Context, v *storetest.Services, token secret.Text, scope ...string) (issue.Tokens, error) {
	return v.Issuer.Refresh(ctx, storetest.Browser, issue.Renewal{Token: token, Client: client.Builtin, Scope: scope})
}

func familyOf(t *testing.T, v *storetest.Services, text secret.Text) grant.Family {
	t.Helper()
	token, err := grant.ParseRefreshToken(text.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	f, err := v.Store.FamilyByHandle(t.Context(), token.Handle())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A hundred parallel uses of one token on two servers: strictly one gets a
// successor, and the family ends; with a grace all get the same one.
func TestAttackRT001RefreshRace(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		for name, grace := range map[string]time.Duration{"strict": 0, "grace": gracePeriod} {
			l := life
			l.Grace = grace
			var both [2]*storetest.Services
			for i := range both {
				both[i] = storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{Family: l})
			}
			u := both[0].User(t, name, "editor")
			for _, parallel := range []int{100, 16, 16, 16, 2, 2, 2, 2, 2, 2} {
				first := both[0].Family(t, u, "read")
				got, errs := make([]issue.Tokens, parallel), make([]error, parallel)
				begin := make(chan struct{})
				var wait sync.WaitGroup
				for i := range parallel {
					wait.Go(func() { <-begin; got[i], errs[i] = refresh(t.Context(), both[i%2], first) })
				}
				close(begin)
				wait.Wait()
				won, successors := 0, map[string]bool{}
				for i, err := range errs {
					if err == nil {
						won++
						successors[got[i].Refresh.Reveal()] = true
					} else if code(err) != oauth.InvalidGrant {
						t.Errorf("%s: %v", name, err)
					}
				}
				f := familyOf(t, both[0], first)
				if f.Generation != 2 || len(successors) != 1 || grace == 0 && (won != 1 || f.EndedWhy != "reused") || grace > 0 && (won != parallel || !f.EndedAt.IsZero()) {
					t.Errorf("%s, %d at once: %d got %d successors; generation %d, ended: %q", name, parallel, won, len(successors), f.Generation, f.EndedWhy)
				}
			}
		}
	})
}

// What else is a token, or was one, is not a refresh token.
func TestAttackRT006WrongTokens(t *testing.T) {
	s := newSite(t, 0)
	s.User(t, "ann", "editor")
	tokens := s.SignIn(t, "ann")
	for name, text := range map[string]string{
		"an access token": tokens.Access.Reveal(), "nothing": "", "an API key": "dwk_" + tokens.Refresh.Reveal()[4:], "an id": familyOf(t, s.Services, tokens.Refresh).ID,
		"cut": tokens.Refresh.Reveal()[:74], "a newline": tokens.Refresh.Reveal() + "\n", "of nobody": grant.NewRefreshToken().Text().Reveal(),
	} {
		if _, err := refresh(t.Context(), s.Services, secret.From(text)); code(err) != oauth.InvalidGrant {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Issuer.SignOut(t.Context(), storetest.Browser, secret.From(text)); err != nil {
			t.Errorf("signing out with %s: %v", name, err)
		}
	}
	if _, err := refresh(t.Context(), s.Services, tokens.Refresh); err != nil {
		t.Errorf("after all of that the token: %v", err)
	}
}

// Every refresh asks again what its user may: what he lost is not in the next
// token, and where nothing is left there is none (RT-010).
func TestAttackRT010EveryRefreshAsksAgain(t *testing.T) {
	s := newSite(t, gracePeriod)
	u := s.User(t, "ann", "editor", "viewer")
	by := principal.Principal{Kind: principal.User, ID: u.ID}
	token := s.Family(t, u, "openid", "read", "write")
	next := func(when string, scope ...string) {
		t.Helper()
		got, err := refresh(t.Context(), s.Services, token)
		if err != nil || !slices.Equal(got.Scope, scope) || !slices.Equal(strings.Fields(claims(t, got.Access)["scope"].(string)), scope) {
			t.Fatalf("%s: %q, %v; want %q", when, got.Scope, err, scope)
		}
		token = got.Refresh
	}
	next("at first", "openid", "read", "write")
	storetest.Want(t, "taking a role", s.Roles.Take(t.Context(), storetest.Operator, u.ID, "editor"), 0)
	next("without a role", "openid", "read")
	if _, err := s.Roles.Give(t.Context(), storetest.Operator, u.ID, "editor", time.Time{}, ""); err != nil {
		t.Fatal(err)
	}
	next("with it again", "openid", "read", "write")
	if _, err := s.Roles.Give(t.Context(), storetest.Operator, u.ID, "admin", time.Time{}, ""); err != nil {
		t.Fatal(err)
	}
	next("with more than was granted", "openid", "read", "write")
	for name, end := range map[string]func() error{
		"the password changes": func() error {
			_, err := s.Issuer.ChangePassword(t.Context(), by, secret.From(storetest.Password), secret.From("staple battery horse"))
			return err
		},
		"the account is disabled": func() error {
			off := account.Disabled
			_, err := s.Accounts.Update(t.Context(), storetest.Operator, u.ID, account.Change{Status: &off})
			return err
		},
		"the account is deleted": func() error { return s.Accounts.Delete(t.Context(), storetest.Operator, u.ID, 0, true) },
	} {
		u = s.User(t, strings.ReplaceAll(name, " ", "-"), "editor")
		by.ID = u.ID
		token = s.Family(t, u, "read")
		next("before", "read")
		storetest.Want(t, name, end(), 0)
		if _, err := refresh(t.Context(), s.Services, token); code(err) != oauth.InvalidGrant {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func claims(t *testing.T, access secret.Text) map[string]any {
	t.Helper()
	part := strings.Split(access.Reveal(), ".")
	raw, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// A token that has nothing of its user's rights left is not given, and nothing
// is spent: when the right comes back, the family goes on.
func TestNothingLeft(t *testing.T) {
	s := newSite(t, 0)
	u := s.User(t, "ann", "viewer")
	token := s.Family(t, u, "read")
	storetest.Want(t, "taking", s.Roles.Take(t.Context(), storetest.Operator, u.ID, "viewer"), 0)
	if _, err := refresh(t.Context(), s.Services, token); code(err) != oauth.InvalidScope {
		t.Errorf("with nothing left: %v", err)
	}
	if _, err := s.Roles.Give(t.Context(), storetest.Operator, u.ID, "viewer", time.Time{}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := refresh(t.Context(), s.Services, token); err != nil {
		t.Errorf("with the right back: %v", err)
	}
}

// The database holds digests alone (RT-017).
func TestAttackRT017TokensInStorage(t *testing.T) {
	dsn := storetest.SQLite(t)
	l := life
	l.Grace = gracePeriod
	v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{Family: l})
	v.User(t, "ann", "editor")
	tokens := v.SignIn(t, "ann")
	issued := []issue.Tokens{tokens}
	for range 3 {
		next, err := refresh(t.Context(), v, issued[len(issued)-1].Refresh)
		if err != nil {
			t.Fatal(err)
		}
		issued = append(issued, next)
	}
	var needles []string
	for _, tokens := range issued {
		raw, err := secret.ParseBase62(tokens.Refresh.Reveal()[4:69], 48)
		if err != nil {
			t.Fatal(err)
		}
		signature := tokens.Access.Reveal()[strings.LastIndexByte(tokens.Access.Reveal(), '.')+1:]
		needles = append(needles, tokens.Refresh.Reveal()[4:], hex.EncodeToString(raw[:16]), hex.EncodeToString(raw[16:]), signature)
	}
	for table, rows := range storetest.NewWitness(t, dsn).Dump(t) {
		for _, row := range rows {
			for column, value := range row {
				for _, needle := range needles {
					if strings.Contains(value, needle) || strings.Contains(value, hex.EncodeToString([]byte(needle))) {
						t.Errorf("%s.%s holds %s", table, column, needle)
					}
				}
			}
		}
	}
}

// An account that is disabled while somebody signs in has no family that lives:
// either the sign-in was refused, or it was ended.
func TestAttackSignInWhileDisabled(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		here := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		there := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		off := account.Disabled
		for round := range 6 {
			u := here.User(t, fmt.Sprint("ann", round), "viewer")
			var wait sync.WaitGroup
			var tokens [3]issue.Tokens
			var errs [3]error
			for i := range tokens {
				wait.Go(func() {
					tokens[i], errs[i] = here.Issuer.SignIn(t.Context(), storetest.Browser,
						issue.Password{Name: u.Username, Password: secret.From(storetest.Password), Client: client.Builtin})
				})
			}
			wait.Go(func() {
				if _, err := there.Accounts.Update(t.Context(), storetest.Operator, u.ID, account.Change{Status: &off}); err != nil {
					t.Error(err)
				}
			})
			wait.Wait()
			for i, err := range errs {
				if err == nil {
					if f := familyOf(t, here, tokens[i].Refresh); f.EndedWhy != "disabled" {
						t.Errorf("round %d: the family lives, ended: %q", round, f.EndedWhy)
					}
				} else if fault.KindOf(err) != fault.Unauthenticated {
					t.Errorf("round %d: %v", round, err)
				}
			}
		}
	})
}

// A token names the version of the policy before which its rights were worked
// out: one made from what a server knew before a loss is refused once that is
// told, and one made after it is not.
func TestAttackTokenFromAnOldCopyOfThePolicy(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		here := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		there := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
		if _, err := here.Roles.CreateRole(t.Context(), storetest.Operator, rbac.Role{Name: "clerk", Permissions: []string{"a", "b"}}); err != nil {
			t.Fatal(err)
		}
		u := here.User(t, "ann", "clerk", "viewer")
		poll := func() {
			t.Helper()
			if err := there.Feed.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		revoked := func(v *storetest.Services, access secret.Text) bool {
			c := claims(t, access)
			var roles []string
			for _, r := range c["roles"].([]any) {
				roles = append(roles, r.(string))
			}
			return v.Revoked.Has(grant.Access{
				Family: c["fam"].(string), Account: c["sub"].(string), Client: c["client_id"].(string), Roles: roles, Policy: int64(c["pv"].(float64)),
			})
		}
		poll()
		there.SignIn(t, u.Username) // it keeps what she holds
		for what, lose := range map[string]func() error{
			"a role narrows": func() error {
				_, err := here.Roles.ReplaceRole(t.Context(), storetest.Operator, rbac.Role{Name: "clerk", Permissions: []string{"b"}})
				return err
			},
			"a role is taken": func() error { return here.Roles.Take(t.Context(), storetest.Operator, u.ID, "viewer") },
		} {
			storetest.Want(t, what, lose(), 0)
			stale := there.SignIn(t, u.Username).Access // from what was true before
			poll()
			fresh := there.SignIn(t, u.Username).Access
			for name, v := range map[string]*storetest.Services{"here": here, "there": there} {
				if !revoked(v, stale) {
					t.Errorf("%s, %s: a token of an old copy is good, with %v", what, name, claims(t, stale))
				}
				if revoked(v, fresh) {
					t.Errorf("%s, %s: a token made after it is refused, with %v", what, name, claims(t, fresh))
				}
			}
		}
	})
}
