package config_test

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/config"
)

const webhookSecret = "DOORWARD_AUDIT_WEBHOOK_SECRET=0123456789abcdef01234567"

func readSinks(list string, environ ...string) (config.Config, error) {
	return config.Read(config.Sources{Mode: config.Dev, Flags: map[string]string{"--set audit.sinks": list}, Environ: environ})
}

func TestSinks(t *testing.T) {
	for text, want := range map[string]struct {
		sink  config.Sink
		away  bool
		place string
	}{
		"file:/var/log/a.jsonl":                          {config.Sink{Kind: "file", Address: "/var/log/a.jsonl"}, false, "file:/var/log/a.jsonl"},
		"webhook:https://logs.example.com/in?token=abcd": {config.Sink{Kind: "webhook", Address: "https://logs.example.com/in?token=abcd"}, true, "webhook:https://logs.example.com"},
		"webhook:http://127.0.0.1:9000/":                 {config.Sink{Kind: "webhook", Address: "http://127.0.0.1:9000/"}, false, "webhook:http://127.0.0.1:9000"},
		"webhook:https://localhost/":                     {config.Sink{Kind: "webhook", Address: "https://localhost/"}, false, "webhook:https://localhost"},
		"syslog:tls://logs.example.com:6514":             {config.Sink{Kind: "syslog", Network: "tls", Address: "logs.example.com:6514"}, true, "syslog:tls://logs.example.com:6514"},
		"syslog:tcp://[2001:db8::1]:601":                 {config.Sink{Kind: "syslog", Network: "tcp", Address: "[2001:db8::1]:601"}, true, "syslog:tcp://[2001:db8::1]:601"},
		"syslog:udp://127.0.0.1:514":                     {config.Sink{Kind: "syslog", Network: "udp", Address: "127.0.0.1:514"}, false, "syslog:udp://127.0.0.1:514"},
		"syslog:unix:/dev/log":                           {config.Sink{Kind: "syslog", Network: "unix", Address: "/dev/log"}, false, "syslog:unix:/dev/log"},
	} {
		c, err := readSinks(text, webhookSecret)
		if err != nil || len(c.Audit.Sinks) != 1 || c.Audit.Sinks[0] != want.sink {
			t.Errorf("%s: %+v, %v", text, c.Audit.Sinks, err)
			continue
		}
		if s := c.Audit.Sinks[0]; s.String() != text || s.Away() != want.away || s.Place() != want.place {
			t.Errorf("%s: %s, away %t, place %s", text, s, s.Away(), s.Place())
		}
	}
}

func TestAttackSinksThatAreNone(t *testing.T) {
	for _, text := range []string{
		"audit.log", "/var/log/x", "file:", "file:x", "file:./x", "file:/", "file:/a/../b", "file://host/x", "file:/a/", "stdout:", "File:/x",
		"webhook:", "webhook:logs.example.com", "webhook:http://logs.example.com/", "webhook:http://127.0.0.1.example.com/", "webhook:https://", "webhook:https:///x",
		"webhook:https://user:secret@logs.example.com/", "webhook:https://user@logs.example.com/", "webhook:https://logs.example.com/#x", "webhook:ftp://logs.example.com/",
		"webhook:file:///etc/passwd", "webhook:gopher://x/", "webhook:https:logs.example.com", "webhook:http://localhost.example.com/", "webhook:http://0x7f000001/",
		"syslog:", "syslog:logs.example.com:514", "syslog:tcp:logs.example.com:514", "syslog:tcp://logs.example.com", "syslog:tcp://:514", "syslog:http://x:1",
		"syslog:udp://x:1/path", "syslog:udp://u@x:1", "syslog:unix:log", "syslog:unix://host/log", "syslog:tcp://x:",
		"file:/a,file:/a",
	} {
		if c, err := readSinks(text, webhookSecret); err == nil {
			t.Errorf("%q is taken for %+v", text, c.Audit.Sinks)
		} else if strings.Contains(err.Error(), "user:secret") {
			t.Errorf("%q: the error repeats the password: %v", text, err)
		}
	}
	if _, err := readSinks("webhook:https://logs.example.com/"); err == nil || !strings.Contains(err.Error(), "audit.webhook_secret") {
		t.Errorf("a webhook without a secret: %v", err)
	}
	for _, bad := range []string{"short", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64 but long enough for a secret"} {
		if _, err := readSinks("file:/a", "DOORWARD_AUDIT_WEBHOOK_SECRET="+bad); err == nil || len(bad) > 8 && strings.Contains(err.Error(), bad[7:]) {
			t.Errorf("the secret %q: %v", bad, err)
		}
	}
	if _, err := config.Read(config.Sources{Mode: config.Command, Flags: map[string]string{"--set audit.webhook_secret": "0123456789abcdef01234567"}}); err == nil {
		t.Error("a secret in an argument is taken")
	}
}
