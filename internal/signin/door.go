package signin

import (
	"net/http"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// door is what the sign-in page shows.
type door struct {
	Username, ReturnTo string
	SignedIn           string // who is signed in here already; empty for nobody
	Wrong              bool   // what was typed is to be typed again
	For                string // the application that he signs in for; empty for none
	to                 []string
}

// SignInPage shows the sign-in form. The parameter return_to is where to go then.
func (s *Surface) SignInPage(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	p := s.screen(w, r, "signin.title")
	d := door{ReturnTo: returnTo(query.Get("return_to"))}
	s.introduce(r, &p, &d)
	p.Done = done(p.words, query.Get("done"))
	found, err := s.session(r)
	if err == nil {
		user, err := s.Accounts.User(r.Context(), found.User)
		if err != nil {
			return err
		}
		d.SignedIn = user.Username
	} else if fault.KindOf(err) != fault.NotFound {
		return err
	}
	return p.door(w, d, http.StatusOK)
}

func (p screen) door(w http.ResponseWriter, d door, status int) error {
	p.Body = d
	return web.Page{Template: signInPage, Data: p, Status: status, PopUp: true, FormTo: d.to}.Write(w)
}

// introduce says for which application somebody signs in, and lets the answer to the form
// lead there.
func (s *Surface) introduce(r *http.Request, p *screen, d *door) {
	a, ok := s.waiting(r, d.ReturnTo)
	if !ok {
		return
	}
	p.words = languages.in(a.Locales, r)
	p.Title = p.words["signin.title"]
	d.For, d.to = shown(a.Client.Name), []string{a.Target.Source()}
	if d.Username == "" {
		d.Username = a.LoginHint
	}
}

// done returns what is told of something that was done, by the name that the link
// here has for it. A name that is not in the catalogue tells nothing.
func done(w words, name string) string { return w["done."+name] }

// SignIn signs a browser in with the form of the page. What fails is told on the
// same page, in the same words for every reason.
func (s *Surface) SignIn(w http.ResponseWriter, r *http.Request) error {
	form, genuine, err := s.posted(w, r)
	if err != nil {
		return err
	}
	p := s.screen(w, r, "signin.title")
	d := door{Username: form.Get("username"), ReturnTo: returnTo(form.Get("return_to"))}
	s.introduce(r, &p, &d)
	name, password := form.Get("username"), secret.From(form.Get("password"))
	switch {
	case !genuine:
		p.Problem = p.words["form.stale"]
		return p.door(w, d, http.StatusForbidden)
	case name == "" || password.IsZero():
		p.Problem, d.Wrong = p.words["signin.empty"], true
		return p.door(w, d, http.StatusBadRequest)
	}
	t, err := s.admit(r, name, password)
	if err != nil {
		return s.refuse(w, r, p, d, err)
	}
	s.keep(w, t)
	s.renew(w)
	return see(w, d.ReturnTo)
}

// admit signs a browser in, in the place of whoever was signed in on it.
func (s *Surface) admit(r *http.Request, name string, password secret.Text) (issue.Tokens, error) {
	by := web.By(r.Context())
	replaces, _ := s.Cookies.Get(r, web.SessionCookie)
	return s.Issuer.SignIn(r.Context(), by, issue.Password{
		Name: name, Password: password, Client: client.Builtin, Browser: true, Replaces: replaces, Trim: true,
	})
}

// refuse shows the sign-in page again.
func (s *Surface) refuse(w http.ResponseWriter, r *http.Request, p screen, d door, err error) error {
	status, e := told(err)
	web.Of(r.Context()).Cause = err
	web.RetryAfter(w, err)
	switch {
	case status == http.StatusTooManyRequests:
		p.Problem = p.late(err)
	case status == http.StatusServiceUnavailable:
		p.Problem = p.words["signin.unavailable"]
	case e.Code == oauth.InvalidGrant, fault.KindOf(err) == fault.Invalid: // a password that is too long for anybody is wrong too
		status, p.Problem, d.Wrong = http.StatusUnauthorized, p.words["signin.wrong"], true
		// The status must come with a challenge (RFC 9110, Section 15.5.2). No browser
		// asks anything for one of this scheme.
		w.Header().Set("WWW-Authenticate", `Bearer realm="doorward"`)
	default:
		return err
	}
	return p.door(w, d, status)
}
