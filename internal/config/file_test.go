package config

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/fault"
)

func TestFile(t *testing.T) {
	for _, r := range []struct{ name, yaml, want string }{
		{"empty", "", ""},
		{"comments", "# nothing\n\n# here\n", ""},
		{"marker", "---\n", ""},
		{"byte order mark", "\ufeffissuer: https://a.example.com\n", ""},
		{"Windows lines", "issuer: https://a.example.com\r\nlisten: 127.0.0.1:1\r\n", ""},
		{"empty section", "tokens:\nlisten: 127.0.0.1:1\n", ""},
		{"flow", `{issuer: "https://a.example.com", tokens: {access_ttl: 5m}, hosts: [a.example.com, 'b']}`, ""},
		{"no hosts", "hosts: []\n", ""},
		{"number as text", "passwords:\n  min_length: '9'\n", ""},
		{"end marker", "listen: 127.0.0.1:1\n...\n", ""},

		{"unknown", "isuer: x\n", "d.yaml:1: isuer: unknown; did you mean issuer?"},
		{"capitals", "Issuer: x\n", "d.yaml:1: Issuer: unknown; did you mean issuer?"},
		{"unknown section", "\ntoknes:\n  access_ttl: 5m\n", "d.yaml:2: toknes: unknown; did you mean tokens?"},
		{"unknown in a section", "tokens:\n\n  acess_ttl: 5m\n", "d.yaml:3: tokens.acess_ttl: unknown; did you mean tokens.access_ttl?"},
		{"in no section", "access_ttl: 5m\n", "d.yaml:1: access_ttl: unknown; did you mean tokens.access_ttl?"},
		{"in another section", "sessions:\n  access_ttl: 5m\n", "d.yaml:2: sessions.access_ttl: unknown; did you mean tokens.access_ttl?"},
		{"nothing like it", "zzzzzzzz: 5m\n", "d.yaml:1: zzzzzzzz: unknown; the manual"},
		{"dotted", "tokens.access_ttl: 5m\n", "d.yaml:1: tokens.access_ttl: is written below tokens: as access_ttl:, indented"},
		{"dotted in its section", "tokens:\n  tokens.access_ttl: 5m\n", "d.yaml:2: tokens.tokens.access_ttl: unknown; did you mean"},
		{"environment's name", "DOORWARD_ISSUER: x\n", "d.yaml:1: DOORWARD_ISSUER: unknown"},
		{"odd name", "\"a\\nb\\e[31m\": x\n", `d.yaml:1: "a\nb\x1b[31m": unknown`},
		{"endless name", "? " + strings.Repeat("x", 5000) + "\n: y\n", `d.yaml:1: "xxxx`},
		{"empty name", "'': x\n", `d.yaml:1: unknown`},

		{"twice", "listen: 127.0.0.1:1\nissuer: https://a.example.com\nlisten: 127.0.0.1:2\n", "d.yaml:3: listen: is here twice; it is on line 1 too"},
		{"section twice", "tokens:\n  access_ttl: 5m\nlog:\n  level: info\ntokens:\n  access_ttl: 6m\n", "d.yaml:5: tokens: is here twice; it is on line 1 too"},
		{"twice in a section", "tokens:\n  access_ttl: 5m\n  'access_ttl': 6m\n", "d.yaml:3: tokens.access_ttl: is here twice"},

		{"null", "listen:\n", "d.yaml:1: listen: has no value"},
		{"tilde", "listen: ~\n", "d.yaml:1: listen: has no value"},
		{"empty text", "listen: ''\n", "d.yaml:1: listen: is empty"},
		{"list for one", "listen: [127.0.0.1:1]\n", "d.yaml:1: listen: takes one value, which is an IP address"},
		{"section for one", "listen:\n  host: a\n", "d.yaml:1: listen: takes one value"},
		{"one for a list", "hosts: a\n", "d.yaml:1: hosts: takes a list; write it like [a, b]"},
		{"null for a list", "hosts:\n", "d.yaml:1: hosts: has no value"},
		{"section for a list", "hosts: {a: b}\n", "d.yaml:1: hosts: takes a list"},
		{"list in a list", "hosts:\n  - a\n  - [b]\n", "d.yaml:3: hosts: takes a list of plain values"},
		{"null in a list", "hosts:\n  - a\n  -\n", "d.yaml:3: hosts: takes a list of plain values"},
		{"commas in a list", "hosts:\n  - a,b\n", "d.yaml:2: hosts: \"a,b\" is not a host name"},
		{"bad third", "hosts:\n  - a\n  - b\n  - c/\n", "d.yaml:4: hosts: \"c/\" is not a host name"},
		{"one for a section", "tokens: 15m\n", "d.yaml:1: tokens: is a section; write its settings below it"},
		{"list for a section", "tokens:\n  - access_ttl: 5m\n", "d.yaml:2: tokens: is a section"},
		{"octal", "passwords:\n  min_length: 010\n", "d.yaml:2: passwords.min_length: \"010\" is not a whole number"},
		{"float", "passwords: {min_length: 8.0}\n", "d.yaml:1: passwords.min_length: \"8.0\" is not"},
		{"yes", "passwords: {min_length: yes}\n", "d.yaml:1: passwords.min_length: \"yes\" is not"},
		{"seconds", "tokens:\n  access_ttl: 900\n", "d.yaml:2: tokens.access_ttl: \"900\" is not a duration; write it like 15m or 12h"},
		{"several lines", "listen: |\n  127.0.0.1:1\n", "d.yaml:1: listen: holds a line break"},
		{"base64 key", "\nmaster_key: " + key + "\n", "d.yaml:2: master_key: is a key, not the path of a file"},

		{"number for a key", "1: x\n", "d.yaml:1: a key is not the name of a setting"},
		{"null for a key", "~: x\n", "d.yaml:1: a key is not the name of a setting"},
		{"list for a key", "[a]: x\n", "d.yaml:1: a key is not the name of a setting"},
		{"map for a key", "{a: b}: x\n", "d.yaml:1: a key is not the name of a setting"},
		{"merge", "<<: {listen: 127.0.0.1:1}\n", "d.yaml:1: a key is not the name of a setting"},
		{"number for a section's key", "tokens:\n  1: x\n", "d.yaml:2: a key is not the name of a setting"},

		{"text", "hello\n", "d.yaml:1: is not a list of settings"},
		{"list", "- issuer: x\n", "d.yaml:1: is not a list of settings"},
		{"JSON text", `"issuer"`, "d.yaml:1: is not a list of settings"},
		{"two documents", "listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2\n", "d.yaml:2: begins a second document"},
		{"two documents, one empty", "---\nlisten: 127.0.0.1:1\n---\n", "d.yaml:3: begins a second document"},
		{"two documents, one broken", "listen: 127.0.0.1:1\n---\n[\n", "d.yaml:3: did not find expected node content"},

		{"alias", "listen: *a\n", "d.yaml:1: anchors and aliases are refused"},
		{"alias further down", "log:\n  level: info\nlisten: *a\n", "d.yaml:3: anchors and aliases are refused"},
		{"known alias", "issuer: &a https://a.example.com\n", "d.yaml:1: issuer: anchors and aliases are refused"},
		{"anchor at a section", "tokens: &a\n  access_ttl: 5m\n", "d.yaml:1: tokens: anchors and aliases are refused"},
		{"anchor at a key", "&a listen: 127.0.0.1:1\n", "d.yaml:1: anchors and aliases are refused"},
		{"anchor in a list", "hosts:\n- &a a\n", "d.yaml:2: hosts: anchors and aliases are refused"},
		{"tag", "listen: !address 127.0.0.1:1\n", "d.yaml:1: listen: tags are refused"},
		{"binary", "listen: !!binary MTI3LjAuMC4xOjE=\n", "d.yaml:1: listen: tags are refused"},
		{"tag at a section", "tokens: !!map {access_ttl: 5m}\n", "d.yaml:1: tokens: tags are refused"},

		{"tab", "tokens:\n\taccess_ttl: 5m\n", "d.yaml:2: found character that cannot start any token"},
		{"broken", "listen: [\n", "d.yaml:1: did not find expected node content"},
		{"colons", "listen: 127.0.0.1: 1\n", "d.yaml: mapping values are not allowed in this context"},
		{"not UTF-8", "issuer: x\nlisten: \xff\n", "d.yaml:2: is not UTF-8"},
		{"UTF-16", "\xff\xfei\x00", "d.yaml:1: is not UTF-8"},
		{"Latin-1", "# für alle\n# f\xfcr alle\n", "d.yaml:2: is not UTF-8"},
		{"zero byte", "issuer: \x00\n", "d.yaml: control characters are not allowed"},
		{"too long", "#" + strings.Repeat(" ", 1<<20), "d.yaml: is longer than 1 MiB"},
		{"deep", strings.Repeat("[", 20_000), "d.yaml: exceeded max depth of 10000"},
	} {
		t.Run(r.name, func(t *testing.T) {
			_, err := Read(Sources{File: "d.yaml", FileData: []byte(r.yaml)})
			if r.want != "" {
				wants(t, err, r.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// An alias bomb is refused before anything is made of it.
func TestFileAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x]\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	if _, err := Read(Sources{File: "d.yaml", FileData: []byte(b.String())}); err == nil {
		t.Error("accepted")
	}
}

// A file of nothing but mistakes is told in a hundred lines, and one for the rest.
func TestFileOfMistakes(t *testing.T) {
	var b bytes.Buffer
	for i := range 20_000 {
		fmt.Fprintf(&b, "tokens_access_%d: x\n", i)
	}
	_, err := Read(Sources{File: "d.yaml", FileData: b.Bytes()})
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 101 || lines[100] != "and 19900 more" {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

// No file makes Read panic, hang or answer with anything but told mistakes; and
// what it accepts, WriteCommented writes so that it is read as the same.
func FuzzFile(f *testing.F) {
	f.Add([]byte("issuer: https://auth.example.com\ntokens:\n  access_ttl: 5m\nhosts: [auth.example.com, \"[::1]\"]\n"))
	f.Add([]byte("tls: {cert: a, key: b}\nlisten: ':443'\nmaster_key: /run/key\ntrusted_proxies: [10.0.0.0/8]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64<<10 {
			return // the parser of YAML needs its time
		}
		c, err := Read(Sources{File: "doorward.yaml", FileData: append([]byte{}, data...)})
		if err != nil {
			joined, ok := err.(interface{ Unwrap() []error })
			if !ok {
				t.Fatalf("not a list: %v", err)
			}
			for _, e := range joined.Unwrap() {
				if fault.KindOf(e) != fault.Invalid && !strings.HasPrefix(e.Error(), "and ") {
					t.Errorf("not a told mistake: %v", e)
				}
			}
			return
		}
		values := map[string]string{}
		for _, v := range c.Values() {
			if v.Origin != "default" && !v.Setting.Reserved && v.Text != "" {
				values[v.Setting.Name] = v.Text
			}
		}
		var b bytes.Buffer
		if err := WriteCommented(&b, values); err != nil {
			t.Fatalf("of %q: %v", values, err)
		}
		again, err := Read(Sources{File: "doorward.yaml", FileData: b.Bytes()})
		if err != nil {
			t.Fatalf("written, not read: %v\n%s", err, b.Bytes())
		}
		for i, v := range again.Values() {
			if before := c.Values()[i]; v.Text != before.Text {
				t.Errorf("%s was %q and is %q", v.Setting.Name, before.Text, v.Text)
			}
		}
	})
}
