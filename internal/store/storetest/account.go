package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
)

// instant is a time that no database keeps but in microseconds of UTC.
var instant = time.Date(2026, 2, 28, 23, 59, 59, 999_999_000, time.UTC)

// person returns an account with every field set.
func person(t testing.TB, name string) account.User {
	t.Helper()
	email, err := account.ParseEmail(name + "@Example.com")
	if err != nil {
		t.Fatal(err)
	}
	return account.User{
		ID: id.New(instant), Username: name, Email: email, EmailVerified: true, Status: account.Active, Name: "Ann “the Ox” O'Neil ✓",
		Profile: account.Profile{GivenName: "Ann", Locale: "de-AT"}, Attributes: json.RawMessage(`{"a": "\u0000", "b":[1,2]}`),
		CreatedAt: instant, UpdatedAt: instant.Add(time.Microsecond), Version: 1,
	}
}

func event(a audit.Action, target string) audit.Event {
	return audit.Now(Operator, instant, a, target)
}

func create(t testing.TB, s *store.Store, u account.User) account.User {
	t.Helper()
	if err := s.CreateUser(t.Context(), Operator, u, Stored, event(audit.UserCreated, u.Target())); err != nil {
		t.Fatal(err)
	}
	return u
}

// Want fails the test if err is not of a kind; 0 stands for no error.
func Want(t testing.TB, what string, err error, want fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != want || want == 0 && err != nil {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// Accounts is the contract of account.Store.
func Accounts(t *testing.T, s *store.Store, _ *Witness) {
	t.Run("as written", func(t *testing.T) { accountsAsWritten(t, s) })
	t.Run("taken", func(t *testing.T) { accountsTaken(t, s) })
	t.Run("logins", func(t *testing.T) { logins(t, s) })
	t.Run("changes", func(t *testing.T) { accountChanges(t, s) })
	t.Run("deletion", func(t *testing.T) { accountDeletion(t, s) })
	t.Run("pages", func(t *testing.T) { accountPages(t, s) })
	t.Run("prefix", func(t *testing.T) { accountPrefix(t, s) })
	t.Run("once", func(t *testing.T) { accountOnce(t, s) })
	t.Run("ids from outside", func(t *testing.T) { accountIDs(t, s) })
}

func accountsAsWritten(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "written"))
	u.HasPassword = true
	got, err := s.User(t.Context(), u.ID)
	if err != nil || !reflect.DeepEqual(got, u) {
		t.Errorf("User = %+v, %v; want %+v", got, err, u)
	}
	if got.CreatedAt != u.CreatedAt || got.CreatedAt.Location() != time.UTC {
		t.Errorf("it was made at %v, want %v", got.CreatedAt, u.CreatedAt)
	}
	c, err := s.CredentialOf(t.Context(), account.Login{Username: "written"})
	if err != nil || c.Password != Stored || !reflect.DeepEqual(c.User, u) {
		t.Errorf("CredentialOf = %+v, %v", c, err)
	}
	bare := account.User{ID: id.New(instant), Username: "bare", Status: account.Active, Attributes: json.RawMessage("{}"), Version: 1}
	if err := s.CreateUser(t.Context(), Operator, bare, "", event(audit.UserCreated, bare.Target())); err != nil {
		t.Fatal(err)
	}
	if got, err := s.User(t.Context(), bare.ID); err != nil || !reflect.DeepEqual(got, bare) {
		t.Errorf("an account with nothing to it: %+v, %v; want %+v", got, err, bare)
	}
}

// Two accounts never answer to one name or address; any number has no address.
func accountsTaken(t *testing.T, s *store.Store) {
	first := create(t, s, person(t, "taken"))
	for range 2 {
		none := person(t, "none-"+strings.ToLower(id.New(instant)))
		none.Email = account.Email{}
		create(t, s, none)
	}
	for field, change := range map[string]func(*account.User){
		"username": func(u *account.User) { u.Username = "taken" },
		"email":    func(u *account.User) { u.Email, _ = account.ParseEmail("TAKEN@EXAMPLE.COM") },
	} {
		u := person(t, "other-"+field)
		change(&u)
		conflict(t, "creating", field, s.CreateUser(t.Context(), Operator, u, Stored, event(audit.UserCreated, u.Target())))
		if _, err := s.User(t.Context(), u.ID); fault.KindOf(err) != fault.NotFound {
			t.Errorf("what was refused is there: %v", err)
		}
		u = create(t, s, person(t, "another-"+field))
		change(&u)
		_, err := s.UpdateUser(t.Context(), Operator, u, event(audit.UserUpdated, u.Target()))
		conflict(t, "changing", field, err)
	}
	// Of many at once one gets the name.
	var made atomic.Int64
	parallel(10, func(int) {
		u := person(t, "wanted")
		err := s.CreateUser(context.WithoutCancel(t.Context()), Operator, u, Stored, event(audit.UserCreated, u.Target()))
		if err == nil {
			made.Add(1)
		} else if fault.KindOf(err) != fault.Conflict {
			t.Errorf("creating at once: %v", err)
		}
	})
	if made.Load() != 1 {
		t.Errorf("%d accounts of one name were made", made.Load())
	}
	if got, err := s.User(t.Context(), first.ID); err != nil || got.Version != 1 {
		t.Errorf("the first one is now %+v, %v", got, err)
	}
}

func conflict(t *testing.T, doing, field string, err error) {
	t.Helper()
	if f, ok := asFault(err); !ok || f.Kind != fault.Conflict || f.Field != field {
		t.Errorf("%s with another's %s: %#v, want a Conflict there", doing, field, err)
	}
}

// parallel runs f n times at once and waits for all.
func parallel(n int, f func(i int)) {
	begin := make(chan struct{})
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { <-begin; f(i) })
	}
	close(begin)
	wait.Wait()
}

func logins(t *testing.T, s *store.Store) {
	proved, unproved := person(t, "proved"), person(t, "unproved")
	unproved.EmailVerified = false
	create(t, s, proved)
	create(t, s, unproved)
	for _, l := range []struct {
		login account.Login
		want  string
	}{
		{account.Login{Username: "proved"}, proved.ID},
		{account.Login{EmailKey: "proved@example.com"}, proved.ID},
		{account.Login{EmailKey: "unproved@example.com", Unverified: true}, unproved.ID},
		{account.Login{EmailKey: "unproved@example.com"}, ""},
		{account.Login{Username: "Proved"}, ""}, // it is compared as it is: parsing folds
		{account.Login{Username: "proved "}, ""},
		{account.Login{Username: "proved\x00"}, ""},
		{account.Login{Username: "prove_"}, ""},
		{account.Login{Username: "%"}, ""},
		{account.Login{Username: "proved' OR '1'='1"}, ""},
		{account.Login{EmailKey: "proved@example.com\x00"}, ""},
		{account.Login{}, ""},
	} {
		c, err := s.CredentialOf(t.Context(), l.login)
		switch {
		case l.want == "":
			Want(t, fmt.Sprintf("%+v", l.login), err, fault.NotFound)
		case err != nil || c.User.ID != l.want:
			t.Errorf("%+v is %q, %v", l.login, c.User.Username, err)
		}
	}
}

func accountChanges(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "changing"))
	u.Name, u.UpdatedAt, u.Profile.Website, u.EmailVerified = "Bea", instant.Add(time.Hour), "https://bea.example", false
	changed, err := s.UpdateUser(t.Context(), Operator, u, event(audit.UserUpdated, u.Target()))
	if err != nil || changed.Version != 2 {
		t.Fatalf("UpdateUser = %+v, %v", changed, err)
	}
	kept, err := s.User(t.Context(), u.ID)
	changed.HasPassword = true
	if err != nil || !reflect.DeepEqual(kept, changed) {
		t.Errorf("kept is %+v, %v; want %+v", kept, err, changed)
	}
	_, err = s.UpdateUser(t.Context(), Operator, u, event(audit.UserUpdated, u.Target()))
	Want(t, "an old version", err, fault.Stale)
	u.Version = 3
	_, err = s.UpdateUser(t.Context(), Operator, u, event(audit.UserUpdated, u.Target()))
	Want(t, "a version to come", err, fault.Stale)
	nobody := person(t, "nobody")
	_, err = s.UpdateUser(t.Context(), Operator, nobody, event(audit.UserUpdated, nobody.Target()))
	Want(t, "an account that is not there", err, fault.Stale)

	var done atomic.Int64
	parallel(10, func(int) {
		if _, err := s.UpdateUser(context.WithoutCancel(t.Context()), Operator, kept, event(audit.UserUpdated, u.Target())); err == nil {
			done.Add(1)
		} else if fault.KindOf(err) != fault.Stale {
			t.Errorf("changing at once: %v", err)
		}
	})
	if done.Load() != 1 {
		t.Errorf("of ten changes of one version %d were made", done.Load())
	}
}

func accountDeletion(t *testing.T, s *store.Store) {
	u := create(t, s, person(t, "going"))
	e := event(audit.UserDeleted, u.Target())
	Want(t, "an old version", s.DeleteUser(t.Context(), Operator, account.Deletion{ID: u.ID, Version: 7}, e), fault.Stale)
	Want(t, "the version", s.DeleteUser(t.Context(), Operator, account.Deletion{ID: u.ID, Version: 1}, e), 0)
	Want(t, "once more", s.DeleteUser(t.Context(), Operator, account.Deletion{ID: u.ID, Version: 1}, e), fault.NotFound)
	_, err := s.User(t.Context(), u.ID)
	Want(t, "reading it", err, fault.NotFound)
	again := create(t, s, person(t, "going")) // the name and the address are free
	Want(t, "any version", s.DeleteUser(t.Context(), Operator, account.Deletion{ID: again.ID}, event(audit.UserDeleted, again.Target())), 0)
}

func accountPages(t *testing.T, s *store.Store) {
	made := map[string]account.Status{}
	for i := range 23 {
		u := person(t, fmt.Sprintf("paged-%02d", i))
		u.ID = id.New(instant.Add(time.Duration(i) * time.Second))
		if i%3 == 0 {
			u.Status = account.Disabled
		}
		made[create(t, s, u).ID] = u.Status
	}
	for _, status := range []account.Status{"", account.Active, account.Disabled} {
		f := account.Filter{Status: status, Prefix: "paged-", Limit: 4}
		var ids []string
		for {
			page, err := s.Users(t.Context(), f)
			if err != nil || len(page) > f.Limit {
				t.Fatalf("a page of %d accounts, %v", len(page), err)
			}
			for _, u := range page {
				if made[u.ID] != u.Status || status != "" && u.Status != status {
					t.Errorf("%s is %s in the list of %q", u.Username, u.Status, status)
				}
				ids = append(ids, u.ID)
			}
			if len(page) < f.Limit {
				break
			}
			f.After = page[len(page)-1].ID
		}
		want := 0
		for _, is := range made {
			if status == "" || is == status {
				want++
			}
		}
		if len(slices.Compact(slices.Clone(ids))) != want || !slices.IsSorted(ids) {
			t.Errorf("the pages of %q hold %d accounts, want %d in order: %q", status, len(ids), want, ids)
		}
	}
}

// What is typed into a search is text: nothing in it is a pattern or a quote.
func accountPrefix(t *testing.T, s *store.Store) {
	email := func(name, address string) {
		u := person(t, name)
		var err error
		if u.Email, err = account.ParseEmail(address); err != nil {
			t.Fatal(err)
		}
		create(t, s, u)
	}
	email("pre_fix", "p%q@example.com")
	email("pre-fix", "p'q@example.com")
	email("prefix", "größe@example.com")
	email("other", "pre.mail@example.com")
	email("zoe", "zoë@bücher.example")
	for prefix, want := range map[string]string{
		"pre":                   "other pre-fix pre_fix prefix",
		"pre_":                  "pre_fix", // not any character
		"pre-":                  "pre-fix",
		"p%":                    "pre_fix", // not anything
		"p'":                    "pre-fix",
		"p''":                   "",
		"gr":                    "prefix",
		"größe":                 "prefix",
		"größe@example.com":     "prefix",
		"zoë@xn--bcher":         "zoe",
		"%":                     "",
		"_":                     "",
		"\\":                    "",
		"pre\x00":               "",
		"'; DROP TABLE users":   "",
		"pre.mail@example.com.": "",
	} {
		page, err := s.Users(t.Context(), account.Filter{Prefix: prefix, Limit: 200})
		var names []string
		for _, u := range page {
			names = append(names, u.Username)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%q begins %q, %v; want %q", prefix, got, err, want)
		}
	}
}

// A change that is named has one effect, however often and however many at once
// ask for it.
func accountOnce(t *testing.T, s *store.Store) {
	named := func(key, body string) principal.Principal {
		by := Operator
		by.Origin.Once = principal.Once{Key: key, Request: body}
		return by
	}
	make := func(by principal.Principal, u account.User) error {
		return s.CreateUser(context.WithoutCancel(t.Context()), by, u, "", audit.Now(by, instant, audit.UserCreated, u.Target()))
	}
	var mu sync.Mutex
	var first string
	replayed := map[string]int{}
	parallel(20, func(i int) {
		u := person(t, fmt.Sprintf("once-%d", i))
		err := make(named("key", "body"), u)
		mu.Lock()
		defer mu.Unlock()
		if f, ok := asFault(err); ok && f.Kind == fault.Replayed {
			replayed[f.ID]++
		} else if err == nil && first == "" {
			first = u.Target()
		} else {
			t.Errorf("at once: %v, and the first was %q", err, first)
		}
	})
	if len(replayed) != 1 || replayed[first] != 19 {
		t.Errorf("the first was %q, and the others were told of %v", first, replayed)
	}
	another := person(t, "once-another")
	if f, ok := asFault(make(named("key", "another body"), another)); !ok || f.Kind != fault.Invalid || f.Field != "Idempotency-Key" {
		t.Errorf("the key for another request: %#v", f)
	}
	if _, err := s.User(t.Context(), another.ID); fault.KindOf(err) != fault.NotFound {
		t.Errorf("it was done: %v", err)
	}
	// What was refused did not happen, so its name is free.
	taken := person(t, "once-taken")
	taken.Username = create(t, s, person(t, "once-there")).Username
	Want(t, "a name that is taken", make(named("key2", "body"), taken), fault.Conflict)
	Want(t, "the same request, which can be done now", make(named("key2", "body"), person(t, "once-free")), 0)
	Want(t, "another key", make(named("key3", "body"), person(t, "once-third")), 0)
}

// An id that a caller wrote may be any bytes: none is an error of ours.
func accountIDs(t *testing.T, s *store.Store) {
	for _, bad := range []string{"", "\x00", "a\x00b", "\xff\xfe", "' OR 1=1 --", "%", strings.Repeat("x", 10_000), "\u202e"} {
		_, err := s.User(t.Context(), bad)
		Want(t, fmt.Sprintf("User(%.20q)", bad), err, fault.NotFound)
		Want(t, fmt.Sprintf("DeleteUser(%.20q)", bad), s.DeleteUser(t.Context(), Operator, account.Deletion{ID: bad}, event(audit.UserDeleted, "user:x")), fault.NotFound)
	}
}
