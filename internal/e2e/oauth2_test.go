package e2e_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// password and refresh are the two settings that golang.org/x/oauth2 needs: it
// has one token URL for all that a client does.
func (s *site) login(style oauth2.AuthStyle) *oauth2.Config {
	return &oauth2.Config{ClientID: "doorward", Endpoint: oauth2.Endpoint{TokenURL: s.url + "/auth/login", AuthStyle: style}}
}

func (s *site) renewal(style oauth2.AuthStyle) *oauth2.Config {
	return &oauth2.Config{ClientID: "doorward", Endpoint: oauth2.Endpoint{TokenURL: s.url + "/auth/refresh", AuthStyle: style}}
}

// token signs a user in.
func (s *site) token(t *testing.T, name string) *oauth2.Token {
	t.Helper()
	token, err := s.login(oauth2.AuthStyleInParams).PasswordCredentialsToken(t.Context(), name, s.password)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestGoOAuth2(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, style := range map[string]oauth2.AuthStyle{"in the body": oauth2.AuthStyleInParams, "probing": oauth2.AuthStyleAutoDetect} {
		t.Run(name, func(t *testing.T) {
			first, err := s.login(style).PasswordCredentialsToken(t.Context(), "viewer", s.password)
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(first.Expiry); first.Type() != "Bearer" || left < 14*time.Minute || left > 16*time.Minute {
				t.Errorf("a %s token for %v, want a Bearer token for 15m", first.Type(), left)
			}
			// Without an access token the source refreshes at once, and keeps the
			// refresh token of the answer for the next time.
			renewal := s.renewal(style)
			source := renewal.TokenSource(t.Context(), &oauth2.Token{RefreshToken: first.RefreshToken})
			second, err := source.Token()
			if err != nil {
				t.Fatal(err)
			}
			if second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken {
				t.Error("the refresh gave the same token again")
			}
			if got := whoIs(t, oauth2.NewClient(t.Context(), source), s.url); got != "viewer" {
				t.Errorf("the client is %q, want viewer", got)
			}
			_, err = renewal.TokenSource(t.Context(), &oauth2.Token{RefreshToken: first.RefreshToken}).Token()
			refused(t, err, http.StatusBadRequest, "invalid_grant")
			_, err = renewal.TokenSource(t.Context(), &oauth2.Token{RefreshToken: second.RefreshToken}).Token()
			refused(t, err, http.StatusBadRequest, "invalid_grant") // the reuse has ended the family
		})
	}
	_, err := s.login(oauth2.AuthStyleInParams).PasswordCredentialsToken(t.Context(), "viewer", "wrong")
	refused(t, err, http.StatusUnauthorized, "invalid_grant")
	other := s.login(oauth2.AuthStyleInParams)
	other.ClientID = "stranger"
	_, err = other.PasswordCredentialsToken(t.Context(), "viewer", s.password)
	refused(t, err, http.StatusUnauthorized, "invalid_client")
}

func refused(t *testing.T, err error, status int, code string) {
	t.Helper()
	e, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok || e.Response.StatusCode != status || e.ErrorCode != code {
		t.Errorf("%v, want %d %s", err, status, code)
	}
}

func whoIs(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	res, err := c.Get(url + "/users/me")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var me struct {
		Username string `json:"username"`
	}
	if err := json.Unmarshal(text, &me); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s: %v", res.StatusCode, text, err)
	}
	return me.Username
}
