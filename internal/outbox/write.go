package outbox

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// The catalogue has a folder for each language, and in it a file for each kind.
// Its first line is the subject, and a block between empty lines is a paragraph,
// or a list of facts if each of its lines begins with a hyphen. A fact without a
// value is left out.
//
//go:embed letters/*/*.txt letters/letter.html
var catalogue embed.FS

const english = "en"

var (
	texts = template.Must(template.New("").Option("missingkey=error").ParseFS(catalogue, "letters/"+english+"/*.txt"))
	page  = htmltemplate.Must(htmltemplate.ParseFS(catalogue, "letters/letter.html"))
)

// facts are what the files of the catalogue may tell.
type facts struct {
	Site string // the issuer's host
	URL  string // the issuer
	At   string
	// What follows is empty if it is not known, or not for this address.
	Username, Address, Browser, Until string
	Key                               string
	Count                             int
}

// fact is a line of a list.
type fact struct{ Name, Value string }

// block is a paragraph or a list.
type block struct {
	Text  string
	Facts []fact
}

// write writes a letter as it is sent. Of what strangers may have chosen, only
// what has a known form gets into it: an address, a number, a time, the name of a
// browser. There is nothing in it that a mail program could take for a link but
// the issuer.
func (s *Service) write(l Letter, to Recipient) (Mail, error) {
	f := s.facts(l, to)
	text, err := said(string(l.Kind), f)
	if err != nil {
		return Mail{}, err
	}
	head, body, _ := strings.Cut(text, "\n\n")
	subject, ok := strings.CutPrefix(head, "Subject: ")
	if !ok || strings.Contains(subject, "\n") {
		return Mail{}, fmt.Errorf("the catalogue's %s does not begin with one line of a subject", l.Kind)
	}
	foot, err := said("footer", f)
	if err != nil {
		return Mail{}, err
	}
	blocks := blocksOf(body)
	var html strings.Builder
	err = page.Execute(&html, struct {
		Language, Subject, Footer string
		Blocks                    []block
	}{english, subject, foot, blocks})
	return Mail{
		ID: l.ID, User: l.User, To: to.Address, At: l.At,
		Subject: subject, Text: plain(blocks) + "\n-- \n" + wrapped(foot), HTML: html.String(),
	}, err
}

// said fills a file of the catalogue.
func said(name string, f facts) (string, error) {
	var b strings.Builder
	err := texts.ExecuteTemplate(&b, name+".txt", f)
	return strings.TrimSpace(b.String()), err
}

func (s *Service) facts(l Letter, to Recipient) facts {
	f := facts{Site: s.site, URL: s.issuer, At: when(l.At)}
	if until, err := time.Parse(time.RFC3339, l.Data["until"]); err == nil {
		f.Until = when(until.Add(time.Minute - 1)) // who comes at the minute that he reads does not come too soon
	}
	if n, err := strconv.Atoi(l.Data["count"]); err == nil && n > 0 && n < 1_000_000 {
		f.Count = n
	}
	if keyID.MatchString(l.Data["key"]) {
		f.Key = l.Data["key"]
	}
	if !to.Proved { // it may be a stranger's, and the name what he was to read
		return f
	}
	f.Username = to.Username
	if a, err := netip.ParseAddr(l.Data["address"]); err == nil {
		f.Address = a.WithZone("").String()
	}
	if agent := l.Data["user_agent"]; agent != "" {
		f.Browser = browser(agent)
	}
	return f
}

// keyID is what the public id of an API key looks like.
var keyID = regexp.MustCompile(`^[0-9A-Za-z]{16}$`)

// when writes a time as people read it.
func when(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// blocksOf reads what a file of the catalogue says.
func blocksOf(text string) []block {
	var list []block
	for part := range strings.SplitSeq(text, "\n\n") {
		part = strings.TrimSpace(part)
		if !strings.HasPrefix(part, "- ") {
			list = append(list, block{Text: strings.Join(strings.Fields(part), " ")})
			continue
		}
		var b block
		for line := range strings.Lines(part) {
			name, value, _ := strings.Cut(strings.TrimPrefix(line, "- "), ":")
			if value = strings.TrimSpace(value); value != "" {
				b.Facts = append(b.Facts, fact{name, value})
			}
		}
		list = append(list, b)
	}
	return list
}

// plain writes blocks as plain text.
func plain(blocks []block) string {
	var b strings.Builder
	for i, part := range blocks {
		if i > 0 {
			b.WriteByte('\n')
		}
		if part.Facts == nil {
			b.WriteString(wrapped(part.Text))
			continue
		}
		wide := 0
		for _, f := range part.Facts {
			wide = max(wide, len([]rune(f.Name)))
		}
		for _, f := range part.Facts {
			fmt.Fprintf(&b, "  %-*s  %s\n", wide+1, f.Name+":", f.Value)
		}
	}
	return b.String()
}

// wrapped breaks a paragraph into lines of at most 72 characters, where it can
// (RFC 5322, Section 2.1.1, asks for 78).
func wrapped(text string) string {
	const most = 72
	var b strings.Builder
	n := 0
	for word := range strings.FieldsSeq(text) {
		long := len([]rune(word))
		switch {
		case n > 0 && n+1+long > most:
			b.WriteByte('\n')
			n = 0
		case n > 0:
			b.WriteByte(' ')
			n++
		}
		b.WriteString(word)
		n += long
	}
	return b.String() + "\n"
}
