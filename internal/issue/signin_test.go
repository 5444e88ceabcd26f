package issue_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// Whatever is wrong with a sign-in, the answer is one; the log knows better, and
// keeps no name that is nobody's: it may be a password, typed into the wrong
// field.
func TestSignInTellsNothing(t *testing.T) {
	dsn := storetest.SQLite(t)
	v := storetest.NewServices(t, storetest.Open(t, dsn, store.Options{}), storetest.Parts{})
	v.User(t, "ann", "viewer")
	gone := v.User(t, "gone", "viewer")
	off := account.Disabled
	if _, err := v.Accounts.Update(t.Context(), storetest.Operator, gone.ID, account.Change{Status: &off}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Accounts.Create(t.Context(), storetest.Operator, account.Draft{Username: "passkeys-only"}); err != nil {
		t.Fatal(err)
	}
	w := storetest.NewWitness(t, dsn)
	var first error
	for _, c := range []struct{ name, password, reason string }{
		{"ann", "wrong", "wrong-password"},
		{"gone", storetest.Password, "disabled"},
		{"gone", "wrong", "wrong-password"},
		{"passkeys-only", "", "wrong-password"},
		{"nobody", storetest.Password, "unknown-name"},
		{"my secret password!", "x", "unknown-name"},
		{"", "", "unknown-name"},
		{"ann\x00", storetest.Password, "unknown-name"},
		{"unproved@example.com", storetest.Password, "unknown-name"},
		{strings.Repeat("x", 1<<20), "x", "unknown-name"},
		{"ann@example.com ", storetest.Password, "unknown-name"},
	} {
		before := len(w.Dump(t)["audit_events"])
		_, err := v.Issuer.SignIn(t.Context(), storetest.Browser, issue.Password{Name: c.name, Password: secret.From(c.password), Client: client.Builtin})
		if fault.KindOf(err) != fault.Unauthenticated {
			t.Fatalf("%.20q: %v", c.name, err)
		}
		if first == nil {
			first = err
		}
		if err.Error() != first.Error() {
			t.Errorf("%.20q is told %q, and others %q", c.name, err, first)
		}
		d := w.Dump(t)
		if len(d["audit_events"]) != before+1 {
			t.Fatalf("%.20q: %d events", c.name, len(d["audit_events"])-before)
		}
		found := slices.ContainsFunc(d["audit_events"], func(r storetest.Row) bool {
			return r["action"] == string(audit.LoginFailed) && strings.Contains(unhex(t, r["data"]), `"reason":"`+c.reason+`"`)
		})
		if !found {
			t.Errorf("%.20q: the log does not say %s", c.name, c.reason)
		}
	}
	for table, rows := range w.Dump(t) {
		for _, r := range rows {
			for column, text := range r {
				if strings.Contains(unhex(t, text), "my secret password!") {
					t.Errorf("%s.%s holds what was typed as a name", table, column)
				}
			}
		}
	}
}

func unhex(t *testing.T, s string) string {
	t.Helper()
	var b strings.Builder
	for i := 0; i+1 < len(s); i += 2 {
		high, low := strings.IndexByte("0123456789abcdef", s[i]), strings.IndexByte("0123456789abcdef", s[i+1])
		if high < 0 || low < 0 {
			return s // it is no hexadecimal
		}
		b.WriteByte(byte(high<<4 | low))
	}
	return b.String()
}

// The scope of a sign-in: what was asked for, of what is held; all that is held
// where nothing was.
func TestScopeOfASignIn(t *testing.T) {
	s := newSite(t, 0)
	s.User(t, "ann", "editor")
	s.User(t, "nobody")
	for _, c := range []struct {
		name string
		ask  []string
		want string
		code oauth.Code
	}{
		{"ann", nil, "read write", ""},
		{"ann", []string{"read"}, "read", ""},
		{"ann", []string{"admin", "read"}, "read", ""}, // known, and not held: dropped
		{"ann", []string{"openid", "read"}, "openid read", ""},
		{"ann", []string{"admin"}, "", oauth.InvalidScope},
		{"ann", []string{"made:up", "read"}, "", oauth.InvalidScope},
		{"nobody", nil, "", ""},
		{"nobody", []string{"openid"}, "openid", ""},
		{"nobody", []string{"read"}, "", oauth.InvalidScope},
	} {
		got, err := s.Issuer.SignIn(t.Context(), storetest.Browser, issue.Password{Name: c.name, Password: secret.From(storetest.Password), Client: client.Builtin, Scope: c.ask})
		if code(err) != c.code || c.code == "" && err != nil || strings.Join(got.Scope, " ") != c.want {
			t.Errorf("%s asks for %q: %q, %v; want %q, %s", c.name, c.ask, got.Scope, err, c.want, c.code)
		}
		if err == nil && claims(t, got.Access)["scope"] != c.want {
			t.Errorf("%s asks for %q: the token says %q", c.name, c.ask, claims(t, got.Access)["scope"])
		}
	}
	for _, resource := range [][]string{{"https://other.example"}, {"https://api.example", "https://auth.example"}, {"https://api.example/"}} {
		_, err := s.Issuer.SignIn(t.Context(), storetest.Browser, issue.Password{Name: "ann", Password: secret.From(storetest.Password), Client: client.Builtin, Resource: resource})
		if code(err) != oauth.InvalidTarget {
			t.Errorf("for %q: %v", resource, err)
		}
	}
}
