package server_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// What somebody sends as a secret, or in a place where secrets are sent by mistake,
// is found in no log, in no table and in no answer. Who somebody is stands in the
// erasable part of the audit log, and nowhere else in it.
func TestAttackAUD002Canaries(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		var planted []string
		plant := func() string {
			c := servertest.Canary(t)
			planted = append(planted, c)
			return c
		}
		// These are no secrets: they stand for a person.
		agent, name, family := "agent-of-ann", "Annabella", "Nightingale"
		secrets := map[string]string{}
		for _, what := range []string{
			"password", "wrong password", "new password", "current password", "created password", "refresh", "bearer", "basic", "api key", "query", "query of a token", "form name", "form value", "form parameter", "json name",
			"json value", "json number place", "nested", "idempotency", "if-match", "cookie", "scope", "client", "resource", "grant type", "username", "email", "fragment of a path", "path", "body of a get", "content type", "other header",
			"client secret", "client secret in the header", "client secret for an id", "id in the header", "client assertion", "token to judge", "token type hint",
		} {
			secrets[what] = plant()
		}
		var answers strings.Builder
		var rows, private []string
		log := logged(t, func() {
			s := servertest.Start(t, servertest.Options{DSN: dsn})
			keep := func(a servertest.Answer) servertest.Answer {
				answers.WriteString(a.Body + without(a.Header) + "\n")
				return a
			}
			form := func(path string, pairs ...string) servertest.Answer {
				v := url.Values{}
				for i := 0; i < len(pairs); i += 2 {
					v.Add(pairs[i], pairs[i+1])
				}
				return keep(s.Send(t, "POST", path, "application/x-www-form-urlencoded", v.Encode(), "User-Agent", agent))
			}
			json := func(token, method, path, body string, headers ...string) servertest.Answer {
				return keep(s.Send(t, method, path, "application/json", body, append(headers, "Authorization", "Bearer "+token, "User-Agent", agent)...))
			}
			root := s.Login(t, servertest.Admin).Access
			if a := json(root, "POST", "/users", `{"username":"ann","email":"ann@nightingale.example","name":"`+name+`","profile":{"family_name":"`+family+`"},"password":"`+secrets["password"]+`"}`); a.Status != http.StatusCreated {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			json(root, "POST", "/users", `{"username":"ann","password":"`+secrets["created password"]+`"}`)
			json(root, "POST", "/users", `{"username":["`+secrets["json value"]+`"]}`)
			json(root, "POST", "/users", `{"username":{"password":"`+secrets["nested"]+`"}}`)
			json(root, "POST", "/users", `{"username":"x","email":"`+secrets["email"]+`"}`)
			json(root, "POST", "/users", `{"username":"`+secrets["username"]+` "}`)
			json(root, "POST", "/users", `{"username":"bob"}`, "Idempotency-Key", secrets["idempotency"])
			json(root, "POST", "/users", `{"username":"bob2"}`, "Idempotency-Key", secrets["idempotency"])
			json(root, "PATCH", "/users/me", `{"name":"`+secrets["json number place"]+"\\u0000"+`"}`)
			json(root, "PATCH", "/users/me", `{"name":"Root"}`, "If-Match", `"`+secrets["if-match"]+`"`)
			tokens := pair(t, form("/auth/login", "username", "ann", "password", secrets["password"], "comment", secrets["form parameter"]))
			planted = append(planted, tokens.Access[strings.LastIndex(tokens.Access, ".")+1:])
			form("/auth/login", "username", "ann", "password", secrets["wrong password"])
			form("/auth/login", "username", secrets["form value"], "password", "x")
			form("/auth/login", "username", secrets["form value"]+"@example.com", "password", "x")
			form("/auth/login", secrets["form name"], "x", "username", "ann", "password", "y")
			form("/auth/login", "username", "ann", "password", "x", "scope", secrets["scope"]+"\n")
			form("/auth/login", "username", "ann", "password", "x", "client_id", secrets["client"])
			form("/auth/login", "username", "ann", "password", "x", "resource", secrets["resource"])
			form("/auth/login", "username", "ann", "password", "x", "grant_type", secrets["grant type"])
			form("/auth/refresh", "refresh_token", secrets["refresh"])
			form("/auth/refresh", "refresh_token", "dwr_"+secrets["refresh"])
			form("/auth/logout", "refresh_token", secrets["refresh"])
			keep(s.Send(t, "POST", "/auth/login", "application/json", `{"`+secrets["json name"]+`":"x"}`))
			keep(s.Send(t, "POST", "/auth/login", secrets["content type"], "x"))
			for _, authorization := range []string{
				"Bearer " + secrets["bearer"], "bearer " + secrets["bearer"], secrets["bearer"], "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+secrets["basic"])), "DPoP " + secrets["bearer"],
			} {
				keep(s.Send(t, "GET", "/users/me", "", "", "Authorization", authorization))
			}
			keep(s.Send(t, "GET", "/users/me", "", "", "X-API-Key", "dwk_"+secrets["api key"]))
			keyMade(t, s, root, map[string]any{})
			own, _ := keyMade(t, s, tokens.Access, map[string]any{"name": "hers"})
			wrong := sealedKey(own.id, strings.Repeat("7", 43))
			planted = append(planted, own.text, wrong)
			for _, text := range []string{own.text, wrong, "dwk_" + secrets["api key"]} {
				keep(s.Send(t, "GET", "/users/me", "", "", "Authorization", "Bearer "+text, "User-Agent", agent))
				json(root, "POST", "/api-keys/verify", `{"key":"`+text+`"}`)
				keep(s.Call(t, root, "GET", "/api-keys/"+text, nil))
			}
			json(root, "POST", "/api-keys", `{"name":"x","scopes":["`+secrets["scope"]+`*"],"expires_in":60}`)
			made := clientOf(t, s)
			planted = append(planted, made.secret, base64.StdEncoding.EncodeToString([]byte(made.id+":"+made.secret)))
			for _, p := range proofs {
				p.keep(t, s, keep, made, secrets)
			}
			keep(s.Send(t, "GET", "/users/me", "", "", "Cookie", "session="+secrets["cookie"], "X-Secret", secrets["other header"]))
			keep(s.Send(t, "GET", "/users/me?access_token="+secrets["query of a token"], "", ""))
			keep(s.Call(t, root, "GET", "/users?q="+secrets["query"], nil))
			keep(s.Call(t, root, "GET", "/users?after="+secrets["query"], nil))
			keep(s.Call(t, root, "GET", "/nosuch?password="+secrets["query"], nil))
			keep(s.Call(t, root, "GET", "/users/"+secrets["fragment of a path"], nil))
			keep(s.Call(t, root, "GET", "/auth/refresh/dwr_"+strings.Repeat("x", 48)+secrets["path"], nil))
			keep(s.Send(t, "GET", "/users/me", "text/plain", secrets["body of a get"], "Authorization", "Bearer "+root))
			json(tokens.Access, "POST", "/users/me/password", `{"current_password":"`+secrets["current password"]+`","new_password":"x"}`)
			json(tokens.Access, "POST", "/users/me/password", `{"current_password":"`+secrets["password"]+`","new_password":"`+secrets["new password"]+`"}`)
			db := database(t, s)
			for _, table3 := range tables(t, db) {
				if table3 == "audit_packs" { // the same, event by event
					table3 = "audit_waiting"
				}
				if table3 == "audit_leaves" || table3 == "audit_waiting" {
					private = append(private, table(t, db, "(SELECT private FROM "+table3+" WHERE private <> '') AS p")...)
					table3 = "(SELECT id, at, action, outcome, actor, target, data FROM " + table3 + ") AS p"
				}
				for _, row := range table(t, db, table3) {
					rows = append(rows, table3+": "+row)
				}
			}
			s.Stop()
			rows = append(rows, table(t, db, "audit_counts")...) // written at the end
		})
		if !strings.Contains(log, "POST /auth/login") || len(rows) < 20 || len(private) < 5 {
			t.Fatal("nothing was read, so nothing was searched")
		}
		for _, secret := range planted {
			encoded := base64.StdEncoding.EncodeToString([]byte("ann:" + secret))
			for where, text := range map[string]string{"the log": log, "a table": strings.Join(rows, "\n"), "the private audit log": strings.Join(private, "\n"), "an answer": answers.String()} {
				if strings.Contains(text, secret) && (where != "an answer" || strings.HasPrefix(secret, "canary-")) || strings.Contains(text, encoded) {
					what := "a token"
					for w, s := range secrets {
						if s == secret {
							what = w
						}
					}
					t.Errorf("%s holds the %s", where, what)
				}
			}
		}
		for _, personal := range []string{agent, name, family, "ann@nightingale", "ann"} {
			for _, row := range rows {
				if strings.HasPrefix(row, "audit_") && hasWord(row, personal) {
					t.Errorf("the public part of the audit log tells of a person: %s in %s", personal, row)
				}
			}
			if hasWord(log, personal) {
				t.Errorf("the log tells of a person: %s", personal)
			}
		}
		if !slices.ContainsFunc(private, func(r string) bool { return strings.Contains(r, agent) }) || !slices.ContainsFunc(private, func(r string) bool { return strings.Contains(r, "ann@nightingale.example") }) {
			t.Error("the private part of the audit log does not tell who it was")
		}
	})
}

// hasWord reports whether a text holds a word, not only as a part of another.
func hasWord(text, word string) bool {
	for {
		i := strings.Index(text, word)
		if i < 0 {
			return false
		}
		letter := func(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' }
		before, after := i > 0 && letter(text[i-1]), i+len(word) < len(text) && letter(text[i+len(word)])
		if !before && !after {
			return true
		}
		text = text[i+1:]
	}
}
