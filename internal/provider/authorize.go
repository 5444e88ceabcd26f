package provider

import (
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"log/slog"
	"net/http"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/session"
	"github.com/doorward/doorward/internal/web"
)

// resume is where a saved request goes on: resume and its id.
const resume = "/oauth2/authorize/"

// Authorize serves the authorization endpoint (RFC 6749, Section 3.1; OpenID Connect
// Core 1.0, Section 3.1.2). Who is signed in and need not be asked is sent back with a
// code at once; else the request is saved, and goes on once the person did what it needs.
func (p *Provider) Authorize(w http.ResponseWriter, r *http.Request) error {
	if web.Prefetched(r) {
		return &web.Refused{Status: http.StatusForbidden, Message: "this page is not to be fetched before somebody asks for it"}
	}
	asking, a, err := p.Issuer.Asked(r.Context(), r.URL.RawQuery)
	if err != nil {
		return err
	}
	return p.proceed(w, r, asking, a)
}

// AuthorizePost is Authorize for a form. It comes from another site, without this one's
// cookies: so it is saved, and the browser asks again.
func (p *Provider) AuthorizePost(w http.ResponseWriter, r *http.Request) error {
	_, body, err := web.Body(w, r, web.Form)
	if err != nil {
		return err
	}
	asking, a, err := p.Issuer.Asked(r.Context(), string(body))
	if err != nil {
		return err
	}
	if a.Wrong != nil {
		return p.refuse(w, a, a.Wrong)
	}
	return p.save(w, r, asking, resume)
}

// ResumeAuthorization goes on with a request that was saved, in the browser that began it.
func (p *Provider) ResumeAuthorization(w http.ResponseWriter, r *http.Request) error {
	if web.Prefetched(r) {
		return &web.Refused{Status: http.StatusForbidden, Message: "this page is not to be fetched before somebody asks for it"}
	}
	saved, a, err := p.Issuer.Pending(r.Context(), r.PathValue("id"), p.browser(r))
	if err != nil {
		return err
	}
	return p.proceed(w, r, saved, a)
}

// browser returns the digest of what a browser holds that began a request; zero for
// nothing.
func (p *Provider) browser(r *http.Request) secret.Hash {
	value, _ := p.Cookies.Get(r, web.FlowCookie)
	hash, _ := session.ParseCookie(value)
	return hash
}

// proceed does what a request needs next.
func (p *Provider) proceed(w http.ResponseWriter, r *http.Request, saved grant.Request, a issue.Asked) error {
	web.Note(r.Context(), slog.String("client", a.Client.ID))
	if a.Wrong != nil {
		return p.refuse(w, a, a.Wrong)
	}
	in, err := p.SignedIn(r)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return p.refuse(w, a, err)
	}
	wanted := grant.WantedBy(&a.AuthorizationRequest)
	if a.IDHint != "" {
		hint, ok := p.Issuer.Hint(a.IDHint)
		switch {
		case ok && hint.Client == a.Client.ID:
			if wanted.User = hint.User; p.Issuer.Meant(r.Context(), hint, in.User) {
				wanted.User = in.User
			}
		case a.Asks(oauth.PromptNone): // nobody may be asked whom it means
			return p.refuse(w, a, &oauth.Error{Code: oauth.LoginRequired, Description: "id_token_hint is no ID token of this server for this client"})
		}
	}
	seen := grant.Seen{Session: in.ID, User: in.User, AuthTime: in.AuthTime}
	// What there is to agree to is the offer to the person who goes on: who is to sign in,
	// or to choose, may be another.
	var offer issue.Offer
	wanted.Agreed = true
	step := saved.Next(wanted, seen, p.Clock.Now())
	if step == grant.Answer || step == grant.Consent {
		if offer, err = p.Issuer.Offer(r.Context(), a, in.User); err != nil {
			return p.refuse(w, a, err)
		}
		wanted.Agreed = offer.Agreed
		step = saved.Next(wanted, seen, p.Clock.Now())
	}
	if a.Asks(oauth.PromptNone) && step != grant.Answer {
		return p.refuse(w, a, silent[step])
	}
	switch step {
	case grant.Answer:
		code, err := p.Issuer.Authorize(r.Context(), web.By(r.Context()), a, offer, in, saved)
		if fault.KindOf(err) == fault.NotFound {
			return err // it was answered beside this
		} else if err != nil {
			return p.refuse(w, a, err)
		}
		return p.answer(w, a.Target, a.Target.Code(code.Reveal()))
	case grant.Refuse:
		return p.refuse(w, a, &oauth.Error{Code: oauth.AccessDenied, Description: "the person refused"})
	case grant.SignIn:
		return p.save(w, r, saved, "/signin?return_to="+resume)
	default:
		return p.save(w, r, saved, "/consent/")
	}
}

// silent is what is told where a step is needed and nobody may be asked (OpenID Connect
// Core 1.0, Section 3.1.2.6).
var silent = map[grant.Step]error{
	grant.SignIn:  &oauth.Error{Code: oauth.LoginRequired, Description: "nobody is signed in"},
	grant.Choose:  &oauth.Error{Code: oauth.InteractionRequired, Description: "the account must be chosen"},
	grant.Consent: &oauth.Error{Code: oauth.ConsentRequired, Description: "the person must be asked"},
	grant.Refuse:  &oauth.Error{Code: oauth.AccessDenied, Description: "the person refused"},
}

// save sends the browser to a page with the request, which is saved first if it was not.
func (p *Provider) save(w http.ResponseWriter, r *http.Request, saved grant.Request, page string) error {
	id := r.PathValue("id")
	if id == "" {
		browser := p.browser(r)
		if browser == (secret.Hash{}) {
			raw := secret.Random(32)
			p.Cookies.Hold(w, web.FlowCookie, secret.From(base64.RawURLEncoding.EncodeToString(raw)))
			browser = secret.HashOf(raw)
		}
		var err error
		if id, err = p.Issuer.Save(r.Context(), web.By(r.Context()), saved, browser); err != nil {
			return err
		}
	}
	return see(w, page+id)
}

// refuse tells an error to the client. What is not for clients to know is our failure.
func (p *Provider) refuse(w http.ResponseWriter, a issue.Asked, why error) error {
	e, ok := errors.AsType[*oauth.Error](why)
	switch {
	case ok:
	case fault.KindOf(why) == fault.Unavailable, fault.KindOf(why) == fault.Limited:
		e = &oauth.Error{Code: oauth.TemporarilyUnavailable, Description: "try again later"}
	default:
		return why // told to the person, by the page; the log has the cause
	}
	return p.answer(w, a.Target, a.Target.Refuse(e))
}

// answer sends the browser back to the client.
func (p *Provider) answer(w http.ResponseWriter, t oauth.Target, pairs []oauth.Pair) error {
	if t.Mode() == oauth.FormPost {
		return web.Page{Template: formPost, Data: struct {
			URI   string
			Pairs []oauth.Pair
		}{t.URI(), pairs}, FormTo: []string{t.Source()}, PopUp: true}.Write(w)
	}
	return see(w, t.Location(pairs))
}

// see sends the browser to another page with a GET, whatever it came with (RFC 9110,
// Section 15.4.4; RFC 9700, Section 4.12).
func see(w http.ResponseWriter, place string) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", place)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

//go:embed form_post.html
var pages embed.FS

// formPost sends an answer on as a form (OAuth 2.0 Form Post Response Mode). Without
// scripts there is a button.
var formPost = template.Must(template.ParseFS(pages, "form_post.html"))
