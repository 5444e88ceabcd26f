package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/doorward/doorward/internal/principal"
)

var at = time.Date(2026, 2, 28, 23, 59, 59, 123_456_000, time.FixedZone("", 3600))

func record(t testing.TB, e Event) Record {
	t.Helper()
	r := e.Record()
	return r
}

// The bytes of an event are what the log proves untouched: they are the same for
// ever. Whoever changes this test breaks every proof that was ever given.
func TestCanonicalBytes(t *testing.T) {
	ann := principal.Principal{Kind: principal.User, ID: "ann", Client: "app", Origin: principal.Origin{RequestID: "req-1"}}
	for name, c := range map[string]struct {
		event Event
		want  string
	}{
		"the least": {
			Event{ID: "1", At: at, Action: ServerStarted, Outcome: Success},
			`{"v":1,"id":"1","at":"2026-02-28T22:59:59.123456Z","action":"server.started","owasp":"sys_startup","outcome":"success","actor":"anonymous"}`,
		},
		"every field": {
			Event{ID: "2", At: at, Action: GrantCreated, Outcome: Success, Actor: ann, Target: "user:bea"}.
				With("role", "editor").With("a", "<&>").Because(Denied, "not held").WithList("permissions_added", []string{"b", "a"}),
			`{"v":1,"id":"2","at":"2026-02-28T22:59:59.123456Z","action":"grant.created","owasp":"privilege_permissions_changed","outcome":"denied",` +
				`"actor":"user:ann","client":"app","target":"user:bea","reason":"not held","request":"req-1","detail":{"a":"\u003c\u0026\u003e","role":"editor"},` +
				`"lists":{"permissions_added":["a","b"]}}`,
		},
		"beyond ASCII": {
			Event{ID: "3", At: at, Action: UserUpdated, Outcome: Failure, Actor: principal.Principal{Kind: principal.CLI, ID: "jörg"}, Target: "role:größe"},
			`{"v":1,"id":"3","at":"2026-02-28T22:59:59.123456Z","action":"user.updated","owasp":"user_updated","outcome":"failure","actor":"cli:jörg","target":"role:größe"}`,
		},
	} {
		r := record(t, c.event)
		if string(r.Public) != c.want {
			t.Errorf("%s:\n\tis   %s\n\twant %s", name, r.Public, c.want)
		}
		if r.ID != c.event.ID || r.At != c.event.At || r.Action != c.event.Action || r.Outcome != c.event.Outcome || r.Target != c.event.Target {
			t.Errorf("%s: the columns are %+v", name, r)
		}
	}
	p := Private{Person: "ann", Salt: bytes.Repeat([]byte{7}, 32), Data: []byte(`{"address":"192.0.2.1"}`)}
	if got, want := hex.EncodeToString(p.Digest()), "d4885d75cfcbae474a771cb2edded8746c95579af102bb245c4b5cdc89dcab45"; got != want {
		t.Errorf("the digest is %s", got)
	}
}

// Every action has its name in the vocabulary of OWASP, and is a noun and a verb.
func TestActionsHaveNames(t *testing.T) {
	for action, name := range vocabulary {
		noun, verb, found := strings.Cut(string(action), ".")
		if !found || noun == "" || verb == "" || name == "" || strings.ToLower(string(action)) != string(action) {
			t.Errorf("%q is called %q", action, name)
		}
	}
	for _, action := range []Action{LoginSucceeded, TokenReused, UserErased, MasterKeyRotated, ServerStopped} {
		if action.OWASP() == "" {
			t.Errorf("%s has no name", action)
		}
	}
}

func hostile() map[string]string {
	return map[string]string{
		"a line break": "a\r\nb", "another line": "a\u2028b\u2029c\u0085d", "an escape": "\x1b[31mred\x1b[0m", "a bell": "\a", "NUL": "a\x00b",
		"reordering": "\u202eevil\u202c \u2066x\u2069 \u200f\u061c", "not UTF-8": "a\xff\xfeb\xc3", "a quote": `","actor":"user:root`,
		"a format": "%n%s%[1]*d", "a tab": "a\tb", "DEL": "a\x7fb", "C1": "a\u009bb", "a byte order": "\xef\xbb\xbfa",
		"a megabyte": strings.Repeat("x", 1<<20), "a megabyte of rest": strings.Repeat("\x80", 1<<20), "long letters": strings.Repeat("é", 400), "HTML": "</script><script>",
	}
}

// Nothing that comes from outside breaks a line, reorders it or grows it (AUD-001).
func TestAttackAUD001Injection(t *testing.T) {
	for name, bad := range hostile() {
		by := principal.Principal{Kind: principal.User, ID: bad, Client: bad, Origin: principal.Origin{RequestID: bad, Address: bad, UserAgent: bad}}
		began := time.Now()
		r := record(t, Now(by, at, UserCreated, bad).With("role", bad).WithList("list", []string{bad}).Because(Failure, bad).About("x", map[string]string{"name": bad}))
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s took %v", name, took)
		}
		texts := [][]byte{r.Public}
		for _, p := range r.Private {
			texts = append(texts, p.Data)
		}
		for _, text := range texts {
			safe(t, name, text)
		}
		var p struct {
			Actor, Client, Target, Reason, Request string
			Detail                                 map[string]string
			Lists                                  map[string][]string
		}
		if err := json.Unmarshal(r.Public, &p); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, kept := range []string{p.Actor, p.Client, p.Target, p.Reason, p.Request, p.Detail["role"], p.Lists["list"][0], r.Actor, r.Target} {
			if len(kept) > longest+len("user:…") || strings.ContainsFunc(kept, unprintable) || !utf8.ValidString(kept) {
				t.Errorf("%s: kept is %.80q, of %d bytes", name, kept, len(kept))
			}
		}
	}
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// safe holds that bytes are one line of printable JSON.
func safe(t testing.TB, name string, text []byte) {
	t.Helper()
	if !json.Valid(text) || !utf8.Valid(text) || bytes.ContainsFunc(text, unprintable) {
		t.Errorf("%s: these bytes are not safe to print: %.200q", name, text)
	}
}

func TestCleanKeepsWhatIsPlain(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "ann": "ann", "größe ✓ 漢字 👩‍🚒": "größe ✓ 漢字 👩‍🚒", "a b": "a b", "\u00a0": "\u00a0",
		"a\nb": "a\uFFFDb", "a\xffb": "a\uFFFDb", "\u202e": "\uFFFD", "\ufffd": "\uFFFD",
		strings.Repeat("x", longest):                       strings.Repeat("x", longest),
		strings.Repeat("x", longest+1):                     strings.Repeat("x", longest) + "…",
		strings.Repeat("x", longest-1) + "é" + "y":         strings.Repeat("x", longest-1) + "…",
		strings.Repeat("x", longest-3) + "漢" + "y":         strings.Repeat("x", longest-3) + "漢…",
		strings.Repeat("x", longest-1) + "\n" + "tail\x00": strings.Repeat("x", longest-1) + "\uFFFD…",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%.40q…) = %.40q… (%d bytes), want %d bytes", in, got, len(got), len(want))
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range hostile() {
		if len(s) < 2*longest {
			f.Add(s)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, unprintable) || len(got) > 3*longest+len("…") {
			t.Errorf("clean(%q) = %q", s, got)
		}
		if len(got) <= longest && clean(got) != got {
			t.Errorf("clean(%q) = %q, and that cleans to %q", s, got, clean(got))
		}
		if len(s) <= longest && utf8.ValidString(s) && !strings.ContainsFunc(s, unprintable) && got != s {
			t.Errorf("%q was plain, and became %q", s, got)
		}
	})
}

// A person's address, browser and names are never in the public part, whatever
// the event, and nothing there can be connected to them once they are erased.
func TestNoPersonalDataInPublic(t *testing.T) {
	actions := slices.Sorted(maps.Keys(vocabulary))
	rapid.Check(t, func(t *rapid.T) {
		fact := rapid.StringMatching(`[a-z0-9.:@-]{12,24}`) // long enough not to be there by chance
		facts := map[string]string{
			"address": fact.Draw(t, "address"), "user_agent": fact.Draw(t, "user agent"), "username": fact.Draw(t, "username"), "email": fact.Draw(t, "email"),
		}
		by := principal.Principal{Kind: principal.User, ID: "01actor", Origin: principal.Origin{Address: facts["address"], UserAgent: facts["user_agent"]}}
		subject := rapid.SampledFrom([]string{"01actor", "01other", ""}).Draw(t, "subject")
		e := Now(by, at, rapid.SampledFrom(actions).Draw(t, "action"), "user:01other").With("role", "editor").
			About(subject, map[string]string{"username": facts["username"], "email": facts["email"]})
		first := e.Record()
		second := e.Record()
		var public struct{ Private []string }
		if err := json.Unmarshal(first.Public, &public); err != nil {
			t.Fatal(err)
		}
		kept := map[string]string{}
		for i, p := range first.Private {
			if hex.EncodeToString(p.Digest()) != public.Private[i] || len(p.Salt) != 32 {
				t.Fatalf("part %d has a salt of %d bytes and the digest %x; public is %s", i, len(p.Salt), p.Digest(), public.Private[i])
			}
			if bytes.Equal(p.Salt, second.Private[i].Salt) || bytes.Equal(p.Digest(), second.Private[i].Digest()) {
				t.Fatal("two records of one event have one salt")
			}
			var data map[string]string
			if err := json.Unmarshal(p.Data, &data); err != nil {
				t.Fatal(err)
			}
			maps.Copy(kept, data)
		}
		if !maps.Equal(kept, facts) || len(public.Private) != len(first.Private) {
			t.Fatalf("the private parts say %v, want %v", kept, facts)
		}
		for name, text := range facts {
			if bytes.Contains(first.Public, []byte(text)) {
				t.Fatalf("the %s is in %s", name, first.Public)
			}
		}
	})
}

// Every person has a part of his own, so that each can be erased alone.
func TestOnePartForAPerson(t *testing.T) {
	by := principal.Principal{Kind: principal.User, ID: "ann", Origin: principal.Origin{Address: "192.0.2.1"}}
	base := Now(by, at, UserUpdated, "user:bea")
	e := base.About("bea", map[string]string{"username": "bea"}).About("ann", map[string]string{"username": "ann"})
	r := record(t, e)
	if len(r.Private) != 2 || r.Private[0].Person != "ann" || string(r.Private[0].Data) != `{"address":"192.0.2.1","username":"ann"}` ||
		r.Private[1].Person != "bea" || string(r.Private[1].Data) != `{"username":"bea"}` {
		t.Errorf("the parts are %+v", r.Private)
	}
	// An event is a value: what is added to one is not added to another.
	other := record(t, base.About("eve", map[string]string{"username": "eve"}))
	if again := record(t, base); len(again.Private) != 1 || string(again.Private[0].Data) != `{"address":"192.0.2.1"}` || other.Private[1].Person != "eve" {
		t.Errorf("the first event now says %s, and the other %+v", again.Private, other.Private)
	}
	if base.With("a", "1"); len(base.Detail) != 0 {
		t.Error("With changed its event")
	}
}

// Tampering with a private part, its salt or its data, is seen by its digest.
func TestDigestHoldsThePart(t *testing.T) {
	r := record(t, Now(principal.Principal{ID: "ann", Origin: principal.Origin{Address: "192.0.2.1"}}, at, UserUpdated, "user:ann"))
	p := r.Private[0]
	want := hex.EncodeToString(p.Digest())
	if !strings.Contains(string(r.Public), want) {
		t.Fatalf("%s does not hold %s", r.Public, want)
	}
	for name, change := range map[string]func(*Private){
		"the data": func(p *Private) { p.Data = []byte(`{"address":"192.0.2.2"}`) },
		"a space":  func(p *Private) { p.Data = append(slices.Clone(p.Data), ' ') },
		"the salt": func(p *Private) { p.Salt = bytes.Repeat([]byte{1}, 32) },
		"no data":  func(p *Private) { p.Data = nil },
	} {
		changed := p
		change(&changed)
		if hex.EncodeToString(changed.Digest()) == want {
			t.Errorf("another %s has the same digest", name)
		}
	}
}
