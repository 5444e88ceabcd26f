package config

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the manual page anew")

func written(t testing.TB, values map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteCommented(&b, values); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unplaced drops what is not a decision: where it was written.
func unplaced(c Config) Config {
	c.file, c.places, c.secrets = "", nil, nil
	return c
}

func TestWriteCommentedHoldsTheDefaults(t *testing.T) {
	c, err := Read(Sources{File: "doorward.yaml", FileData: written(t, nil)})
	if err != nil {
		t.Fatal(err)
	}
	if want := unplaced(Default(false)); !reflect.DeepEqual(unplaced(c), want) {
		t.Errorf("read back\n%+v\nwant\n%+v", unplaced(c), want)
	}
}

func TestWriteCommentedHoldsValues(t *testing.T) {
	values := map[string]string{
		"issuer": "https://auth.example.com:8443", "listen": ":443", "database": "postgres://ann:p%22w@db/x?a=b&c=d", "tls.cert": "a b/\"c\".pem", "tls.key": "~",
		"hosts": "auth.example.com,[::1]", "trusted_proxies": "10.0.0.0/8,::1", "master_key": "null", "tokens.access_ttl": "90s", "tokens.audience": "urn:a",
		"passwords.workers": "3", "log.level": "error",
	}
	file := written(t, values)
	c, err := Read(Sources{File: "doorward.yaml", FileData: file})
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	flags := map[string]string{}
	for name, text := range values {
		flags["--set "+name] = text
	}
	delete(flags, "--set database") // an argument holds no password
	want, err := Read(Sources{Flags: flags, Environ: []string{"DOORWARD_DATABASE=" + values["database"]}})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(unplaced(c), unplaced(want)) {
		t.Errorf("read back\n%+v\nwant\n%+v", unplaced(c), unplaced(want))
	}
}

func TestWriteCommentedText(t *testing.T) {
	file := string(written(t, map[string]string{"issuer": "https://auth.example.com"}))
	for _, s := range settings {
		_, key := s.section()
		if has := strings.Contains(file, s.Env()+"\n") || strings.Contains(file, s.Env()+" or "); has == s.Reserved {
			t.Errorf("%s: reserved %v, but in the file %v", s.Name, s.Reserved, has)
		}
		if !s.Reserved && !strings.Contains(file, " "+key+": ") && !strings.Contains(file, "\n"+key+": ") {
			t.Errorf("%s is not in the file", s.Name)
		}
	}
	for i, line := range strings.Split(file, "\n") {
		if len(line) > 80 {
			t.Errorf("line %d is %d columns wide", i+1, len(line))
		}
	}
}

// With every # before a setting dropped, the file is still one that is accepted:
// the examples in it are examples of what may be there.
func TestWriteCommentedExamples(t *testing.T) {
	var lines []string
	for line := range strings.Lines(string(written(t, nil))) {
		bare := strings.TrimLeft(line, " ")
		for _, s := range settings {
			if _, key := s.section(); s.Default == "" && strings.HasPrefix(bare, "# "+key+": ") {
				line = strings.Replace(line, "# ", "", 1)
			}
		}
		lines = append(lines, line)
	}
	c, err := Read(Sources{Mode: Serve, File: "doorward.yaml", FileData: []byte(strings.Join(lines, ""))})
	if err != nil {
		t.Fatal(err)
	}
	if c.TLS.Cert == "" || c.MasterKey.Path == "" || len(c.TrustedProxies) == 0 {
		t.Errorf("an example is missing: %+v", c)
	}
}

func TestWriteCommentedRefuses(t *testing.T) {
	for want, values := range map[string]map[string]string{
		"isuer: unknown; did you mean issuer?":               {"isuer": "x"},
		"issuer: is not an http or https URL":                {"issuer": "x"},
		"tokens.audience: holds a line break":                {"tokens.audience": "a\nlisten: :80"},
		"master_key: is a key":                               {"master_key": key},
		"metrics.listen: is not served by this version":      {"metrics.listen": "127.0.0.1:9090"},
		"hosts: \"a]\" is not a host name":                   {"hosts": "b,a]"},
		"tls.cert: holds a line break":                       {"tls.cert": "a\u2028b"},
		"listen: \"x\" is not an address with a port; write": {"listen": "x"},
	} {
		var b bytes.Buffer
		wants(t, WriteCommented(&b, values), want)
		if b.Len() > 0 {
			t.Errorf("%v was written in spite of it", values)
		}
	}
}

// Whatever text a setting takes, the file gives it back.
func TestWriteCommentedAnyText(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringN(1, 60, 200).Draw(rt, "text")
		if setting("tls.cert").printable(text) != nil {
			return
		}
		var b bytes.Buffer
		if err := WriteCommented(&b, map[string]string{"tls.cert": "/" + text, "tls.key": "/" + text}); err != nil {
			rt.Fatal(err)
		}
		c, err := Read(Sources{File: "doorward.yaml", FileData: b.Bytes()})
		if err != nil {
			rt.Fatal(err)
		}
		if c.TLS.Cert != "/"+text {
			rt.Errorf("%q came back as %q", "/"+text, c.TLS.Cert)
		}
	})
}

const page = "../../docs/reference/configuration.md"

// The first example of the manual is one that works.
func TestReferenceExample(t *testing.T) {
	_, yaml, _ := strings.Cut(introduction, "```yaml\n")
	yaml, _, _ = strings.Cut(yaml, "```")
	c, err := Read(Sources{Mode: Serve, File: "doorward.yaml", FileData: []byte(yaml)})
	if err != nil {
		t.Fatal(err)
	}
	if c.Tokens.AccessTTL != 10*time.Minute {
		t.Errorf("the example is read as %+v", c)
	}
}

// The manual page says what the table says.
func TestReference(t *testing.T) {
	var b bytes.Buffer
	if err := WriteReference(&b); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is out of date; write it anew with: go test ./internal/config -run Reference -update", page)
	}
	for _, s := range settings {
		if !strings.Contains(b.String(), "\n### `"+s.Name+"`\n") {
			t.Errorf("%s is not in it", s.Name)
		}
	}
}
