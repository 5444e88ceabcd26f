package signin

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/web"
)

// Flow is what this package needs of authorization requests that wait for a person.
type Flow interface {
	Pending(ctx context.Context, id string, browser secret.Hash) (grant.Request, issue.Asked, error)
	Offer(ctx context.Context, a issue.Asked, user string) (issue.Offer, error)
	Decide(ctx context.Context, by principal.Principal, r grant.Request, a issue.Asked, in session.Session, said grant.Decision) error
	Agreements(ctx context.Context, user string) ([]grant.AgreedTo, error)
	Withdraw(ctx context.Context, by principal.Principal, client string) error
	// Waiting returns the device that waits with a code. Faults: NotFound, Limited.
	Waiting(ctx context.Context, by principal.Principal, code grant.UserCode) (issue.Waiting, error)
	// DecideDevice records what a person said to it. Faults: NotFound; an oauth.Error
	// where he has nothing that he could allow.
	DecideDevice(ctx context.Context, by principal.Principal, w issue.Waiting, in session.Session, said grant.Decision) error
}

// resume is where a request goes on that waits for a person.
const resume = "/oauth2/authorize/"

// question is what the consent page asks: may this application do this?
type question struct {
	ID       string
	Client   client.Client
	Name     string // of the application, as it is safe to show
	Host     string // where the person is sent back to
	Verified bool   // who runs the server answers for the application
	User     account.User
	API      string   // whose data it is; empty for this server's own
	May      []string // what it may do then, in words
	There    []string // and at the API
	Choose   bool     // whether only the account is asked for
	Again    string   // where to sign in as somebody else
}

// Consent asks a person whether an application may have what it asks for, or as whom
// he goes on.
func (s *Surface) Consent(w http.ResponseWriter, r *http.Request) error {
	p := s.screen(w, r, "consent.title")
	saved, a, in, err := s.asked(r)
	if err != nil {
		return err
	}
	if in.ID == "" {
		return see(w, resume+r.PathValue("id")) // which decides what comes next
	}
	return s.ask(w, r, p, saved, a, in, http.StatusOK)
}

// asked returns the request that waits, and the session of the person that it waits for;
// a zero Session for nobody.
func (s *Surface) asked(r *http.Request) (grant.Request, issue.Asked, session.Session, error) {
	saved, a, err := s.Flow.Pending(r.Context(), r.PathValue("id"), s.browser(r))
	if err != nil {
		return saved, a, session.Session{}, err
	}
	in, err := s.here(r)
	return saved, a, in, err
}

// browser returns the digest of what a browser holds that began a request; zero for
// nothing.
func (s *Surface) browser(r *http.Request) secret.Hash {
	value, _ := s.Cookies.Get(r, web.FlowCookie)
	hash, _ := session.ParseCookie(value)
	return hash
}

// here returns the session of who is signed in in a browser, and acts as him from then
// on; a zero Session for nobody.
func (s *Surface) here(r *http.Request) (session.Session, error) {
	in, err := s.session(r)
	if fault.KindOf(err) == fault.NotFound {
		return session.Session{}, nil
	} else if err != nil {
		return session.Session{}, err
	}
	by := &web.Of(r.Context()).By
	by.Kind, by.ID, by.Client, by.Session = principal.User, in.User, client.Builtin.ID, in.ID
	return in, nil
}

func (s *Surface) ask(w http.ResponseWriter, r *http.Request, p screen, saved grant.Request, a issue.Asked, in session.Session, status int) error {
	p.words = languages.in(a.Locales, r)
	p.Title = p.words["consent.title"]
	wanted := grant.WantedBy(&a.AuthorizationRequest)
	q := question{ID: r.PathValue("id"), Client: a.Client, Name: shown(a.Client.Name), Host: host(a.Target), Verified: a.Client.SkipConsent}
	q.Choose = saved.Next(wanted, grant.Seen{Session: in.ID, User: in.User, AuthTime: in.AuthTime}, s.Clock.Now()) == grant.Choose
	q.Again = "/signin?return_to=" + resume + q.ID
	var err error
	if q.User, err = s.Accounts.User(r.Context(), in.User); err != nil {
		return err
	}
	if q.Choose {
		p.Title = p.words["choose.title"]
	} else {
		offer, err := s.Flow.Offer(r.Context(), a, in.User)
		if err != nil {
			return see(w, resume+q.ID) // which tells the client
		}
		if offer.API != nil {
			q.API = offer.API.Name
		}
		q.May, q.There = p.may(offer)
	}
	p.Body = q
	return web.Page{Template: consentPage, Data: p, Status: status, PopUp: true, FormTo: []string{a.Target.Source()}}.Write(w)
}

// people are the scopes that say what an application learns of a person, in the order in
// which he is told; the last is for how long.
var people = []string{"openid", "profile", "email", "phone", "address", "offline_access"}

// may says in words what an application may do with what it is offered: with the person's
// account, and at the API that it asks for, if that is not this server.
func (p screen) may(o issue.Offer) (here, there []string) {
	for _, scope := range people {
		if slices.Contains(o.Asks(), scope) {
			here = append(here, p.words["scope."+scope])
		}
	}
	for _, scope := range o.Scope {
		if slices.Contains(people, scope) {
			continue
		}
		if o.API == nil {
			here = append(here, scope)
			continue
		}
		text := scope
		if i := slices.IndexFunc(o.API.Permissions, func(d resource.Permission) bool { return d.Name == scope }); i >= 0 && o.API.Permissions[i].Description != "" {
			text = o.API.Permissions[i].Description + " (" + scope + ")"
		}
		there = append(there, text)
	}
	return here, there
}

// Decide takes what the person said. It counts only in the session that it was asked in.
func (s *Surface) Decide(w http.ResponseWriter, r *http.Request) error {
	saved, a, in, err := s.asked(r)
	if err != nil {
		return err
	}
	form, genuine, err := s.posted(w, r)
	if err != nil {
		return err
	}
	if in.ID == "" {
		return see(w, resume+r.PathValue("id"))
	}
	if !genuine {
		p := s.screen(w, r, "consent.title")
		p.Problem = p.words["form.stale"]
		return s.ask(w, r, p, saved, a, in, http.StatusForbidden)
	}
	said := grant.Decision(form.Get("decision"))
	if said != grant.Allowed && said != grant.Denied && said != grant.Chosen {
		return &web.Refused{Status: http.StatusBadRequest, Message: "decision is allow, deny or chosen"}
	}
	// To agree is to agree to what was asked: who is still to choose the account, or to
	// sign in, was not asked yet.
	step := saved.Next(grant.WantedBy(&a.AuthorizationRequest), grant.Seen{Session: in.ID, User: in.User, AuthTime: in.AuthTime}, s.Clock.Now())
	if said == grant.Allowed && step != grant.Consent || said == grant.Chosen && step != grant.Choose {
		return see(w, resume+r.PathValue("id"))
	}
	if err := s.Flow.Decide(r.Context(), web.By(r.Context()), saved, a, in, said); err != nil {
		return err
	}
	return see(w, resume+r.PathValue("id"))
}

// agreement is what the account page shows of an application that may do something.
type agreement struct {
	Client string
	Name   string
	Start  string // where the application begins a sign-in; empty if it does not
	May    []string
	Since  moment
}

// agreements returns what a person lets applications do, one for each application.
func (s *Surface) agreements(ctx context.Context, p screen, user string) ([]agreement, error) {
	found, err := s.Flow.Agreements(ctx, user)
	if err != nil {
		return nil, err
	}
	var list []agreement
	for _, one := range found {
		may, _ := p.may(issue.Offer{Scope: one.Scope})
		if i := slices.IndexFunc(list, func(a agreement) bool { return a.Client == one.Client }); i >= 0 {
			list[i].May = append(list[i].May, may...)
			continue
		}
		c, err := s.Clients.Known(ctx, one.Client)
		if fault.KindOf(err) == fault.NotFound {
			c.Name = one.Client
		} else if err != nil {
			return nil, err
		}
		list = append(list, agreement{one.Client, shown(c.Name), s.start(c), may, p.when(one.At, s.Clock.Now())})
	}
	return list, nil
}

// start returns where an application is told to begin a sign-in here (OpenID Connect Core
// 1.0, Section 4), or nothing.
func (s *Surface) start(c client.Client) string {
	if c.InitiateLoginURI == "" || c.Status != client.Active {
		return ""
	}
	return oauth.NewTarget(c.InitiateLoginURI, oauth.Query, "", s.URL).Begin()
}

// WithdrawConsent takes back what an application may do.
func (s *Surface) WithdrawConsent(w http.ResponseWriter, r *http.Request) error {
	if _, genuine, err := s.posted(w, r); err != nil {
		return err
	} else if !genuine {
		return s.again(w, r)
	}
	err := s.Flow.Withdraw(r.Context(), web.By(r.Context()), r.PathValue("id"))
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	return see(w, home+"?done=withdrawn")
}

// waiting returns the request that somebody signs in for, if the place that he goes to
// then is one. It is only for what the page shows.
func (s *Surface) waiting(r *http.Request, place string) (issue.Asked, bool) {
	id, ok := strings.CutPrefix(place, resume)
	if !ok {
		return issue.Asked{}, false
	}
	_, a, err := s.Flow.Pending(r.Context(), id, s.browser(r))
	return a, err == nil && a.Wrong == nil
}

// shown returns a name as it is safe to show: in one direction, and not too long.
func shown(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == 0x200b, r == 0x200c, r == 0x200d, r == 0x2060, r == 0xfeff, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x61c:
			return -1
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > 60 {
		name = string(runes[:59]) + "…"
	}
	return name
}

// host returns whom an answer goes to, as people read it.
func host(t oauth.Target) string {
	return strings.TrimPrefix(strings.TrimPrefix(t.Origin(), "https://"), "http://")
}
