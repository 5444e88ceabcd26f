package signin

import (
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strconv"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/keyring"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// The pages share layout.html and style.css. Each has a file of its own with what
// is between, as the template "main", and takes its texts from the catalogue. They
// are forms that work without scripts; an error is told on the page that it is
// about.
//
//go:embed pages
var pages embed.FS

var languages = readCatalogues()

var (
	signInPage  = readPage("signin")
	accountPage = readPage("account")
	consentPage = readPage("consent")
	logoutPage  = readPage("logout")
	devicePage  = readPage("device")
	errorPage   = readPage("error")
)

func readPage(name string) *template.Template {
	return template.Must(template.New("layout.html").ParseFS(pages, "pages/layout.html", "pages/style.css", "pages/"+name+".html"))
}

// screen is what the template of a page is given.
type screen struct {
	words
	Theme web.Theme
	Title string
	// What is told above the page: that something was done, or what went wrong.
	Done, Problem string
	Body          any

	form func(does string) (string, error)
}

// Form returns what a form carries that is sent to a path: the value of its field
// "form".
func (p screen) Form(does string) (string, error) { return p.form(does) }

// screen begins a page for this browser. Its title is a text of the catalogue.
func (s *Surface) screen(w http.ResponseWriter, r *http.Request, title string) screen {
	p := screen{words: languages.of(r), Theme: web.Of(r.Context()).Theme}
	p.Title = p.words[title]
	var pre secret.Hash
	p.form = func(does string) (string, error) {
		key, err := s.Keys.Peppers(keyring.Form).Newest()
		if err != nil {
			return "", err
		}
		if pre == (secret.Hash{}) {
			pre = s.pre(w, r)
		}
		return formToken(key, pre, does, web.By(r.Context()).Session), nil
	}
	return p
}

// see sends the browser to another page of this site (RFC 9110, Section 15.4.4).
func see(w http.ResponseWriter, path string) error {
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// FailPage tells an error to a person: what to do next, and the request's id. What
// the error itself says stays in the log.
func FailPage(w http.ResponseWriter, r *http.Request, err error) {
	status := web.ProblemOf(err).Status
	if e, ok := errors.AsType[*oauth.Error](err); ok && e.Code != oauth.ServerError {
		status = http.StatusBadRequest
	}
	if refused, ok := errors.AsType[*web.Refused](err); ok && refused.Allow != "" {
		w.Header().Set("Allow", refused.Allow)
	}
	web.RetryAfter(w, err)
	p := screen{words: languages.of(r), Theme: web.Of(r.Context()).Theme}
	kind := "error." + strconv.Itoa(status)
	if p.words[kind] == "" {
		kind = "error.other"
	}
	next := p.words[kind+".next"]
	if text := p.words[message(err)]; text != "" { // only what is written there is told
		kind, next = "error.request", text
	}
	p.Title, p.Body = p.words[kind], struct{ Next, RequestID string }{next, web.By(r.Context()).Origin.RequestID}
	page := web.Page{Template: errorPage, Data: p, Status: status, PopUp: true}
	if err := page.Write(w); err != nil {
		web.FailProblem(w, r, err)
	}
}

// message returns what an error may say to somebody, if it is one of ours that may: the one
// that was made last, since it knows what its cause means here.
func message(err error) string {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if known, ok := e.(*oauth.Error); ok { //nolint:errorlint // this one, not what it wraps
			return known.Description
		}
		if known, ok := e.(*fault.Error); ok { //nolint:errorlint // as above
			return known.Message
		}
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Message
	}
	return oauth.Describe(err)
}
