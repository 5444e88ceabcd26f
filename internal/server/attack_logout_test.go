package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/servertest"
)

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// Whoever is told that he has signed out has: what cannot be read is refused, and
// only what is read and means nothing is no error.
func TestAttackLogoutThatWasNone(t *testing.T) {
	servertest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		s.User(t, "ann", "viewer")
		for _, tt := range []struct {
			name, contentType, body string // TOKEN is her refresh token, ACCESS her access token
			headers                 []string
			want                    int
		}{
			{"plain text", "text/plain", "refresh_token=TOKEN", nil, 415},
			{"no type", "", "refresh_token=TOKEN", nil, 415},
			{"two types", formType + ", " + jsonType, "refresh_token=TOKEN", nil, 415},
			{"another charset", formType + "; charset=utf-16", "refresh_token=TOKEN", nil, 415},
			{"parts", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"refresh_token\"\r\n\r\nTOKEN\r\n--x--\r\n", nil, 415},
			{"compressed", formType, "refresh_token=TOKEN", []string{"Content-Encoding", "gzip"}, 415},
			{"plain text beside an access token", "text/plain", "x", []string{"Authorization", "Bearer ACCESS"}, 415},
			{"twice", formType, "refresh_token=TOKEN&refresh_token=TOKEN", nil, 400},
			{"a second, empty one", formType, "refresh_token=TOKEN&refresh_token=", nil, 400},
			{"a broken escape", formType, "refresh_token=TOKEN&x=%zz", nil, 400},
			{"semicolons", formType, "client_id=doorward;refresh_token=TOKEN", nil, 400},
			{"an unknown field", jsonType, `{"refresh_token":"TOKEN","all":true}`, nil, 400},
			{"another case", jsonType, `{"Refresh_Token":"TOKEN"}`, nil, 400},
			{"twice in JSON", jsonType, `{"refresh_token":"x","refresh_token":"TOKEN"}`, nil, 400},
			{"a list", jsonType, `["TOKEN"]`, nil, 400},
			{"a list of tokens", jsonType, `{"refresh_token":["TOKEN"]}`, nil, 400},
			{"null", jsonType, `null`, nil, 400},
			{"cut", jsonType, `{"refresh_token":"TOKEN"`, nil, 400},
			{"and more behind it", jsonType, `{"refresh_token":"TOKEN"} {}`, nil, 400},
			{"a form that says it is JSON", jsonType, "refresh_token=TOKEN", nil, 400},
			{"large", formType, "refresh_token=TOKEN&x=" + strings.Repeat("x", 16<<10), nil, 413},
			{"two credentials", "", "", []string{"Authorization", "Bearer ACCESS", "Authorization", "Bearer ACCESS"}, 400},

			{"a form", formType, "refresh_token=TOKEN", nil, 204},
			{"JSON", jsonType, `{"refresh_token":"TOKEN"}`, nil, 204},
			{"as RFC 7009 has it", formType, "refresh_token=TOKEN&token_type_hint=refresh_token&client_id=doorward", nil, 204},
			{"JSON, with a hint", jsonType, `{"refresh_token":"TOKEN","token_type_hint":"refresh_token"}`, nil, 204},
			{"an access token", "", "", []string{"Authorization", "Bearer ACCESS"}, 204},
			{"both", formType, "refresh_token=TOKEN", []string{"Authorization", "Bearer ACCESS"}, 204},
			{"an access token and an unknown one", formType, "refresh_token=x", []string{"Authorization", "Bearer ACCESS"}, 204},
		} {
			tokens := s.Login(t, "ann")
			fill := strings.NewReplacer("TOKEN", tokens.Refresh, "ACCESS", tokens.Access)
			var headers []string
			for _, h := range tt.headers {
				headers = append(headers, fill.Replace(h))
			}
			a := s.Send(t, "POST", "/auth/logout", tt.contentType, fill.Replace(tt.body), headers...)
			if a.Status != tt.want || tt.want != 204 && a.Error() != "invalid_request" || tt.want == 204 && a.Body != "" {
				t.Errorf("%s: %d %s, want %d", tt.name, a.Status, a.Body, tt.want)
			}
			if lives := me(t, s, tokens.Access) == http.StatusOK; lives != (tt.want != 204) {
				t.Errorf("%s: told %d, and her access token is taken: %v", tt.name, a.Status, lives)
			}
			if lives := s.Refresh(t, tokens.Refresh).Status == http.StatusOK; lives != (tt.want != 204) {
				t.Errorf("%s: told %d, and her refresh token is taken: %v", tt.name, a.Status, lives)
			}
		}
	})
}

// A token that is not known, or no more, ends nothing, and that is no error (RFC
// 7009, Section 2.2).
func TestLogoutOfNobody(t *testing.T) {
	var c steered
	s := servertest.Start(t, servertest.Options{Tweak: c.tweak})
	s.User(t, "ann", "viewer")
	old, other := s.Login(t, "ann"), servertest.Start(t, servertest.Options{}).Login(t, servertest.Admin)
	c.pass(time.Hour)
	bystander := s.Login(t, "ann")
	for name, form := range map[string]string{
		"nothing": "", "no token": "client_id=doorward", "an empty one": "refresh_token=", "another server's": "refresh_token=" + other.Refresh,
		"malformed": "refresh_token=dwr_x", "an access token": "refresh_token=" + old.Access, "other parameters": "token=x",
	} {
		if a := s.Send(t, "POST", "/auth/logout", formType, form); a.Status != http.StatusNoContent || a.Body != "" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	for name, header := range map[string]string{
		"expired": "Bearer " + old.Access, "another server's": "Bearer " + other.Access, "malformed": "Bearer x", "nothing": "Bearer ", "Basic": "Basic eDp5", "no scheme": old.Access,
		"a refresh token": "Bearer " + bystander.Refresh,
	} {
		if a := s.Send(t, "POST", "/auth/logout", "", "", "Authorization", header); a.Status != http.StatusNoContent || a.Body != "" {
			t.Errorf("an access token that is %s: %d %s", name, a.Status, a.Body)
		}
	}
	if me(t, s, bystander.Access) != http.StatusOK {
		t.Error("somebody was signed out")
	}
	pair(t, s.Refresh(t, bystander.Refresh))
	pair(t, s.Refresh(t, old.Refresh)) // whose access token was no good any more
}
