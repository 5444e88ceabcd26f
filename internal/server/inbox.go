package server

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/web"
)

// carrier is where letters go: into the inbox of dev, or to the mail server of a
// configuration, or nowhere.
func carrier(c config.Config, o Options, s *store.Store) (outbox.Carrier, error) {
	switch {
	case o.Carrier != nil:
		return o.Carrier, nil
	case o.Inbox:
		return outbox.CarrierFunc(s.KeepMail), nil
	case c.Mail.Host == "":
		return nil, nil
	}
	m := c.Mail
	return mail.New(mail.Options{Host: m.Host, Port: m.Port, Username: m.Username, Password: m.Password, From: m.From, TLS: m.TLS})
}

//go:embed inbox.html
var inboxText string

var inboxPage = template.Must(template.New("inbox").Parse(inboxText))

// inboxLimit is how many letters the inbox shows.
const inboxLimit = 100

// inbox is what the page shows: one letter, or all.
type inbox struct {
	Letter  *outbox.Mail
	Text    []part
	Letters []outbox.Mail
	Days    int
}

// letters shows the inbox, the newest first.
func (s *Server) letters(w http.ResponseWriter, r *http.Request) error {
	list, err := s.Store.ListMail(r.Context(), inboxLimit)
	if err != nil {
		return err
	}
	return web.Page{Template: inboxPage, Data: inbox{Letters: list, Days: int(store.InboxFor / (24 * time.Hour))}}.Write(w)
}

// letter shows one letter, exactly as plain text.
func (s *Server) letter(w http.ResponseWriter, r *http.Request) error {
	m, err := s.kept(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return web.Page{Template: inboxPage, Data: inbox{Letter: &m, Text: linked(m.Text, issuer(s.Config))}}.Write(w)
}

// letterHTML shows one letter as a mail program does that runs no scripts and
// fetches nothing.
func (s *Server) letterHTML(w http.ResponseWriter, r *http.Request) error {
	m, err := s.kept(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(m.HTML, "<style>") // the first is the catalogue's: all else is escaped
	look, _, _ := strings.Cut(rest, "</style>")
	digest := sha256.Sum256([]byte(look))
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(digest[:])+
		"'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox allow-top-navigation-by-user-activation")
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(m.HTML)) // the client is gone: nobody is left to tell
	return nil
}

func (s *Server) kept(ctx context.Context, letter string) (outbox.Mail, error) {
	if !id.Valid(letter) {
		return outbox.Mail{}, &web.Refused{Status: http.StatusNotFound, Message: "there is no such letter"}
	}
	return s.Store.KeptMail(ctx, letter)
}

// part is a piece of a text: words, or a link.
type part struct{ Text, Link string }

// linked finds the links to this server in a text. Others are words.
func linked(text, issuer string) []part {
	var parts []part
	for {
		before, after, found := strings.Cut(text, issuer)
		if !found || issuer == "" {
			return append(parts, part{Text: text})
		}
		end := strings.IndexAny(after, " \t\r\n<>\"")
		if end < 0 {
			end = len(after)
		}
		link := issuer + after[:end]
		if end > 0 && !strings.ContainsRune("/?#", rune(after[0])) { // another host that begins alike
			parts = append(parts, part{Text: before + link})
		} else {
			parts = append(parts, part{Text: before}, part{Link: link})
		}
		text = after[end:]
	}
}
