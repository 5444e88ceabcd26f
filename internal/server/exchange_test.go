package server_test

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/servertest"
)

var update = flag.Bool("update", false, "write the answers of the exchanges in testdata as they are now")

// TestExchanges plays the conversations in testdata: each request as it stands
// there must be answered with that status, those headers and no others, and that
// body. What differs between runs is masked, and a mask that comes again stands for
// the same value: <refresh_token.1> in a request is the first one that was given.
// ann is a viewer, <ann> is her id, and <admin> the administrator's. reports is a client
// that proves itself by a key: <assertion> is one of its. <issuer*> is the issuer as it
// stands in a query, and Authorization: Basic id:secret is encoded.
func TestExchanges(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%v, %v", files, err)
	}
	servertest.Each(t, func(t *testing.T, _ *servertest.Site) {
		for _, file := range files {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { play(t, servertest.Start(t, servertest.Options{}), file) })
		}
	})
}

func play(t *testing.T, s *servertest.Site, file string) {
	conversation, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`\(RFC\s\d+,\sSection`).Match(conversation.Comment) {
		t.Errorf("%s: its first lines name no specification", file)
	}
	m := newMasks(t, s)
	for i := 0; i+1 < len(conversation.Files); i += 2 {
		ask, answer := conversation.Files[i], &conversation.Files[i+1]
		if ask.Name != "ask" || answer.Name != "answer" {
			t.Fatalf("%s: %s and %s are no pair", file, ask.Name, answer.Name)
		}
		r := request(t, m.reveal(string(ask.Data)))
		w := httptest.NewRecorder()
		s.Server.ServeHTTP(w, r)
		if r.Method == http.MethodHead { // a connection would not carry it
			w.Body.Reset()
		}
		got := m.hide(t, w.Result(), w.Body.String())
		if *update {
			answer.Data = []byte(got)
		} else if want := string(answer.Data); got != want {
			t.Errorf("%s, exchange %d:\n%s\nis answered with\n%s\nwant\n%s", file, i/2+1, ask.Data, got, want)
		}
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(conversation), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// request reads a request: a method and a path, headers, an empty line, a body.
func request(t *testing.T, text string) *http.Request {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	body = strings.TrimSuffix(body, "\n")
	line, headers, _ := strings.Cut(strings.TrimSuffix(head, "\n"), "\n")
	if !strings.Contains("\n"+headers, "\nHost:") {
		headers = strings.TrimPrefix(headers+"\nHost: localhost", "\n")
	}
	headers = basic.ReplaceAllStringFunc(headers, func(s string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(strings.TrimPrefix(s, "Basic ")))
	})
	if body != "" {
		headers += "\nContent-Length: " + length(body)
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(line + " HTTP/1.1\r\n" + strings.ReplaceAll(headers, "\n", "\r\n") + "\r\n\r\n" + body)))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	r.RemoteAddr = "192.0.2.1:1234"
	return r
}

var basic = regexp.MustCompile(`Basic [^\s:]+:\S+`)

// masks are what stands for values that differ between runs.
type masks struct {
	names  map[string]string // by value
	counts map[string]int
}

func newMasks(t *testing.T, s *servertest.Site) *masks {
	t.Helper()
	admin, err := s.Core.Accounts.ByLogin(t.Context(), servertest.Admin)
	if err != nil {
		t.Fatal(err)
	}
	reports := newProver(t, "reports", jose.ES256)
	reports.keep(t, s)
	return &masks{names: map[string]string{
		s.URL: "<issuer>", url.QueryEscape(s.URL): "<issuer*>", admin.ID: "<admin>", s.User(t, "ann", "viewer").ID: "<ann>", reports.assertion(t, s, nil): "<assertion>",
	}, counts: map[string]int{}}
}

// reveal puts the values in the place of their masks.
func (m *masks) reveal(text string) string {
	for value, name := range m.names {
		text = strings.ReplaceAll(text, name, value)
	}
	return regexp.MustCompile(`<(\d+) bytes>`).ReplaceAllStringFunc(text, func(s string) string {
		n, _ := strconv.Atoi(strings.TrimSuffix(s[1:], " bytes>")) // the pattern has digits
		return strings.Repeat("a", n)
	})
}

// numbered are the fields whose values are told apart, constant those where any
// value will do.
var (
	numbered = []string{"access_token", "refresh_token", "client_secret", "id", "kid", "next", "device_code", "user_code", "id_token", "request_uri"}
	constant = map[string]string{
		"request_id": "request_id", "decision_id": "decision_id", "x": "x", "y": "y",
		"created_at": "time", "updated_at": "time", "signed_in_at": "time", "granted_at": "time",
		"jti": "jti", "used_at": "time", "expires_at": "time", "secret_created_at": "time",
	}
)

// learn names the values of a JSON text.
func (m *masks) learn(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, field := range slices.Sorted(maps.Keys(v)) {
			text, _ := v[field].(string)
			switch {
			case text == "" || m.names[text] != "":
				m.learn(v[field])
			case slices.Contains(numbered, field):
				m.counts[field]++
				m.names[text] = fmt.Sprintf("<%s.%d>", field, m.counts[field])
			case constant[field] != "":
				m.names[text] = "<" + constant[field] + ">"
			}
		}
	case []any:
		for _, item := range v {
			m.learn(item)
		}
	}
}

// hide writes an answer with the masks in the place of the values.
func (m *masks) hide(t *testing.T, res *http.Response, body string) string {
	t.Helper()
	var v any
	if json.Unmarshal([]byte(body), &v) == nil && len(body) < 4000 {
		m.learn(v)
	}
	m.names[res.Header.Get("X-Request-Id")] = "<request_id>"
	for kind, at := range leads {
		if found := at.FindStringSubmatch(res.Header.Get("Location")); found != nil && m.names[found[1]] == "" {
			m.counts[kind]++
			m.names[found[1]] = fmt.Sprintf("<%s.%d>", kind, m.counts[kind])
		}
	}
	for _, c := range res.Cookies() {
		if _, known := m.names[c.Value]; !known && c.Value != "" {
			name := strings.TrimPrefix(c.Name, "doorward_")
			m.counts[name]++
			m.names[c.Value] = fmt.Sprintf("<%s.%d>", name, m.counts[name])
		}
	}
	if tag := res.Header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, `"v`) && m.names[strings.Trim(tag, `"`)] == "" {
		m.counts["etag"]++
		m.names[strings.Trim(tag, `"`)] = fmt.Sprintf("<etag.%d>", m.counts["etag"])
	}
	if len(body) > 4000 {
		body = "<a document>\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", res.StatusCode)
	for _, name := range slices.Sorted(maps.Keys(res.Header)) {
		for _, value := range res.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	if body != "" {
		b.WriteString("\n" + strings.TrimSuffix(body, "\n") + "\n")
	}
	text := b.String()
	longest := func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) }
	for _, value := range slices.SortedFunc(maps.Keys(m.names), longest) {
		if value != "" {
			text = strings.ReplaceAll(text, value, m.names[value])
		}
	}
	text = nonce.ReplaceAllString(lasts.ReplaceAllString(text, "${1}<seconds>"), "'nonce-<nonce>'")
	return moment.ReplaceAllString(text, "${1}<seconds>")
}

// leads is what a Location holds that differs between runs.
var leads = map[string]*regexp.Regexp{
	"code": regexp.MustCompile(`[?&]code=([^&]+)`), "request": regexp.MustCompile(`/(?:authorize|consent)/(\w+)$`),
}

// nonce is that of a page.
var nonce = regexp.MustCompile(`'nonce-[\w-]+'`)

// moment is a time in seconds.
var moment = regexp.MustCompile(`("(?:exp|iat|nbf|updated_at)":)\d{9,}`)

// lasts is how long a cookie lasts that ends at a time, not after one.
var lasts = regexp.MustCompile(`(doorward_refresh=<.*; Max-Age=)\d{6,}`)
