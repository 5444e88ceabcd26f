package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	const pkg = `"Package":"example.test/house"`
	passes := `{"Action":"pass",` + pkg + `,"Test":"TestDoor","Elapsed":1.5}` + "\n" + `{"Action":"pass",` + pkg + `,"Elapsed":2}`
	for _, tt := range []struct {
		name, events, last string
		says               []string
	}{
		{"all pass", passes, "1 passed, 0 failed, 0 skipped", []string{"1.50s  example.test/house TestDoor", "2.00s  example.test/house\n"}},
		{"nothing", "", "0 passed, 1 failed, 0 skipped", []string{"no test ran"}},
		{"a package without tests", `{"Action":"skip",` + pkg + `}`, "0 passed, 1 failed, 0 skipped", []string{"no test ran"}},
		{"words that are no event are passed on", "go: no such thing\n" + passes, "1 passed, 0 failed, 0 skipped", []string{"go: no such thing"}},
		{
			"it does not compile",
			`{"ImportPath":"example.test/house","Action":"build-output","Output":"door.go:1: syntax error\n"}
			 {"Action":"fail",` + pkg + `,"FailedBuild":"example.test/house"}`,
			"0 passed, 1 failed, 0 skipped",
			[]string{"--- example.test/house\ndoor.go:1: syntax error"},
		},
		{
			"a test that never ends",
			`{"Action":"run",` + pkg + `,"Test":"TestDoor"}
			 {"Action":"output",` + pkg + `,"Test":"TestDoor","Output":"panic: fire\n"}
			 {"Action":"fail",` + pkg + `}`,
			"0 passed, 1 failed, 0 skipped",
			[]string{"--- example.test/house TestDoor\npanic: fire"},
		},
		{
			"a package that dies after its tests",
			`{"Action":"pass",` + pkg + `,"Test":"TestDoor"}
			 {"Action":"output",` + pkg + `,"Output":"goroutine leak\n"}
			 {"Action":"fail",` + pkg + `}`,
			"1 passed, 1 failed, 0 skipped",
			[]string{"--- example.test/house\ngoroutine leak"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			tally := newTally(&out)
			tally.read(strings.NewReader(tt.events))
			code := tally.report()
			if got := lastLine(out.String()); got != tt.last || (code == 0) != strings.Contains(tt.last, " 0 failed") {
				t.Errorf("exit code %d, last line %q; want %q\n%s", code, got, tt.last, &out)
			}
			for _, want := range tt.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it does not say %q:\n%s", want, &out)
				}
			}
		})
	}
}

// What passed is not repeated; the words of a failed test are.
func TestReportKeepsToFailures(t *testing.T) {
	var out bytes.Buffer
	tally := newTally(&out)
	tally.read(strings.NewReader(`{"Action":"output","Package":"p","Test":"TestA","Output":"quiet words\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:1: loud words\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p"}`))
	tally.report()
	if got := out.String(); strings.Contains(got, "quiet") || strings.Contains(got, "===") || !strings.Contains(got, "--- p TestB\n    b_test.go:1: loud words\n") {
		t.Error(got)
	}
}

func TestGoCommandFails(t *testing.T) {
	tally := newTally(new(bytes.Buffer))
	tally.read(strings.NewReader(`{"Action":"pass","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"pass","Package":"p"}`))
	tally.ended(errors.New("exit status 1"))
	if tally.report() == 0 {
		t.Error("a failure of the go command is lost")
	}
}

func TestAllowed(t *testing.T) {
	const list = "# internal/e2e TestComment why not\ninternal/e2e TestPasskey there is no Chromium\ninternal/e2e TestNoReason\n"
	for _, tt := range []struct {
		pkg, test string
		want      bool
	}{
		{"example.test/house/internal/e2e", "TestPasskey", true},
		{"example.test/house/internal/e2e", "TestPasskey/register", true},
		{"example.test/house/internal/e2e", "TestPasskeys", false},
		{"example.test/house/internal/e2e", "TestPass", false},
		{"example.test/house/internal/e2e", "TestNoReason", false},
		{"example.test/house/internal/e2e", "TestComment", false},
		{"example.test/house/internal/store", "TestPasskey", false},
		{"example.test/house/finternal/e2e", "TestPasskey", false},
		{"example.test/house/internal/e2e", "", false},
	} {
		if got := allowed(list, id{tt.pkg, tt.test}); got != tt.want {
			t.Errorf("allowed(%s, %s) = %v, want %v", tt.pkg, tt.test, got, tt.want)
		}
	}
}

func TestLeaks(t *testing.T) {
	const c = "canary-0123456789abcdef"
	planted := []string{c}
	var logs []string
	for _, user := range []string{"", "a", "ab", "abc:", "ann@example.com:"} {
		for _, tail := range []string{"", "z", "zz"} {
			for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
				logs = append(logs, "Authorization: Basic "+e.EncodeToString([]byte(user+c+tail)))
			}
		}
	}
	logs = append(logs, `{"password":"`+c+`"}`, "canary-ffffffffffffffff, which nobody owned up to")
	for _, log := range logs {
		if len(leaks([]byte("first line\n"+log+"\nlast line\n"), planted)) != 1 {
			t.Errorf("not seen in %q", log)
		}
	}
	for _, log := range []string{"", "canary-", "canary-0123", "canary-0123456789ABCDEF", "a canary sang", "0123456789abcdef"} {
		if found := leaks([]byte(log), planted); len(found) > 0 {
			t.Errorf("seen in %q: %q", log, found)
		}
	}
}

func TestReadCanaries(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"canary-0123456789abcdef\ncanary-0123456789abcdef\n": "canary-0123456789abcdef",
		"canary-1111111111111111\ncanary-0000000000000000\n": "canary-0000000000000000 canary-1111111111111111",
		"canary-0123456789abcde\n":                           "error",
		"canary-0123456789abcdef0\n":                         "error",
		"Canary-0123456789abcdef\n":                          "error",
		"hunter2\n":                                          "error",
	} {
		path := t.TempDir() + "/canaries.txt"
		write(t, path, text)
		got, err := readCanaries(path)
		if err != nil {
			got = []string{"error"}
		}
		if !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}
