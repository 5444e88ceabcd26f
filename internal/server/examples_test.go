package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/servertest"
)

// shownIssuer stands for the server's own address in what the document shows.
const shownIssuer = "https://auth.example.com"

// The document has an example of each operation, and each works, in their order, and
// is answered as it says: but for what differs from call to call, which must look
// alike. With -update the answers are written as they are now, and {field} in a
// request becomes the newest value of that field in an answer.
func TestExamplesOfTheDocumentRun(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	d := readDocument(t, s)
	patterns := map[string]string{}
	for pattern, op := range d.operations() {
		patterns[op["operationId"].(string)] = pattern
		showsExample(t, d, pattern, op)
	}
	all, err := admin.Examples()
	if err != nil {
		t.Fatal(err)
	}
	p := &player{site: s, admin: s.Login(t, servertest.Admin).Access, real: map[string]string{s.URL: shownIssuer, strings.TrimPrefix(s.URL, "http://"): "auth.example.com"}, newest: map[string]string{}}
	checkpoint(t, s, p.admin) // there is one
	for i := range all {
		if all[i].Operation == "list-streams" { // which no operation of the document makes
			streamOf(t, s, "billing")
		}
		p.play(t, patterns, &all[i])
	}
	if *update {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(all); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("../admin/examples.json", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// showsExample fails the test unless an operation has an example of each body that
// it takes and gives.
func showsExample(t *testing.T, d document, pattern string, op map[string]any) {
	t.Helper()
	if body, ok := op["requestBody"].(map[string]any); ok {
		for kind, media := range d.object(body, "content") {
			if d.object(media)["example"] == nil {
				t.Errorf("%s shows no example of a body of the type %s", pattern, kind)
			}
		}
	}
	for status, r := range d.object(op, "responses") {
		content, _ := d.object(r)["content"].(map[string]any)
		for kind, media := range content {
			if status < "300" && !strings.HasPrefix(kind, "text/html") && d.object(media)["example"] == nil {
				t.Errorf("%s shows no example of the answer %s of the type %s", pattern, status, kind)
			}
		}
	}
}

// player makes the calls of the examples.
type player struct {
	site   *servertest.Site
	admin  string
	real   map[string]string // what the document shows instead, by what is real
	newest map[string]string // what was shown last, by the field
	made   int

	granted granted // to an application
}

func (p *player) play(t *testing.T, patterns map[string]string, e *admin.Example) {
	t.Helper()
	method, path, ok := strings.Cut(patterns[e.Operation], " ")
	if !ok {
		t.Fatalf("there is no operation %s", e.Operation)
	}
	for name, value := range e.Path {
		e.Path[name] = p.resolve(value)
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(p.reveal(e.Path[name])))
	}
	query := url.Values{}
	for name, value := range e.Query {
		query.Set(name, p.reveal(value))
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	e.Request = []byte(p.resolve(string(e.Request)))
	a := p.send(t, method, path, e)
	if a.Status != e.Status {
		t.Fatalf("%s: %d %s", e.Operation, a.Status, a.Body)
	}
	var got, want any
	if strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") { // pages are not shown
		return
	}
	if !strings.Contains(a.Header.Get("Content-Type"), "json") {
		got = any(a.Body)
	} else if a.Body != "" {
		a.JSON(t, &got)
	}
	if len(e.Answer) > 0 {
		if err := json.Unmarshal(e.Answer, &want); err != nil {
			t.Fatal(err)
		}
	}
	got = p.hide(got, want, "", e.Operation)
	if *update {
		e.Answer = nil
		if got != nil && got != "" {
			e.Answer = encode(t, got)
		}
	} else if g, w := encode(t, got), encode(t, want); a.Body != "" && !bytes.Equal(g, w) {
		t.Errorf("%s is answered with\n%s\nwant\n%s", e.Operation, g, w)
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// send sends an example's request as whom it says.
func (p *player) send(t *testing.T, method, path string, e *admin.Example) servertest.Answer {
	t.Helper()
	kind, body := "application/json", p.reveal(string(e.Request))
	var headers []string
	switch e.As {
	case "client", "browser":
		kind = "application/x-www-form-urlencoded"
		if basic := p.reveal(p.newest["client_id"]) + ":" + p.reveal(p.newest["client_secret"]); e.As == "client" {
			headers = []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(basic))}
		}
		if body == "" {
			break
		}
		var fields map[string]string
		if err := json.Unmarshal([]byte(body), &fields); err != nil {
			t.Fatal(err)
		}
		form := url.Values{}
		for name, value := range fields {
			form.Set(name, value)
		}
		body = form.Encode()
	case "registrar":
		field := "token"
		if method != http.MethodPost {
			field = "registration_access_token"
		}
		headers = []string{"Authorization", "Bearer " + p.reveal(p.newest[field])}
	case "app":
		headers = []string{"Authorization", "Bearer " + p.app(t)}
	case "person":
		headers = []string{"Authorization", "Bearer " + p.reveal(p.newest["access_token"])}
	case "":
		headers = []string{"Authorization", "Bearer " + p.admin}
	}
	if body == "" {
		kind = ""
	}
	if method == http.MethodPatch {
		kind = "application/merge-patch+json"
	}
	return p.site.Send(t, method, path, kind, body, headers...)
}

// app returns the token of an application that a person signed in to.
func (p *player) app(t *testing.T) string {
	t.Helper()
	if p.granted.Access == "" {
		app(t, p.site, "shop", func(d *client.Draft) { d.SkipConsent, d.Method = true, oauth.NoAuth })
		b := p.site.Browser(t)
		b.Login(t, servertest.Admin)
		redeem(t, p.site, "shop", "", code(t, b, authorizing("shop", "scope", "openid profile read"))).JSON(t, &p.granted)
	}
	return p.granted.Access
}

// resolve puts what an answer showed last into the place of {its field}.
func (p *player) resolve(text string) string {
	return regexp.MustCompile(`\{(\w+)\}`).ReplaceAllStringFunc(text, func(s string) string { return p.newest[s[1:len(s)-1]] })
}

// reveal puts what is real into the place of what is shown.
func (p *player) reveal(text string) string {
	longest := func(a, b string) int { return len(p.real[b]) - len(p.real[a]) }
	for _, is := range slices.SortedFunc(maps.Keys(p.real), longest) {
		text = strings.ReplaceAll(text, p.real[is], is)
	}
	return text
}

// shows reports whether a text is what the document shows of something.
func (p *player) shows(text string) bool {
	return slices.Contains(slices.Collect(maps.Values(p.real)), text)
}

// changing are the looks of what differs from call to call, and what the document
// shows of it where it shows nothing yet.
var changing = []struct {
	looks *regexp.Regexp
	shown func(n int) string
}{
	{regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`), func(int) string { return "2026-11-29T09:00:00.000000Z" }},
	{regexp.MustCompile(`^[0-9a-v]{26}$`), func(n int) string { return fmt.Sprintf("06h2ek0mhhcqtfp7rct2c6k%03d", n) }},
	{regexp.MustCompile(`^eyJ[\w-]+\.[\w-]+\.[\w-]+$`), func(n int) string { return fmt.Sprintf("eyJhbGciOiJFUzI1NiJ9.eyJleGFtcGxlIjo%d.c2lnbmF0dXJl", n) }},
	{regexp.MustCompile(`^dwr_\w+$`), func(n int) string { return fmt.Sprintf("dwr_1xample0fA1xample0fA1xample0fA1xample%d", n) }},
	{regexp.MustCompile(`^dws_\w+$`), func(n int) string { return fmt.Sprintf("dws_1xample0fA1xample0fA1xample0fA1xample%d", n) }},
	{regexp.MustCompile(`^dwi_\w+$`), func(n int) string { return fmt.Sprintf("dwi_1xample0fA1xample0fA1xample0fA1xample%d", n) }},
	{regexp.MustCompile(`^dwm_\w+$`), func(n int) string { return fmt.Sprintf("dwm_1xample0fA1xample0fA1xample0fA1xample%d", n) }},
	{regexp.MustCompile(`^dwk_\w+$`), func(n int) string { return fmt.Sprintf("dwk_1xample0fA1xample_1xample0fA1xample0fA%d", n) }},
	{regexp.MustCompile(`^urn:ietf:params:oauth:request_uri:\w+$`), func(n int) string {
		return fmt.Sprintf("urn:ietf:params:oauth:request_uri:1xample0fA1xample0fA1xample0fA1xample0fA1%d", n)
	}},
	{regexp.MustCompile(`^dwd_\w+$`), func(n int) string { return fmt.Sprintf("dwd_1xample0fA1xample0fA1xample0fA1xample%d", n) }},
	{regexp.MustCompile(`^[A-Z]{4}-[A-Z]{4}$`), func(n int) string { return "WDJB-MJH" + string(rune('A'+n%26)) }},
	{regexp.MustCompile(`^[0-9A-Za-z]{16}$`), func(n int) string { return fmt.Sprintf("1xample0fA1xamp%d", n%10) }},
	{regexp.MustCompile(`^[0-9a-f]{64}$`), func(n int) string { return fmt.Sprintf("%064x", n) }},
	{regexp.MustCompile(`^[A-Z0-9]{26}$`), func(n int) string { return fmt.Sprintf("JTI2EXAMPLE2EXAMPLE2EXAM%02d", n) }},
	{regexp.MustCompile(`^[\w.-]+\.[\w-]{22}$`), func(n int) string { return fmt.Sprintf("cursor-%d.ZXhhbXBsZS1leGFtcGxlLg", n) }},
	{regexp.MustCompile(`^[\w+/-]{43}=?$`), func(n int) string { return fmt.Sprintf("ZXhhbXBsZS1leGFtcGxlLWV4YW1wbGUtZXhhbXBs%03d", n) }},
	{regexp.MustCompile(`(?s)^auth\.example\.com/audit\n.*\n\n— `), func(int) string {
		return "auth.example.com/audit\n42\nZXhhbXBsZQ==\n\n— auth.example.com/audit c2lnbmF0dXJl\n"
	}},
}

// passing are the fields whose values are of the moment.
var passing = []string{"exp", "iat", "nbf", "client_id_issued_at", "leaf", "size", "proof"}

// hide puts what is shown into the place of what is real: what an answer showed at
// the same place before, or else what looks alike.
func (p *player) hide(got, shown any, field, at string) any {
	if shown != nil && slices.Contains(passing, field) {
		return shown
	}
	switch got := got.(type) {
	case float64:
		if shown != nil && field == "updated_at" { // as userinfo tells it
			return shown
		}
	case map[string]any:
		were, _ := shown.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(got)) {
			got[name] = p.hide(got[name], were[name], name, at)
		}
		if id, ok := got["id"].(string); ok && at == "create-user" {
			p.newest["user"] = id
		}
	case []any:
		were, _ := shown.([]any)
		for i := range got {
			var was any
			if i < len(were) {
				was = were[i]
			}
			got[i] = p.hide(got[i], was, field, at)
		}
	case string:
		if field == "until" {
			return got
		}
		text := p.mask(got, shown)
		p.newest[field] = text
		return text
	}
	return got
}

func (p *player) mask(got string, shown any) string {
	if shown == got {
		return got
	}
	text := got
	longest := func(a, b string) int { return len(b) - len(a) }
	for _, is := range slices.SortedFunc(maps.Keys(p.real), longest) {
		text = strings.ReplaceAll(text, is, p.real[is])
	}
	for _, c := range changing {
		if text != got && p.shows(text) || !c.looks.MatchString(text) {
			continue
		}
		was, ok := shown.(string)
		if !ok || !c.looks.MatchString(was) && was != c.shown(0) {
			p.made++
			was = c.shown(p.made)
		}
		if c.shown(0) != c.shown(1) { // else it stands for many
			p.real[text] = was
		}
		return was
	}
	return text
}
