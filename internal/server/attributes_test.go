package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/servertest"
)

// attributes returns those of an account as an answer writes them, without spaces.
func attributes(t *testing.T, a servertest.Answer) string {
	t.Helper()
	var u struct{ Attributes json.RawMessage }
	if a.Status >= 300 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	a.JSON(t, &u)
	return string(u.Attributes)
}

// A number in the attributes is the application's: it keeps all of its digits,
// whoever writes it, reads it, or changes something beside it.
func TestAttackNumbersLoseNoDigits(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		root := s.Login(t, servertest.Admin).Access
		send := func(method, path, body string) servertest.Answer {
			t.Helper()
			return s.Send(t, method, path, jsonType, body, "Authorization", "Bearer "+root)
		}
		const numbers = `{"big":12345678901234567890,"exact":0.1000000000000000055511151231257827,"exponent":1E+300,"in":{"a":[9007199254740993,{"b":-0.10}],"b":1e2},"odd":9007199254740993,"plain":7,"small":1e-400,"zero":-0}`
		made := send("POST", "/users", `{"username":"num","password":"`+servertest.Password+`","attributes":`+numbers+`}`)
		var u struct{ ID string }
		if made.JSON(t, &u); made.Status != http.StatusCreated {
			t.Fatalf("%d %s", made.Status, made.Body)
		}
		token := s.Login(t, "num").Access
		same := func(what string, a servertest.Answer, want string) {
			t.Helper()
			if got := attributes(t, a); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		same("made", made, numbers)
		same("read", send("GET", "/users/"+u.ID, ""), numbers)
		same("read by himself", s.Call(t, token, "GET", "/users/me", nil), numbers)
		if a := send("GET", "/users?q=num", ""); !strings.Contains(a.Body, `"attributes":`+numbers) {
			t.Errorf("listed: %s", a.Body)
		}
		same("his name changed by himself", s.Send(t, "PATCH", "/users/me", jsonType, `{"name":"N"}`, "Authorization", "Bearer "+token), numbers)
		same("his status changed", send("PATCH", "/users/"+u.ID, `{"status":"active"}`), numbers)
		next := strings.Replace(strings.Replace(numbers, `"plain":7`, `"plain":98765432109876543210`, 1), `"b":1e2`, `"b":3.00`, 1)
		same("two of them changed", send("PATCH", "/users/"+u.ID, `{"attributes":{"plain":98765432109876543210,"in":{"b":3.00}}}`), next)
		same("read again", send("GET", "/users/"+u.ID, ""), next)
		same("one taken away", send("PATCH", "/users/"+u.ID, `{"attributes":{"big":null}}`), strings.Replace(next, `"big":12345678901234567890,`, "", 1))
		same("all taken away", send("PATCH", "/users/"+u.ID, `{"attributes":null}`), "{}")
		same("given again", send("PATCH", "/users/"+u.ID, `{"attributes":`+numbers+`}`), numbers)
		for _, none := range []string{"null", "7", `"x"`, "[]", "[{}]", "12345678901234567890", `{"past what others can read":1e400}`} {
			for method, path := range map[string]string{"POST": "/users", "PATCH": "/users/" + u.ID} {
				if method == "PATCH" && none == "null" {
					continue
				}
				body := `{"username":"none","attributes":` + none + `}`
				if a := send(method, path, body); a.Status != http.StatusBadRequest {
					t.Errorf("%s %s: %d %s", method, body, a.Status, a.Body)
				}
			}
		}
	})
}
