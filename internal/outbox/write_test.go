package outbox

import (
	"log/slog"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/net/html"

	"github.com/doorward/doorward/internal/clock"
)

var (
	moment = time.Date(2026, 11, 24, 4, 30, 0, 0, time.UTC)
	alice  = Recipient{Username: "alice", Address: "alice@example.com", Proved: true}
)

const firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"

func writer() *Service {
	return NewService(Parts{Clock: clock.Func(func() time.Time { return moment }), Log: slog.New(slog.DiscardHandler), Issuer: "https://auth.example.com"})
}

func whole() map[string]string {
	return map[string]string{"address": "203.0.113.7", "user_agent": firefox, "until": "2026-11-24T04:34:01+00:00", "count": "5"}
}

// What a reader gets, to the letter.
func TestWrite(t *testing.T) {
	m, err := writer().write(New("u", AccountLocked, moment, whole()), alice)
	if err != nil {
		t.Fatal(err)
	}
	const want = `Hello alice,

Somebody tried to sign in to your account at auth.example.com with a
wrong password, 5 times in a row. So that nobody can go on guessing, we
have paused sign-in from unknown devices until 24 November 2026, 04:35
UTC.

  When:          24 November 2026, 04:30 UTC
  From:          203.0.113.7
  Browser:       Firefox on Windows
  Paused until:  24 November 2026, 04:35 UTC

Was it you? Then wait until the pause is over and try again.

If it was not you, there is nothing that you need to do. Nobody got in
that way, and the devices on which you have signed in before still work.

Can it not wait? An administrator of auth.example.com can end the pause,
with: doorward user unlock alice

-- 
https://auth.example.com sent you this letter because it concerns the
safety of your account. Nobody reads the answers to it.
`
	if m.Text != want {
		t.Errorf("the text is\n%s\nwant\n%s", m.Text, want)
	}
	if m.Subject != "Sign-in to your account at auth.example.com is paused" || m.To != "alice@example.com" || m.User != "u" || !m.At.Equal(moment) {
		t.Errorf("%+v", m)
	}
	for _, has := range []string{"<th scope=\"row\">Browser</th><td>Firefox on Windows</td>", "<p>Hello alice,</p>", "<h1>" + m.Subject + "</h1>"} {
		if !strings.Contains(m.HTML, has) {
			t.Errorf("the HTML lacks %s:\n%s", has, m.HTML)
		}
	}
}

// Every kind can be written, with all facts and with none.
func TestWriteEveryKind(t *testing.T) {
	for _, kind := range Kinds() {
		for _, data := range []map[string]string{whole(), nil} {
			m, err := writer().write(New("u", kind, moment, data), alice)
			if err != nil {
				t.Errorf("%s: %v", kind, err)
				continue
			}
			for _, bad := range []string{"<no value>", "%!", "{{", "  \n", ": \n", "until.", "<td></td>"} {
				if strings.Contains(m.Text, bad) || strings.Contains(m.Subject+m.HTML, bad) {
					t.Errorf("%s has %q:\n%s", kind, bad, m.Text)
				}
			}
			if data == nil && strings.Contains(m.Text, "From:") {
				t.Errorf("%s tells a fact without a value:\n%s", kind, m.Text)
			}
			for l := range strings.Lines(m.Text) {
				if len(l) > 79 {
					t.Errorf("%s: a line is long: %q", kind, l)
				}
			}
		}
	}
	if _, err := writer().write(New("u", "no.such", moment, nil), alice); err == nil {
		t.Error("an unknown kind was written")
	}
	if _, err := writer().write(New("u", "footer", moment, nil), alice); err == nil {
		t.Error("the footer is no letter")
	}
}

// An address that nobody has proved may be a stranger's. He learns nothing of the
// person, and reads nothing that somebody chose.
func TestUnprovedLearnsNothing(t *testing.T) {
	for _, kind := range Kinds() {
		to := alice
		to.Proved = false
		m, err := writer().write(New("u", kind, moment, whole()), to)
		if err != nil {
			t.Fatal(err)
		}
		for _, private := range []string{"alice", "203.0.113.7", "Firefox", "Windows"} {
			if strings.Contains(m.Subject+m.Text+m.HTML, private) {
				t.Errorf("%s tells %s:\n%s", kind, private, m.Text)
			}
		}
	}
}

// hostile is what strangers put where their browser's name and address belong.
var hostile = []string{
	"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "</style><script>alert(1)</script>", "javascript:alert(1)",
	"Firefox/1 https://evil.example/win Windows", "x\r\nBcc: eve@evil.example", "x\n\n<h1>Your account is closed</h1>", "\x00\x1b[31m", "{{.URL}}", "%s%n",
	"\u202egnp.exe", "\u2028", strings.Repeat("A", 10_000), "=?utf-8?B?ZXZpbA==?=", "--\n-- \n", "- When: never", "Subject: evil", "\xff\xfe", "&lt;b&gt;", "www.evil.example",
	"203.0.113.7\n- From: 198.51.100.1", "fe80::1%<script>", "2026-11-24T04:35:00Z<b>", "5; rm", "-1", "99999999999999999999",
}

func TestAttackWEB008LetterPayloads(t *testing.T) {
	for _, kind := range Kinds() {
		plainly, err := writer().write(New("u", kind, moment, whole()), alice)
		if err != nil {
			t.Fatal(err)
		}
		for _, payload := range hostile {
			for _, name := range []string{"address", "user_agent", "until", "count", "other"} {
				data := maps.Clone(whole())
				data[name] = payload
				m, err := writer().write(New("u", kind, moment, data), alice)
				if err != nil {
					t.Errorf("%s with %s %q: %v", kind, name, payload, err)
					continue
				}
				harmless(t, m)
				if m.Subject != plainly.Subject {
					t.Errorf("%s %q is in the subject: %q", name, payload, m.Subject)
				}
			}
		}
	}
}

// allowed are the elements of a letter.
var allowed = map[string]bool{
	"html": true, "head": true, "meta": true, "title": true, "style": true, "body": true, "main": true, "h1": true, "p": true,
	"table": true, "tbody": true, "tr": true, "th": true, "td": true, "footer": true,
}

var link = regexp.MustCompile(`(?i)\b[a-z]+:/|www\.`)

func harmless(t testing.TB, m Mail) {
	t.Helper()
	if strings.ContainsFunc(m.Subject, unicode.IsControl) || len(m.Subject) > 200 {
		t.Errorf("the subject is %q", m.Subject)
	}
	for _, text := range []string{m.Text, m.HTML} {
		if strings.Contains(text, "evil") || strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("it says what a stranger wrote:\n%q", text)
		}
		for _, at := range link.FindAllStringIndex(text, -1) {
			if !strings.HasPrefix(text[at[0]:], "https://auth.example.com ") {
				t.Errorf("there is a link that is not the issuer: %q", text[at[0]:min(len(text), at[0]+40)])
			}
		}
	}
	for z := html.NewTokenizer(strings.NewReader(m.HTML)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			for _, a := range token.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "href" || a.Key == "style" {
					t.Errorf("<%s> has %s=%q", token.Data, a.Key, a.Val)
				}
			}
			if !allowed[token.Data] {
				t.Errorf("there is an element %s", token.Data)
			}
		}
	}
}

// A secret that somebody hands in by mistake is not kept, and is not told where
// it stands in the place of a fact.
func TestAttackSecretsStayOut(t *testing.T) {
	const canary = "canary-0123456789abcdef"
	l := New("u", AccountLocked, moment, map[string]string{"password": canary, "token": canary, "link": canary, "count": "5"})
	if len(l.Data) != 1 || l.Data["count"] != "5" {
		t.Errorf("%v is kept", l.Data)
	}
	for _, kind := range Kinds() {
		l := Letter{ID: "x", User: "u", Kind: kind, At: moment, Data: map[string]string{"address": canary, "user_agent": canary, "until": canary, "count": canary, "password": canary}}
		m, err := writer().write(l, alice)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(m.Subject+m.Text+m.HTML, canary) {
			t.Errorf("%s tells a secret:\n%s", kind, m.Text)
		}
	}
}

// A username of any form that is allowed makes no more of a letter than its name.
func TestNamesInLetters(t *testing.T) {
	for _, name := range []string{"-", "--", "a", strings.Repeat("w", 64), "subject", "...", "_"} {
		to := alice
		to.Username = name
		m, err := writer().write(New("u", AccountLocked, moment, whole()), to)
		if err != nil || !strings.HasPrefix(m.Text, "Hello "+name+",\n") || strings.Count(m.HTML, "<table>") != 1 {
			t.Errorf("%s: %v\n%s", name, err, m.Text)
		}
		harmless(t, m)
	}
}

func FuzzWrite(f *testing.F) {
	for _, payload := range hostile {
		f.Add(payload, payload, payload, payload)
	}
	f.Add("203.0.113.7", firefox, "2026-11-24T04:35:00Z", "5")
	f.Fuzz(func(t *testing.T, address, agent, until, count string) {
		for _, kind := range Kinds() {
			m, err := writer().write(New("u", kind, moment, map[string]string{"address": address, "user_agent": agent, "until": until, "count": count}), alice)
			if err != nil {
				t.Fatal(err)
			}
			harmless(t, m)
			if strings.Count(m.Text, "\n\n") > 8 || len(m.Text) > 2000 {
				t.Errorf("the letter grew:\n%s", m.Text)
			}
		}
	})
}

func TestBrowser(t *testing.T) {
	for agent, want := range map[string]string{
		firefox: "Firefox on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                  "Chrome on macOS",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                  "Safari on macOS",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":          "Edge on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1": "Chrome on iPhone",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":       "Samsung Internet on Android",
		"Mozilla/5.0 (X11; CrOS x86_64 16000) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36":                                 "Chrome on ChromeOS",
		"curl/8.15.0": "curl", "Go-http-client/1.1": "a Go program", "Something (X11; Linux x86_64)": "unknown, on Linux", "<script>": "unknown",
	} {
		if got := browser(agent); got != want {
			t.Errorf("%s: %q, want %q", agent, got, want)
		}
	}
}
