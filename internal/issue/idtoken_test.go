package issue_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/issue"
)

func TestClaims(t *testing.T) {
	email, err := account.ParseEmail("ana@example.com")
	if err != nil {
		t.Fatal(err)
	}
	u := account.User{
		ID: "id", Username: "ana", Email: email, Name: "Ana", Profile: account.Profile{Nickname: "an", Zoneinfo: "Europe/Lisbon"}, UpdatedAt: time.Unix(1700000000, 0),
		Attributes: json.RawMessage(`{"phone_number":"+351","address":{"country":"PT"},"sub":"x","iss":"x","department":"x","email":"evil@example.com","email_verified":true}`),
	}
	for _, c := range []struct {
		scope, names []string
		want         []string
	}{
		{nil, nil, nil},
		{[]string{"openid", "read", "offline_access"}, nil, nil},
		{[]string{"email"}, nil, []string{"email", "email_verified"}},
		{[]string{"profile"}, nil, []string{"name", "nickname", "preferred_username", "updated_at", "zoneinfo"}},
		{[]string{"phone", "address"}, nil, []string{"address", "phone_number"}},
		{nil, []string{"email"}, []string{"email"}},
		{nil, []string{"sub", "iss", "aud", "department", "password", "", "roles", "email_verified", "gender"}, []string{"email_verified"}},
		{[]string{"email"}, []string{"name"}, []string{"email", "email_verified", "name"}},
	} {
		got := issue.Claims(u, c.scope, c.names)
		if !slices.Equal(slices.Sorted(maps.Keys(got)), c.want) {
			t.Errorf("%q and %q: %v; want %q", c.scope, c.names, got, c.want)
		}
	}
	// An address that nobody verified is told as that, whatever an attribute says.
	if got := issue.Claims(u, []string{"email"}, nil); got["email"] != "ana@example.com" || got["email_verified"] != false {
		t.Errorf("%v", got)
	}
	if got := issue.Claims(account.User{ID: "id"}, []string{"email", "phone", "address"}, nil); len(got) != 0 {
		t.Errorf("of nobody: %v", got)
	}
	for _, bad := range []string{"", "[]", `"x"`, "{"} {
		u.Attributes = json.RawMessage(bad)
		if got := issue.Claims(u, []string{"phone"}, nil); len(got) != 0 {
			t.Errorf("attributes %s: %v", bad, got)
		}
	}
}
