package signin

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/web"
)

// devicePath is where a person types the code that his device shows (RFC 8628, Section 3.3).
const devicePath = "/oauth2/device"

func deviceAt(c grant.UserCode) string { return devicePath + "?user_code=" + c.String() }

// deviceScreen is what the page of devices shows: the field for the code, or the
// question, or how it ended.
type deviceScreen struct {
	Code  string
	Wrong bool        // what was typed is to be typed again
	Asks  *deviceAsks // nil: the code is still to be typed
	Ended bool        // nothing is left to do here
}

// deviceAsks is the question whether a device may act. Whoever made it ask may have sent
// this person here to let him in (RFC 8628, Section 5.4): so it says what only the owner
// of the device can tell is right.
type deviceAsks struct {
	Name    string // of the application, as it is safe to show
	User    account.User
	Program string // what the device says that it is, in words; empty if it is not known
	Address string
	Same    bool // this browser is in the same network
	Began   moment
	May     []string // what it may do then, in words
	API     string   // that There is about
	There   []string // what it may do at that API
	Nothing bool     // the person has nothing of it that he could allow
	Again   string   // where to sign in as somebody else
}

// DevicePage shows the field for the code, or for a code the question. A link with a code
// (verification_uri_complete) asks no less: it lets nothing happen by itself.
func (s *Surface) DevicePage(w http.ResponseWriter, r *http.Request) error {
	if web.Prefetched(r) { // a code is judged here
		return &web.Refused{Status: http.StatusForbidden, Message: "this page is not to be fetched before somebody asks for it"}
	}
	p, query := s.screen(w, r, "device.title"), r.URL.Query()
	in, err := s.here(r)
	if err != nil {
		return err
	}
	if p.Done = p.words["device.done."+query.Get("done")]; p.Done != "" {
		return p.showDevice(w, deviceScreen{Ended: true}, http.StatusOK)
	}
	if query.Get("user_code") == "" {
		return p.showDevice(w, deviceScreen{}, http.StatusOK)
	}
	code, ok := grant.ParseUserCode(query.Get("user_code"))
	switch {
	case !ok:
		return p.mistyped(w, query.Get("user_code"))
	case in.ID == "": // codes are judged for who is signed in alone
		return see(w, "/signin?return_to="+url.QueryEscape(deviceAt(code)))
	}
	waiting, err := s.Flow.Waiting(r.Context(), web.By(r.Context()), code)
	if err != nil {
		return s.noDevice(w, r, p, code, err)
	}
	return s.askDevice(w, r, p, waiting, in)
}

// Device takes the code, or what the person said to the question.
func (s *Surface) Device(w http.ResponseWriter, r *http.Request) error {
	in, err := s.here(r)
	if err != nil {
		return err
	}
	form, genuine, err := s.posted(w, r)
	if err != nil {
		return err
	}
	p := s.screen(w, r, "device.title")
	code, ok := grant.ParseUserCode(form.Get("user_code"))
	said := grant.Decision(form.Get("decision"))
	switch {
	case !genuine:
		p.Problem = p.words["form.stale"]
		return p.showDevice(w, deviceScreen{Code: form.Get("user_code")}, http.StatusForbidden)
	case !ok:
		return p.mistyped(w, form.Get("user_code"))
	case said == grant.Undecided, in.ID == "":
		return see(w, deviceAt(code)) // which asks
	case said != grant.Allowed && said != grant.Denied:
		return &web.Refused{Status: http.StatusBadRequest, Message: "decision is allow or deny"}
	}
	waiting, err := s.Flow.Waiting(r.Context(), web.By(r.Context()), code)
	if err == nil {
		err = s.Flow.DecideDevice(r.Context(), web.By(r.Context()), waiting, in, said)
	}
	if _, nothing := errors.AsType[*oauth.Error](err); nothing {
		return see(w, devicePath+"?done=nothing")
	} else if err != nil {
		return s.noDevice(w, r, p, code, err)
	}
	return see(w, devicePath+"?done="+string(said))
}

func (p screen) showDevice(w http.ResponseWriter, d deviceScreen, status int) error {
	p.Body = d
	return web.Page{Template: devicePage, Data: p, Status: status}.Write(w)
}

func (p screen) mistyped(w http.ResponseWriter, typed string) error {
	p.Problem = p.words["device.wrong"]
	return p.showDevice(w, deviceScreen{Code: typed, Wrong: true}, http.StatusBadRequest)
}

// noDevice tells why there is no question for a code.
func (s *Surface) noDevice(w http.ResponseWriter, r *http.Request, p screen, code grant.UserCode, why error) error {
	web.Of(r.Context()).Cause = why
	switch fault.KindOf(why) {
	case fault.NotFound:
		return p.mistyped(w, code.String())
	case fault.Limited:
		web.RetryAfter(w, why)
		p.Problem = p.late(why)
		return p.showDevice(w, deviceScreen{Code: code.String()}, http.StatusTooManyRequests)
	}
	return why
}

// askDevice asks whether a device may act.
func (s *Surface) askDevice(w http.ResponseWriter, r *http.Request, p screen, d issue.Waiting, in session.Session) error {
	q := &deviceAsks{
		Name: shown(d.Asked.Client.Name), Address: d.Address, Began: p.when(d.Created, s.Clock.Now()), Same: d.Address == web.By(r.Context()).Origin.Address,
		Again: "/signin?return_to=" + url.QueryEscape(deviceAt(d.UserCode)),
	}
	program, system := outbox.Agent(d.Agent)
	if q.Program = program; program == "" {
		q.Program = system
	} else if system != "" {
		q.Program, _ = p.Say("account.on", program, system)
	}
	var err error
	if q.User, err = s.Accounts.User(r.Context(), in.User); err != nil {
		return err
	}
	offer, err := s.Flow.Offer(r.Context(), d.Asked, in.User)
	if _, q.Nothing = errors.AsType[*oauth.Error](err); q.Nothing {
		p.Problem = p.words["device.nothing"]
	} else if err != nil {
		return err
	}
	if offer.API != nil {
		q.API = offer.API.Name
	}
	q.May, q.There = p.may(offer)
	p.Title = p.words["device.asks.title"]
	return p.showDevice(w, deviceScreen{Code: d.UserCode.String(), Asks: q}, http.StatusOK)
}
