package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/ssf"
	"github.com/doorward/doorward/internal/store/storetest"
)

// Every action that the log knows can be caused, and then is in the log (AUD-003).
// TestAttackAUD003Completeness looks closer at what comes through the API.
func TestAttackAUD003EveryAction(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		c := &steered{}
		s := servertest.Start(t, servertest.Options{
			DSN: dsn, Tweak: c.tweak,
			Set: also(strict, "rate_limit.global", "100/1m"),
		})
		start := map[audit.Action]bool{
			audit.ServerStarted: true, audit.PepperCreated: true, audit.AuditKeyCreated: true, audit.SigningKeyCreated: true,
		}
		elsewhere := map[audit.Action]string{audit.AuditExported: "cmd/doorward/testdata/audit-verify.txt"}
		causes := append(append(causesOfPeople(t, s, c), causesOfOperators(t, s)...), causesThatSpoil(t, s, c)...)
		caused := map[audit.Action]bool{}
		for _, cause := range causes {
			before := len(events(t, s, string(cause.action)))
			cause.do()
			if now := len(events(t, s, string(cause.action))); now <= before {
				t.Errorf("%s: there were %d events, and there are %d after it was caused", cause.action, before, now)
			}
			caused[cause.action] = true
		}
		for action := range start {
			if n := len(events(t, s, string(action))); n == 0 {
				t.Errorf("%s: the start left no event", action)
			}
		}
		for _, action := range audit.Actions() {
			if !caused[action] && !start[action] && elsewhere[action] == "" {
				t.Errorf("%s: nothing here causes it", action)
			}
		}
	})
}

// cause is how an action comes about.
type cause struct {
	action audit.Action
	do     func()
}

// causesOfPeople are what people do, each to an account of its own.
func causesOfPeople(t *testing.T, s *servertest.Site, c *steered) []cause {
	t.Helper()
	for _, name := range []string{"ann", "bea", "cid", "dan", "eve", "fay"} {
		s.User(t, name, "viewer")
	}
	kept := s.Login(t, "bea").Refresh
	old := s.Login(t, "eve").Refresh
	browser, flow := s.Browser(t), s.Browser(t)
	flow.Login(t, "bea")
	secret, spent := app(t, s, "ours", func(d *client.Draft) { d.SkipConsent = true }), ""
	app(t, s, "theirs", nil)
	change := func(now, next string, want int) {
		a := s.Call(t, s.Login(t, "cid").Access, http.MethodPost, "/users/me/password", map[string]any{"current_password": now, "new_password": next})
		if a.Status != want {
			t.Errorf("a change of the password: %d %s", a.Status, a.Body)
		}
	}
	return []cause{
		{audit.LoginSucceeded, func() { s.Login(t, "ann") }},
		{audit.LoginFailed, func() { login(t, s, "ann", "wrong") }},
		{audit.TokenIssued, func() { s.Login(t, "ann") }},
		{audit.TokenRefreshed, func() { s.Refresh(t, kept) }},
		{audit.TokenReused, func() {
			c.pass(time.Minute) // past the grace
			s.Refresh(t, kept)
		}},
		{audit.TokenRevoked, func() { s.Form(t, "/auth/logout", "refresh_token", s.Login(t, "ann").Refresh) }},
		{audit.SessionStarted, func() { signIn(t, browser, "dan") }},
		{audit.SessionEnded, func() { browser.Submit(t, "/account", "/account/signout") }},
		{audit.CodeIssued, func() { spent = code(t, flow, authorizing("ours")) }},
		{audit.CodeReused, func() {
			for range 2 {
				redeem(t, s, "ours", secret, spent)
			}
		}},
		{audit.ConsentDenied, func() { consent(t, flow, flow.Send(t, http.MethodGet, authorizing("theirs"), "", ""), "deny") }},
		{audit.ConsentGiven, func() { code(t, flow, authorizing("theirs")) }},
		{audit.ConsentWithdrawn, func() { flow.Submit(t, "/account", "/account/apps/theirs/withdraw") }},
		{audit.ClientNotTold, func() { // there is nobody at the place, and it is inside
			app(t, s, "deaf", func(d *client.Draft) {
				d.SkipConsent, d.Method, d.BackchannelLogoutURI = true, "none", "https://localhost:8443/"
			})
			b := s.Browser(t)
			arrives(t, b, "bea", "deaf")
			b.Submit(t, "/account", "/account/signout")
			for began := time.Now(); len(events(t, s, string(audit.ClientNotTold))) == 0 && time.Since(began) < 10*time.Second; {
				time.Sleep(20 * time.Millisecond)
			}
		}},
		{audit.DeviceRefused, func() { flow.Send(t, http.MethodGet, "/oauth2/device?user_code=BBBB-BBBB", "", "") }},
		{audit.PasswordChangeFailed, func() { change("wrong password", "another one of mine", http.StatusForbidden) }},
		{audit.PasswordChanged, func() { change(servertest.Password, "another one of mine", http.StatusNoContent) }},
		{audit.LoginLocked, func() {
			for n := range 5 {
				login(t, s, "fay", fmt.Sprint("wrong", n))
			}
		}},
		{audit.TokenRefused, func() {
			c.pass(400 * 24 * time.Hour)
			s.Refresh(t, old)
		}},
	}
}

// causesOfOperators are what administrators do, and the commands.
func causesOfOperators(t *testing.T, s *servertest.Site) []cause {
	t.Helper()
	by, gus, joins := servertest.Operator, s.User(t, "gus"), s.User(t, "belongs")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	call := func(method, path string, body any) func() {
		return func() {
			if a := s.Call(t, s.Login(t, servertest.Admin).Access, method, path, body); a.Status >= 300 {
				t.Errorf("%s %s: %d %s", method, path, a.Status, a.Body)
			}
		}
	}
	type m = map[string]any
	path := "/users/" + gus.ID
	var key held
	keyed := s.User(t, "kim").ID
	var stream string
	var opened streamConfig
	hears := hearing(t, s, "hears", nil)
	return []cause{
		{audit.UserCreated, call(http.MethodPost, "/users", m{"username": "new"})},
		{audit.UserUpdated, call(http.MethodPatch, path, m{"name": "Gus"})},
		{audit.UserDisabled, call(http.MethodPatch, path, m{"status": "disabled"})},
		{audit.UserEnabled, call(http.MethodPatch, path, m{"status": "active"})},
		{audit.UserUnlocked, call(http.MethodPost, path+"/unlock", nil)},
		{audit.RoleCreated, call(http.MethodPost, "/roles", m{"name": "clerk"})},
		{audit.RoleUpdated, call(http.MethodPut, "/roles/clerk", m{"permissions": []string{"orders:read"}})},
		{audit.GrantCreated, call(http.MethodPost, path+"/roles", m{"role": "clerk"})},
		{audit.GrantRevoked, call(http.MethodDelete, path+"/roles/clerk", nil)},
		{audit.GroupCreated, call(http.MethodPost, "/groups", m{"name": "desk"})},
		{audit.GroupUpdated, call(http.MethodPatch, "/groups/desk", m{"description": "Who helps"})},
		{audit.MemberAdded, call(http.MethodPost, "/groups/desk/members", m{"id": gus.ID})},
		{audit.MemberRemoved, call(http.MethodDelete, "/groups/desk/members/"+gus.ID, nil)},
		{audit.GroupDeleted, call(http.MethodDelete, "/groups/desk", nil)},
		{audit.SeparationCreated, call(http.MethodPost, "/separations", m{"name": "eyes", "kind": "static", "roles": []string{"clerk", "viewer"}})},
		{audit.SeparationUpdated, call(http.MethodPut, "/separations/eyes", m{"kind": "static", "roles": []string{"clerk", "editor"}})},
		{audit.SeparationDeleted, call(http.MethodDelete, "/separations/eyes", nil)},
		{audit.RoleDeleted, call(http.MethodDelete, "/roles/clerk", nil)},
		{audit.UserDeleted, call(http.MethodDelete, path, nil)},
		{audit.OrganizationCreated, call(http.MethodPost, "/organizations", m{"name": "acme"})},
		{audit.OrganizationUpdated, call(http.MethodPatch, "/organizations/acme", m{"display_name": "Acme"})},
		{audit.OrganizationMemberAdded, call(http.MethodPost, "/organizations/acme/members", m{"id": joins.ID})},
		{audit.OrganizationMemberRemoved, call(http.MethodDelete, "/organizations/acme/members/"+joins.ID, nil)},
		{audit.OrganizationDeleted, call(http.MethodDelete, "/organizations/acme", nil)},
		{audit.ResourceCreated, call(http.MethodPost, "/resources", m{"id": "orders", "identifier": "urn:orders"})},
		{audit.ResourceUpdated, call(http.MethodPatch, "/resources/orders", m{"name": "Orders"})},
		{audit.ResourceDeleted, call(http.MethodDelete, "/resources/orders", nil)},
		{audit.ClientCreated, call(http.MethodPost, "/clients", m{"client_id": "job", "scope": "read"})},
		{audit.ClientUpdated, call(http.MethodPatch, "/clients/job", m{"client_name": "Job"})},
		{audit.ClientSecretRotated, call(http.MethodPost, "/clients/job/rotate-secret", m{})},
		{audit.ClientDisabled, call(http.MethodPatch, "/clients/job", m{"status": "disabled"})},
		{audit.ClientEnabled, call(http.MethodPatch, "/clients/job", m{"status": "active"})},
		{audit.ClientRefused, func() { registered{"job", "wrong"}.post(t, s, "/oauth2/token", "grant_type", "client_credentials") }},
		{audit.RegistrationTokenCreated, call(http.MethodPost, "/registration-tokens", m{"name": "x"})},
		{audit.RegistrationRefused, func() { s.Call(t, "dwi_x", http.MethodPost, "/oauth2/register", said()) }},
		{audit.RegistrationTokenRevoked, func() {
			list, err := s.Core.Clients.InitialTokens(t.Context(), "", 1)
			must(err)
			must(s.Core.Clients.RevokeInitialToken(t.Context(), by, list[0].ID))
		}},
		{audit.StreamCreated, func() { stream = streamOf(t, s, "job").ID }},
		{audit.StreamUpdated, func() { call(http.MethodPatch, "/streams/"+stream, m{"status": "paused"})() }},
		{audit.StreamDeleted, func() { call(http.MethodDelete, "/streams/"+stream, nil)() }},
		{audit.StreamSubjectChanged, func() {
			hears.token = hears.gets(t, s, "ssf.read ssf.manage")
			opened = hears.opens(t, s, m{})
			hears.adds(t, s, opened.ID, hears.issSub(s, "x"))
		}},
		{audit.StreamVerified, func() { s.Call(t, hears.token, http.MethodPost, "/ssf/verification", m{"stream_id": opened.ID}) }},
		{audit.StreamNotTold, func() {
			before := len(events(t, s, string(audit.StreamNotTold)))
			hears.token = hears.gets(t, s, "ssf.read ssf.manage")                                                      // time has passed
			deaf := hears.opens(t, s, m{"delivery": m{"method": ssf.Push, "endpoint_url": "https://localhost:8443/"}}) // where there is nobody, and inside
			s.Call(t, hears.token, http.MethodPost, "/ssf/verification", m{"stream_id": deaf.ID})
			for began := time.Now(); len(events(t, s, string(audit.StreamNotTold))) <= before && time.Since(began) < 10*time.Second; {
				time.Sleep(20 * time.Millisecond)
			}
		}},
		{audit.ExchangeAllowed, call(http.MethodPost, "/clients/job/exchanges", m{"from": "api-keys", "resource": s.URL})},
		{audit.TokenExchanged, func() {
			trader := register(t, s, s.Login(t, servertest.Admin).Access, m{"client_id": "trader", "scope": "read", "grant_types": []string{exchange}})
			call(http.MethodPost, "/clients/trader/exchanges", m{"from": "api-keys", "resource": s.URL, "impersonation": true})()
			k := keyOf(t, s, by, s.User(t, "vic", "viewer").ID, "read")
			trader.post(t, s, "/oauth2/token", "grant_type", exchange, "subject_token", k.text, "subject_token_type", "urn:doorward:params:oauth:token-type:api-key", "resource", s.URL)
		}},
		{audit.ExchangeForbidden, func() {
			list, err := s.Core.Clients.Exchanges(t.Context(), "job")
			must(err)
			must(s.Core.Clients.ForbidExchange(t.Context(), by, "job", list[0].ID))
		}},
		{audit.ClientDeleted, call(http.MethodDelete, "/clients/job", nil)},
		{audit.APIKeyCreated, func() { key = keyOf(t, s, by, keyed) }},
		{audit.APIKeyUpdated, func() {
			k, err := s.Core.APIKeys.Fresh(t.Context(), key.id)
			if err == nil {
				k.Name = "another"
				_, err = s.Core.APIKeys.Update(t.Context(), by, k)
			}
			must(err)
		}},
		{audit.APIKeyRotated, func() {
			_, _, err := s.Core.APIKeys.Rotate(t.Context(), by, key.id, apikey.Rotation{Overlap: time.Hour})
			must(err)
		}},
		{audit.APIKeyRefused, func() { (held{"", sealedKey(key.id, strings.Repeat("0", 43))}).good(t, s) }},
		{audit.APIKeyLeaked, func() {
			k, err := s.Core.APIKeys.Named(t.Context(), key.text)
			if err == nil {
				err = s.Core.Issuer.KeyLeaked(t.Context(), by, issue.Leak{Key: k, Reporter: "test"})
			}
			must(err)
		}},
		{audit.APIKeyRevoked, func() { must(s.Core.APIKeys.Revoke(t.Context(), by, keyOf(t, s, by, keyed).id, 0)) }},
		{audit.ConditionCreated, call(http.MethodPost, "/conditions", m{"name": "rule", "policy": harmless})},
		{audit.ConditionUpdated, call(http.MethodPut, "/conditions/rule", m{"policy": harmless})},
		{audit.ConditionDeleted, call(http.MethodDelete, "/conditions/rule", nil)},
		{audit.AuditRead, call(http.MethodGet, "/audit/events", nil)},
		{audit.UserErased, func() { must(s.Core.Accounts.Delete(t.Context(), by, s.User(t, "hal").ID, 0, true)) }},
		{audit.AuditErased, func() { must(s.Core.Store.Erase(t.Context(), by, gus.ID)) }},
		{audit.MasterKeyRotated, func() { _, err := s.Core.Keys.Reseal(t.Context(), by); must(err) }},
		{audit.AuditKeyCreated, func() { must(s.Core.Keys.RotateAudit(t.Context(), by)) }},
		{audit.SigningKeyCreated, func() { _, err := s.Core.Keys.Rotate(t.Context(), by, 0); must(err) }},
		{audit.SigningKeyRetired, func() {
			keys, _ := s.Core.Keys.Keys()
			must(s.Core.Keys.Retire(t.Context(), by, keys[len(keys)-1].ID))
		}},
	}
}

// causesThatSpoil are those after which the site is not what it was.
func causesThatSpoil(t *testing.T, s *servertest.Site, c *steered) []cause {
	t.Helper()
	return []cause{
		{audit.LoginFlood, func() {
			for n := range 300 { // what fails is forgiven with time, and a slow machine takes long
				login(t, s, fmt.Sprint("nobody", n), "wrong")
			}
		}},
		{audit.AuditRetired, func() {
			sequenced(t, s)
			c.pass(24 * time.Hour)
			if _, err := s.Core.Store.RetireEvents(t.Context(), time.Hour); err != nil {
				t.Error(err)
			}
		}},
		{audit.ServerStopped, s.Stop},
	}
}

// What cannot be written down does not happen: while the log takes no events, each
// deed fails as an error of the server and leaves nothing behind, sign-ins too; and
// when the log takes them again, each works, without a start (AUD-005).
func TestAttackAUD005LogTakesNothing(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		f := &storetest.Faults{}
		s := servertest.Start(t, servertest.Options{DSN: dsn, Tweak: func(o *server.Options) { o.Store.Wrap = f.Wrap }})
		ann := s.User(t, "ann", "viewer")
		root, refresh := s.Login(t, servertest.Admin).Access, s.Login(t, "ann").Refresh
		own := s.Login(t, "ann").Access
		type m = map[string]any
		job := register(t, s, root, m{"client_id": "job"})
		deeds := []struct {
			name string
			do   func() servertest.Answer
			want int
		}{
			{"a sign-in", func() servertest.Answer { return login(t, s, "ann", servertest.Password) }, 200},
			{"a refresh", func() servertest.Answer { return s.Refresh(t, refresh) }, 200},
			{"a role", func() servertest.Answer { return s.Call(t, root, http.MethodPost, "/roles", m{"name": "clerk"}) }, 201},
			{"a grant", func() servertest.Answer {
				return s.Call(t, root, http.MethodPost, "/users/"+ann.ID+"/roles", m{"role": "editor"})
			}, 201},
			{"an account", func() servertest.Answer { return s.Call(t, root, http.MethodPost, "/users", m{"username": "new"}) }, 201},
			{"a client", func() servertest.Answer { return s.Call(t, root, http.MethodPost, "/clients", m{"client_id": "new"}) }, 201},
			{"a condition", func() servertest.Answer {
				return s.Call(t, root, http.MethodPost, "/conditions", m{"name": "rule", "policy": harmless})
			}, 201},
			{"a client's token", func() servertest.Answer { return job.post(t, s, "/oauth2/token", "grant_type", "client_credentials") }, 200},
			{"an API key", func() servertest.Answer {
				return s.Call(t, root, http.MethodPost, "/api-keys", m{"name": "new", "scopes": []string{}, "expires_in": 60})
			}, 201},
			{"a reading of the log", func() servertest.Answer { return s.Call(t, root, http.MethodGet, "/audit/events", nil) }, 200},
			{"a password", func() servertest.Answer {
				return s.Call(t, own, http.MethodPost, "/users/me/password", m{"current_password": servertest.Password, "new_password": "another one of mine"})
			}, 204},
		}
		if err := s.Core.Feed.Poll(t.Context()); err != nil { // else it numbers its changes meanwhile
			t.Fatal(err)
		}
		sequenced(t, s)
		w := storetest.NewWitness(t, dsn)
		before := w.Dump(t)
		var asked atomic.Int64
		f.Use(func(step storetest.Step) storetest.Fault {
			if strings.Contains(step.Text, "INSERT INTO audit_packs") {
				asked.Add(1)
				return storetest.Fault{Err: errors.New("database or disk is full")}
			}
			return storetest.Fault{}
		})
		for _, deed := range deeds {
			tried := asked.Load()
			if a := deed.do(); a.Status < 500 || a.Status > 503 || strings.Contains(a.Body, "disk") || asked.Load() == tried {
				t.Errorf("%s while the log takes nothing: %d %s, after %d tries to write", deed.name, a.Status, a.Body, asked.Load()-tried)
			}
		}
		f.Use(nil)
		after := w.Dump(t)
		for table := range after {
			if slices.Contains([]string{"attempts", "marks", "audit_log", "audit_tiles", "audit_checkpoints", "audit_counts"}, table) {
				continue // guesses are counted whatever comes of them, and the rest is the server's own
			}
			if was, is := fmt.Sprint(before[table]), fmt.Sprint(after[table]); was != is {
				t.Errorf("%s was\n\t%s\nand is\n\t%s", table, was, is)
			}
		}
		for _, deed := range deeds {
			if a := deed.do(); a.Status != deed.want {
				t.Errorf("%s once the log takes events again: %d %s", deed.name, a.Status, a.Body)
			}
		}
	})
}

// What an event's leaf holds comes through the API unharmed, with and without its
// place in the tree, and before and after an erasure. Persons is the member that
// few leaves have.
func TestAuditEventIsItsLeaf(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann", "viewer")
		if a := login(t, s, "ann", "wrong"); a.Status != http.StatusUnauthorized {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		root := s.Login(t, servertest.Admin).Access
		shownAsKept(t, s, root)
		sequenced(t, s)
		persons, erased := shownAsKept(t, s, root)
		if persons[ann.ID] == 0 || erased != 0 {
			t.Errorf("the events are about %v, and %d parts are erased", persons, erased)
		}
		if err := s.Core.Accounts.Delete(t.Context(), servertest.Operator, ann.ID, 0, true); err != nil {
			t.Fatal(err)
		}
		sequenced(t, s)
		after, erased := shownAsKept(t, s, root)
		if after[ann.ID] != persons[ann.ID] || erased == 0 {
			t.Errorf("after the erasure the events are about %v, and %d parts are erased", after, erased)
		}
	})
}

// shownAsKept reads all events over HTTP and fails the test unless each has the
// members of its leaf, and no others but its place and its parts. It returns how
// often the leaves' own member persons names somebody, and how many parts are
// erased.
func shownAsKept(t *testing.T, s *servertest.Site, token string) (persons map[string]int, erased int) {
	t.Helper()
	a := s.Call(t, token, http.MethodGet, "/audit/events?limit=200", nil)
	if a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	var page struct{ Items []map[string]any }
	a.JSON(t, &page)
	kept, err := s.Core.Store.SearchEvents(t.Context(), audit.Search{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	leaves := map[any]map[string]any{}
	for _, e := range kept.Entries {
		var leaf map[string]any
		if err := json.NewDecoder(bytes.NewReader(e.Public)).Decode(&leaf); err != nil {
			t.Fatal(err)
		}
		leaves[leaf["id"]] = leaf
	}
	persons = map[string]int{}
	for _, shown := range page.Items {
		leaf := leaves[shown["id"]]
		parts, listed := shown["parts"].([]any)
		digests, _ := leaf["private"].([]any)
		if !listed || len(parts) != len(digests) {
			t.Errorf("%v has %d parts and %d digests", shown["action"], len(parts), len(digests))
		}
		for _, p := range parts {
			if p.(map[string]any)["erased"] == true {
				erased++
			}
		}
		whom, _ := leaf["persons"].([]any)
		for _, p := range whom {
			persons[p.(string)]++
		}
		shown = maps.Clone(shown)
		delete(shown, "leaf")
		delete(shown, "parts")
		if !reflect.DeepEqual(shown, leaf) {
			t.Errorf("shown is\n\t%v\nand the leaf is\n\t%v", shown, leaf)
		}
	}
	if len(page.Items) < 5 {
		t.Errorf("only %d events", len(page.Items))
	}
	return persons, erased
}
