package account_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

func service(t *testing.T) *account.Service {
	return account.NewService(storetest.Open(t, storetest.SQLite(t), store.Options{}), clock.Wall())
}

func to[T any](v T) *T { return &v }

func TestCreateChecksWhatItIsGiven(t *testing.T) {
	s := service(t)
	deep := strings.Repeat(`{"a":`, 3000) + "1" + strings.Repeat("}", 3000)
	for field, d := range map[string]account.Draft{
		"username":              {Username: "a b"},
		"email":                 {Username: "a", Email: "a@b"},
		"name":                  {Username: "a", Name: strings.Repeat("x", 257)},
		"name ":                 {Username: "a", Name: "a\nb"},
		"name  ":                {Username: "a", Name: "a\xff"},
		"profile.nickname":      {Username: "a", Profile: account.Profile{Nickname: "\x1b[31m"}},
		"profile.website":       {Username: "a", Profile: account.Profile{Website: "javascript:alert(1)"}},
		"profile.picture":       {Username: "a", Profile: account.Profile{Picture: "data:image/png;base64,x"}},
		"profile.locale":        {Username: "a", Profile: account.Profile{Locale: strings.Repeat("x", 1<<20)}},
		"attributes":            {Username: "a", Attributes: json.RawMessage(`[1]`)},
		"attributes ":           {Username: "a", Attributes: json.RawMessage(`null`)},
		"attributes  ":          {Username: "a", Attributes: json.RawMessage(`{"a":1} {}`)},
		"attributes   ":         {Username: "a", Attributes: json.RawMessage(`{"a":`)},
		"attributes    ":        {Username: "a", Attributes: json.RawMessage(`{"a":"` + strings.Repeat("x", 16<<10) + `"}`)},
		"attributes     ":       {Username: "a", Attributes: json.RawMessage("{\"a\":\"\xff\"}")},
		"attributes      ":      {Username: "a", Attributes: json.RawMessage("{\"a\":\"\x00\"}")},
		"attributes       deep": {Username: "a", Attributes: json.RawMessage(deep + strings.Repeat(" ", 10<<10))},
	} {
		_, err := s.Create(t.Context(), storetest.Operator, d)
		want, _, _ := strings.Cut(field, " ")
		if f, ok := err.(*fault.Error); !ok || f.Kind != fault.Invalid || f.Field != want {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// Only an operator at the machine may say that an address was proved.
func TestWhoMaySayThatAnAddressWasProved(t *testing.T) {
	s := service(t)
	by := principal.Principal{Kind: principal.User, ID: "somebody", Scopes: []string{"admin"}}
	u, err := s.Create(t.Context(), by, account.Draft{Username: "ann", Email: "ann@example.com", EmailVerified: true})
	if err != nil || u.EmailVerified {
		t.Errorf("by an administrator: %v, %v", u.EmailVerified, err)
	}
	u, err = s.Create(t.Context(), storetest.Operator, account.Draft{Username: "bea", Email: "bea@example.com", EmailVerified: true})
	if err != nil || !u.EmailVerified {
		t.Errorf("by the operator: %v, %v", u.EmailVerified, err)
	}
	for email, verified := range map[string]bool{"BEA@example.com": true, "new@example.com": false, "bea@example.com": false} {
		u, err = s.Create(t.Context(), storetest.Operator, account.Draft{Username: "c" + strings.ToLower(email[:3]), Email: "c-" + email, EmailVerified: true})
		if err != nil {
			t.Fatal(err)
		}
		change := "c-" + email
		if email == "bea@example.com" {
			change = "" // taken away
		} else if !verified {
			change = "other-" + email
		}
		if u, err = s.Update(t.Context(), storetest.Operator, u.ID, account.Change{Email: &change}); err != nil || u.EmailVerified != verified {
			t.Errorf("changed to %q: verified %v, %v", change, u.EmailVerified, err)
		}
		if err := s.Delete(t.Context(), storetest.Operator, u.ID, u.Version, true); err != nil {
			t.Fatal(err)
		}
	}
}

// Nobody says of himself that his address was proved, nor does a key of his.
func TestNobodyVerifiesHimself(t *testing.T) {
	s := service(t)
	u, err := s.Create(t.Context(), storetest.Operator, account.Draft{Username: "ann", Email: "ann@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	self := principal.Principal{Kind: principal.User, ID: u.ID, Scopes: []string{"users:write"}}
	key := principal.Principal{Kind: principal.Key, ID: "k", Owner: principal.Owner{Kind: principal.User, ID: u.ID}, Scopes: self.Scopes}
	for _, by := range []principal.Principal{self, key} {
		for _, verified := range []bool{true, false} {
			_, err = s.Update(t.Context(), by, u.ID, account.Change{EmailVerified: &verified})
			storetest.Want(t, by.String(), err, fault.Denied)
		}
	}
	if u, err = s.Update(t.Context(), storetest.Operator, u.ID, account.Change{Email: to("ann@other.example"), EmailVerified: to(true)}); err != nil || !u.EmailVerified {
		t.Errorf("with another email: %v, %v", u.EmailVerified, err)
	}
	_, err = s.Update(t.Context(), storetest.Operator, u.ID, account.Change{Email: to(""), EmailVerified: to(true)})
	storetest.Want(t, "no email", err, fault.Invalid)
	if u, err = s.Update(t.Context(), storetest.Operator, u.ID, account.Change{EmailVerified: to(false)}); err != nil || u.EmailVerified {
		t.Errorf("taken back: %v, %v", u.EmailVerified, err)
	}
}

func TestUpdateLeavesTheRest(t *testing.T) {
	s := service(t)
	u, err := s.Create(t.Context(), storetest.Operator, account.Draft{
		Username: "Ann", Email: "ann@example.com", Name: "Ann", Profile: account.Profile{Nickname: "a"}, Attributes: json.RawMessage(`{"a":1}`),
	})
	if err != nil || u.Username != "ann" {
		t.Fatal(u, err)
	}
	got, err := s.Update(t.Context(), storetest.Operator, u.ID, account.Change{Name: to("Bea"), Version: 1})
	if err != nil || got.Name != "Bea" || got.Username != "ann" || got.Email != u.Email || got.Profile != u.Profile || string(got.Attributes) != `{"a":1}` || got.Version != 2 {
		t.Errorf("after a change of the name: %+v, %v", got, err)
	}
	_, err = s.Update(t.Context(), storetest.Operator, u.ID, account.Change{Name: to("Cleo"), Version: 1})
	storetest.Want(t, "an old version", err, fault.Stale)
	_, err = s.Update(t.Context(), storetest.Operator, u.ID, account.Change{Status: to(account.Status("gone"))})
	storetest.Want(t, "a status that is none", err, fault.Invalid)
	_, err = s.Update(t.Context(), storetest.Operator, "nobody", account.Change{})
	storetest.Want(t, "nobody", err, fault.NotFound)
	// Whoever is disabled does not make himself active.
	self := principal.Principal{Kind: principal.User, ID: u.ID, Scopes: []string{"users:write"}}
	if _, err = s.Update(t.Context(), storetest.Operator, u.ID, account.Change{Status: to(account.Disabled)}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Update(t.Context(), self, u.ID, account.Change{Status: to(account.Active)})
	storetest.Want(t, "enabling himself", err, fault.Denied)
	_, err = s.Update(t.Context(), self, u.ID, account.Change{Name: to("Eve")})
	storetest.Want(t, "changing his name", err, fault.Denied)
}

func TestByLogin(t *testing.T) {
	s := service(t)
	u, err := s.Create(t.Context(), storetest.Operator, account.Draft{Username: "ann", Email: "Ann@Bücher.example"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ann", "ANN", "ann@bücher.example", "ANN@xn--bcher-kva.example"} { // for an operator, proved or not
		if got, err := s.ByLogin(t.Context(), name); err != nil || got.ID != u.ID {
			t.Errorf("%q is %q, %v", name, got.ID, err)
		}
	}
	for _, name := range []string{"", "ann ", "an", "bea", "ann@example", u.ID, "\x00"} {
		_, err := s.ByLogin(t.Context(), name)
		storetest.Want(t, name, err, fault.NotFound)
	}
	for prefix, n := range map[string]int{"": 1, "A": 1, "ann@B": 0, "ann@xn--": 1, "ann@Bücher.example": 1, "x": 0, "a b": 0} {
		if list, err := s.List(t.Context(), account.Filter{Prefix: prefix, Limit: 10}); err != nil || len(list) != n {
			t.Errorf("%q begins %d, %v; want %d", prefix, len(list), err, n)
		}
	}
}

// What this process keeps of an account is what it was when it last changed.
func TestKeptUntilTold(t *testing.T) {
	st := storetest.Open(t, storetest.SQLite(t), store.Options{})
	s, other := account.NewService(st, clock.Wall()), account.NewService(st, clock.Wall())
	u, err := s.Create(t.Context(), storetest.Operator, account.Draft{Username: "ann", Name: "Ann"})
	if err != nil {
		t.Fatal(err)
	}
	name := func() string {
		t.Helper()
		u, err := s.User(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		return u.Name
	}
	if name() != "Ann" {
		t.Fatal(name())
	}
	if _, err := other.Update(t.Context(), storetest.Operator, u.ID, account.Change{Name: to("Bea")}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Fresh(t.Context(), u.ID); err != nil || got.Name != "Bea" {
		t.Errorf("fresh it is %q, %v", got.Name, err)
	}
	if name() != "Ann" {
		t.Error("nothing was kept")
	}
	s.Apply(feed.Change{Topic: feed.Account, Key: "another", At: time.Now()})
	if name() != "Ann" {
		t.Error("another's change was taken for its own")
	}
	s.Apply(feed.Change{Topic: feed.Account, Key: u.ID})
	if name() != "Bea" {
		t.Error("the change was not followed")
	}
	if _, err := other.Update(t.Context(), storetest.Operator, u.ID, account.Change{Name: to("Cleo")}); err != nil {
		t.Fatal(err)
	}
	s.Apply(feed.Change{Topic: feed.Gap})
	if name() != "Cleo" {
		t.Error("a gap was not followed")
	}
}
