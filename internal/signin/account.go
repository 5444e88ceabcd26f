package signin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/web"
)

// session returns the living session of a browser, or a NotFound. For pages it
// alone says who is signed in, whatever became of the tokens that it holds.
func (s *Surface) session(r *http.Request) (session.Session, error) {
	value, twice := s.Cookies.Get(r, web.SessionCookie)
	if twice {
		s.Twice(r)
	}
	return s.Sessions.Use(r.Context(), web.By(r.Context()), value, s.Idle)
}

// SignedIn returns the living session of a browser, or a NotFound.
func (s *Surface) SignedIn(r *http.Request) (session.Session, error) { return s.session(r) }

// Person lets pass who is signed in in this browser; anybody else is sent to sign
// in, and to come back. What another site sends is refused before that.
func (s *Surface) Person(next http.Handler, fail web.Fail) http.Handler {
	return web.Serve(func(w http.ResponseWriter, r *http.Request) error {
		place := r.URL.Path
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if err := s.Forms.Check(r); err != nil {
				return err
			}
			place = home // a form is not sent again by a redirect
		}
		found, err := s.session(r)
		if fault.KindOf(err) == fault.NotFound {
			return see(w, "/signin?return_to="+place)
		} else if err != nil {
			return err
		}
		by := &web.Of(r.Context()).By
		by.Kind, by.ID, by.Client, by.Session = principal.User, found.User, client.Builtin.ID, found.ID
		next.ServeHTTP(w, r)
		return nil
	}, fail)
}

// self is what the account page shows.
type self struct {
	User    account.User
	Here    device
	Others  []device
	Apps    []agreement
	Current string // what is wrong with the password that was typed as the present one
	New     string // and with the new one
}

// device is something that a person is signed in with.
type device struct {
	ID          string
	Name        string // in words
	App         bool   // not a browser
	Address     string
	Began, Used moment
}

// fact is something that is told of a device: words, and perhaps a time.
type fact struct {
	Say    string
	Moment *moment
}

// Facts returns where it is, since when, and when it was used.
func (d device) Facts(w screen) []fact {
	facts := []fact{{w.words["account.began"], &d.Began}, {w.words["account.used"], &d.Used}}
	if d.Address != "" {
		from, _ := w.Say("account.address", d.Address)
		facts = append(facts, fact{Say: from})
	}
	return facts
}

// devicesLimit is how many are shown.
const devicesLimit = 200

// Account shows who is signed in, and with what.
func (s *Surface) Account(w http.ResponseWriter, r *http.Request) error {
	p := s.screen(w, r, "account.title")
	p.Done = done(p.words, r.URL.Query().Get("done"))
	return s.account(w, r, p, self{}, http.StatusOK)
}

func (s *Surface) account(w http.ResponseWriter, r *http.Request, p screen, me self, status int) error {
	by := web.By(r.Context())
	var err error
	if me.User, err = s.Accounts.User(r.Context(), by.ID); err != nil {
		return err
	}
	list, err := s.Sessions.List(r.Context(), session.Filter{User: by.ID, Limit: devicesLimit})
	if err != nil {
		return err
	}
	now := s.Clock.Now()
	for _, in := range list {
		d := p.device(in, now)
		if in.ID == by.Session {
			me.Here = d
		} else {
			me.Others = append(me.Others, d)
		}
	}
	if me.Apps, err = s.agreements(r.Context(), p, by.ID); err != nil {
		return err
	}
	p.Body = me
	return web.Page{Template: accountPage, Data: p, Status: status}.Write(w)
}

// device says in words what somebody is signed in with. Of what it calls itself,
// only what is known is repeated.
func (p screen) device(in session.SignedIn, now time.Time) device {
	d := device{ID: in.ID, App: in.Kind == session.Tokens, Address: in.Address, Began: p.when(in.CreatedAt, now), Used: p.when(in.UsedAt, now)}
	program, system := outbox.Agent(in.UserAgent)
	if program == "" {
		program = p.words["account.unknown"]
	}
	d.Name = program
	if system != "" {
		d.Name, _ = p.Say("account.on", program, system)
	}
	return d
}

// again shows the account page after a form that was not shown to this browser.
func (s *Surface) again(w http.ResponseWriter, r *http.Request) error {
	p := s.screen(w, r, "account.title")
	p.Problem = p.words["form.stale"]
	return s.account(w, r, p, self{}, http.StatusForbidden)
}

// EndSession ends one thing that the person is signed in with.
func (s *Surface) EndSession(w http.ResponseWriter, r *http.Request) error {
	if _, genuine, err := s.posted(w, r); err != nil {
		return err
	} else if !genuine {
		return s.again(w, r)
	}
	by, id := web.By(r.Context()), r.PathValue("id")
	if id == by.Session {
		return s.leave(w, r, signedOut)
	}
	err := s.Sessions.End(r.Context(), by, by.ID, id)
	if fault.KindOf(err) == fault.NotFound {
		return see(w, home+"?done=gone")
	} else if err != nil {
		return err
	}
	return see(w, home+"?done=ended")
}

// EndOthers ends all that the person is signed in with but this browser.
func (s *Surface) EndOthers(w http.ResponseWriter, r *http.Request) error {
	if _, genuine, err := s.posted(w, r); err != nil {
		return err
	} else if !genuine {
		return s.again(w, r)
	}
	by := web.By(r.Context())
	if err := s.Sessions.EndOthers(r.Context(), by, by.Session); err != nil {
		return err
	}
	return see(w, home+"?done=others-ended")
}

// SignOut signs this browser out.
func (s *Surface) SignOut(w http.ResponseWriter, r *http.Request) error {
	if _, genuine, err := s.posted(w, r); err != nil {
		return err
	} else if !genuine {
		return s.again(w, r)
	}
	return s.leave(w, r, signedOut)
}

// Forget signs out on a browser that others use: it is not known here any more, for
// anybody's account.
func (s *Surface) Forget(w http.ResponseWriter, r *http.Request) error {
	if _, genuine, err := s.posted(w, r); err != nil {
		return err
	} else if !genuine {
		return s.again(w, r)
	}
	return s.leave(w, r, forgotten)
}

// What was done once somebody is signed out, by the name that a link has for it.
const (
	signedOut = "signed-out"
	forgotten = "forgotten"
)

// leave signs this browser out, and shows what signs it out of applications, or the
// sign-in page. Either says what was done.
func (s *Surface) leave(w http.ResponseWriter, r *http.Request, done string) error {
	frames, err := s.Frames(r.Context(), web.By(r.Context()).Session)
	if err != nil {
		return err
	}
	if err := s.signOut(w, r); err != nil {
		return err
	}
	if done == forgotten {
		s.Cookies.Expire(w, web.DeviceCookie)
		w.Header().Set("Clear-Site-Data", `"cache", "storage", "cookies"`)
	}
	if len(frames) == 0 {
		return see(w, "/signin?done="+done)
	}
	p := s.screen(w, r, "logout.done")
	p.Done = p.words["done."+done]
	return p.farewell(w, farewell{Frames: frames})
}

// ChangePassword changes the password, which ends all that the person is signed in
// with, and signs this browser in anew.
func (s *Surface) ChangePassword(w http.ResponseWriter, r *http.Request) error {
	form, genuine, err := s.posted(w, r)
	if err != nil {
		return err
	} else if !genuine {
		return s.again(w, r)
	}
	by, next := web.By(r.Context()), secret.From(form.Get("new_password"))
	device, err := s.Issuer.ChangePassword(r.Context(), by, secret.From(form.Get("current_password")), next)
	if err != nil {
		return s.unchanged(w, r, err)
	}
	if !device.IsZero() {
		s.Cookies.Set(w, web.DeviceCookie, device, web.DeviceLasts)
		by.Origin.Device = device.Reveal()
	}
	if err := s.returns(w, r, by, next); err != nil {
		// The password is changed: who cannot be signed in with it now does so himself.
		web.Of(r.Context()).Cause = err
		s.Cookies.Expire(w, web.SessionCookie, web.AccessCookie, web.RefreshCookie)
		return see(w, "/signin?done=password-changed")
	}
	return see(w, home+"?done=password-changed")
}

// returns signs somebody in on this browser whose password has just been changed.
func (s *Surface) returns(w http.ResponseWriter, r *http.Request, by principal.Principal, password secret.Text) error {
	ctx := context.WithoutCancel(r.Context())
	user, err := s.Accounts.Fresh(ctx, by.ID)
	if err != nil {
		return err
	}
	web.Of(ctx).By = principal.Principal{Kind: principal.Anonymous, Origin: by.Origin} // a sign-in like any
	t, err := s.admit(r.WithContext(ctx), user.Username, password)
	if err != nil {
		return err
	}
	s.keep(w, t)
	s.renew(w)
	return nil
}

// unchanged tells at the field why a password was not changed.
func (s *Surface) unchanged(w http.ResponseWriter, r *http.Request, why error) error {
	p := s.screen(w, r, "account.title")
	f, _ := errors.AsType[*fault.Error](why)
	var me self
	status := http.StatusBadRequest
	switch kind := fault.KindOf(why); {
	case kind == fault.Denied, kind == fault.Invalid && f.Field == "current_password":
		status, me.Current = http.StatusForbidden, p.words["account.wrong"]
	case kind == fault.Invalid:
		me.New = p.told(f.Message)
	case kind == fault.Limited:
		status, p.Problem = http.StatusTooManyRequests, p.late(why)
		web.RetryAfter(w, why)
	case kind == fault.Stale: // it was changed beside this
		status, p.Problem = http.StatusConflict, p.words["form.stale"]
	default:
		return why
	}
	web.Of(r.Context()).Cause = why
	return s.account(w, r, p, me, status)
}

// late says when to come again after too much was tried.
func (p screen) late(why error) string {
	f, ok := errors.AsType[*fault.Error](why)
	if !ok {
		return p.words["error.429.next"]
	}
	text, _ := p.Say("signin.late", p.wait(f.After))
	return text
}
