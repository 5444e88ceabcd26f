package signin

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/web"
)

// A form is tied to the browser that it was shown to. The browser holds a random
// secret in a cookie from before anybody signs in, and the form a MAC over it, over
// what the form does and over the session that it was shown in. Whoever makes
// another's browser send a form cannot know the MAC, whatever the browser says or
// does not say of where the request began.

// preSize is how many random bytes the cookie holds.
const preSize = 32

// pre returns what ties this browser to its forms. One that has nothing, or nothing
// that can be used, is given something new.
func (s *Surface) pre(w http.ResponseWriter, r *http.Request) secret.Hash {
	value, _ := s.Cookies.Get(r, web.PreCookie)
	if pre, ok := session.ParseCookie(value); ok {
		return pre
	}
	return s.renew(w)
}

// renew gives the browser another secret: the forms that it was shown before are
// good for nothing.
func (s *Surface) renew(w http.ResponseWriter) secret.Hash {
	raw := secret.Random(preSize)
	s.Cookies.Hold(w, web.PreCookie, secret.From(base64.RawURLEncoding.EncodeToString(raw)))
	return secret.HashOf(raw)
}

// formToken returns what a form carries: the version of a key, and a MAC. does is
// the path that the form is sent to.
func formToken(p secret.Pepper, pre secret.Hash, does, session string) string {
	h := secret.MAC(p.Key, "doorward form", pre[:], []byte(does), []byte(session))
	return strconv.FormatInt(p.Version, 10) + "." + base64.RawURLEncoding.EncodeToString(h[:])
}

// isFormToken reports whether formToken made a token of these, with a key that is
// still in use.
func isFormToken(token string, peppers secret.Peppers, pre secret.Hash, does, session string) bool {
	digits, _, _ := strings.Cut(token, ".")
	version, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return false
	}
	p, ok := peppers.Version(version)
	return ok && secret.From(token).Equal(secret.From(formToken(p, pre, does, session)))
}

// posted reads a form of one of these pages. genuine is false for one that was not
// shown to this browser and in this session, or too long ago: what it says is not
// to be done. The error is for one that another site sent, or that cannot be read.
func (s *Surface) posted(w http.ResponseWriter, r *http.Request) (p oauth.Params, genuine bool, err error) {
	if err := s.Forms.Check(r); err != nil {
		return nil, false, err
	}
	_, body, err := web.Body(w, r, web.Form)
	if err != nil {
		return nil, false, err
	}
	if p, err = oauth.ParseForm(string(body)); err != nil {
		return nil, false, err
	}
	value, _ := s.Cookies.Get(r, web.PreCookie)
	pre, ok := session.ParseCookie(value)
	if !ok {
		return p, false, nil
	}
	return p, isFormToken(p.Get("form"), s.Keys.Peppers(keyring.Form), pre, r.URL.Path, web.By(r.Context()).Session), nil
}
