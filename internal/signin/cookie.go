package signin

import (
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// mode says whether the tokens go into a browser's cookies. Another site must not
// sign a browser in.
func (s *Surface) mode(r *http.Request, p oauth.Params) (browser bool, err error) {
	switch p.Get("mode") {
	case "":
		return false, nil
	case "cookie":
		return true, s.Origins.Check(r)
	default:
		return false, &oauth.Error{Code: oauth.InvalidRequest, Description: "the mode is cookie, or absent for tokens in the body"}
	}
}

// hold answers a browser with its tokens in cookies; the body holds none.
func (s *Surface) hold(w http.ResponseWriter, t issue.Tokens) error {
	s.keep(w, t)
	return web.JSON(w, http.StatusOK, struct {
		Expires int64  `json:"expires_in"`
		Scope   string `json:"scope"`
	}{int64(t.Expires / time.Second), oauth.FormatScope(t.Scope)})
}

// keep gives a browser its tokens in cookies.
func (s *Surface) keep(w http.ResponseWriter, t issue.Tokens) {
	if !t.Device.IsZero() {
		s.Cookies.Set(w, web.DeviceCookie, t.Device, web.DeviceLasts)
	}
	if !t.Session.IsZero() {
		s.Cookies.Set(w, web.SessionCookie, t.Session, t.Lasts)
	}
	s.Cookies.Set(w, web.RefreshCookie, t.Refresh, t.Lasts)
	s.Cookies.Set(w, web.AccessCookie, t.Access, t.Expires)
}

// held returns what a cookie holds that is to be acted on: nothing if there are
// two of its name, and an error if another site makes the browser send it.
func (s *Surface) held(r *http.Request, k web.Cookie) (secret.Text, error) {
	value, twice := s.Cookies.Get(r, k)
	if twice {
		s.Twice(r)
	}
	if value.IsZero() {
		return value, nil
	}
	return value, s.Origins.Check(r)
}

// Logout ends what the refresh token in the body belongs to, or the access token
// in the header, or the browser's cookies where neither is given: the token
// family, and the session that holds it. It answers 204 for every token: there is
// nothing that the client could do about one that is not known (RFC 7009, Section
// 2.2). What is told is a body that cannot be read, a request that another site
// began and a failure of ours, since then the family may still live.
//
// A browser's cookies are taken back by name, and what it kept of our answers goes
// too. The device cookie stays: it signs nobody in.
func (s *Surface) Logout(w http.ResponseWriter, r *http.Request) error {
	by := web.By(r.Context())
	p, err := optional(w, r, "refresh_token", "client_id", "client_secret", "token_type_hint")
	if err != nil {
		return err
	}
	token := secret.From(p.Get("refresh_token"))
	if token.IsZero() && len(r.Header["Cookie"]) > 0 && !web.Beside(r) {
		if err := s.signOut(w, r); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err := s.Issuer.SignOut(r.Context(), by, token); err != nil {
		return err
	}
	who, err := s.Bearer(r)
	if err != nil {
		return err
	}
	if who.Family != "" {
		who.Origin = by.Origin
		if err := s.Issuer.Revoke(r.Context(), who, who); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// signOut ends what a browser's cookies belong to, and takes them back.
func (s *Surface) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := s.Origins.Check(r); err != nil { // or another site could take the cookies back that do not even come along
		return err
	}
	by := web.By(r.Context())
	token, err := s.held(r, web.RefreshCookie)
	if err != nil {
		return err
	}
	if err := s.Issuer.SignOut(r.Context(), by, token); err != nil {
		return err
	}
	session, err := s.held(r, web.SessionCookie)
	if err != nil {
		return err
	}
	if err := s.Sessions.SignOut(r.Context(), by, session); err != nil {
		return err
	}
	s.Cookies.Expire(w, web.SessionCookie, web.AccessCookie, web.RefreshCookie, web.PreCookie)
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	return nil
}
