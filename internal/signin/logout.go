package signin

import (
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/web"
)

const (
	logoutPath    = "/oauth2/logout"
	logoutConfirm = logoutPath + "/confirm"
)

// farewell is what the page of the sign-out shows: the question, or that it is done.
type farewell struct {
	User *account.User // who would be signed out; nil if nobody is signed in any more
	Name string        // of the application that asks, as it is safe to show; empty if it is not known
	Stay bool          // the application asks to have the person sent to where it may not
	// What signs the browser out of the applications, once he is signed out.
	Frames []oauth.Frame
	// Next is where he goes then; empty for nowhere. It is registered, whatever its scheme.
	Next template.URL
}

// framesHave is how many seconds the frames have, before the browser goes on without them.
const framesHave = "5"

// parting is a request to sign somebody out (OpenID Connect RP-Initiated Logout 1.0,
// Section 2).
type parting struct {
	hint    issue.Hint
	proved  bool          // an ID token of this server's says who is meant
	client  client.Client // zero if it is not known
	target  *oauth.Target // where to go then; nil for nowhere
	refused bool          // it names a place that is not to be gone to
	locales []string
}

// PartFrom signs a person out for an application, and sends him back. It does so at once only
// where the application shows an ID token of whom it means, who is signed in here: anybody
// else could sign people out by a link, or send them to a place of his own.
func (s *Surface) PartFrom(w http.ResponseWriter, r *http.Request) error {
	if web.Prefetched(r) {
		return &web.Refused{Status: http.StatusForbidden, Message: "this page is not to be fetched before somebody asks for it"}
	}
	q, err := s.parting(r, r.URL.RawQuery)
	if err != nil {
		return err
	}
	in, err := s.here(r)
	if err != nil {
		return err
	}
	p := s.screen(w, r, "logout.title")
	p.words = languages.in(q.locales, r)
	f := farewell{Name: shown(q.client.Name), Stay: q.refused}
	switch {
	case in.ID != "" && (!q.proved || !s.Meant(r.Context(), q.hint, in.User) || q.refused):
		user, err := s.Accounts.User(r.Context(), in.User)
		if err != nil {
			return err
		}
		f.User = &user
		return p.farewell(w, f)
	case in.ID != "":
		if f.Frames, err = s.Frames(r.Context(), in.ID); err != nil {
			return err
		}
		if err := s.signOut(w, r); err != nil {
			return err
		}
	}
	if q.target == nil {
		p.Done = p.words["done."+signedOut]
		return p.farewell(w, f)
	}
	place := q.target.Location(q.target.Back())
	if len(f.Frames) == 0 {
		w.Header().Set("Referrer-Policy", "no-referrer")
		return see(w, place)
	}
	f.Next = template.URL(place) //nolint:gosec // it is one of the application's own
	p.Done = p.words["done."+signedOut]
	w.Header().Set("Refresh", framesHave+";url="+place) // without scripts
	return p.farewell(w, f)
}

// PartFromPost is PartFrom for a form. It comes from another site, without this one's cookies:
// so the browser asks again.
func (s *Surface) PartFromPost(w http.ResponseWriter, r *http.Request) error {
	_, body, err := web.Body(w, r, web.Form)
	if err != nil {
		return err
	}
	params, err := oauth.ParseForm(string(body))
	if err != nil {
		return err
	}
	return see(w, logoutPath+"?"+params.Encode())
}

// ConfirmParting signs out who was asked whether he wants that. Nobody is sent anywhere
// then: who asked has not said who he is.
func (s *Surface) ConfirmParting(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.here(r); err != nil {
		return err
	}
	if _, genuine, err := s.posted(w, r); err != nil {
		return err
	} else if !genuine {
		return see(w, logoutPath) // which asks again
	}
	return s.leave(w, r, signedOut)
}

// parting reads a request to sign somebody out.
func (s *Surface) parting(r *http.Request, query string) (parting, error) {
	var q parting
	params, err := oauth.ParseForm(query)
	if err != nil {
		return q, err
	}
	q.locales = strings.Fields(params.Get("ui_locales"))
	q.hint, q.proved = s.Hint(params.Get("id_token_hint"))
	id, place := params.Get("client_id"), params.Get("post_logout_redirect_uri")
	if q.proved {
		if id != "" && id != q.hint.Client { // of one client, in the name of another
			q.proved = false
		} else {
			id = q.hint.Client
		}
	}
	q.client, err = s.Clients.Known(r.Context(), id)
	if fault.KindOf(err) != fault.NotFound && err != nil {
		return q, err
	}
	if err != nil || q.client.Status != client.Active {
		q.client, q.proved = client.Client{}, false
	}
	if place == "" {
		return q, nil
	}
	if q.refused = !q.proved || !slices.Contains(q.client.PostLogoutRedirectURIs, place); !q.refused {
		target := oauth.NewTarget(place, oauth.Query, params.Get("state"), "")
		q.target = &target
	}
	return q, nil
}

func (p screen) farewell(w http.ResponseWriter, f farewell) error {
	status := http.StatusOK
	if f.Stay {
		status, p.Problem = http.StatusBadRequest, p.words["logout.stay"]
	}
	p.Title = p.words["logout.title"]
	if f.User == nil {
		p.Title = p.words["logout.done"]
	}
	p.Body = f
	var origins []string
	for _, frame := range f.Frames {
		if !slices.Contains(origins, frame.Origin) {
			origins = append(origins, frame.Origin)
		}
	}
	return web.Page{Template: logoutPage, Data: p, Status: status, PopUp: true, Frames: origins}.Write(w)
}
