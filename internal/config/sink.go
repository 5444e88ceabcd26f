package config

import (
	"encoding/base64"
	"errors"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/doorward/doorward/internal/secret"
)

// The kinds of sinks.
const (
	FileSink    = "file"
	WebhookSink = "webhook"
	SyslogSink  = "syslog"
)

// Sink is a place that the audit log is sent to.
type Sink struct {
	Kind    string
	Network string // of syslog: "tcp", "tls", "udp" or "unix"
	Address string // a path, a URL, or a host with its port
}

// String returns the sink as an operator writes it.
func (s Sink) String() string {
	switch s.Network {
	case "":
		return s.Kind + ":" + s.Address
	case "unix":
		return s.Kind + ":unix:" + s.Address
	}
	return s.Kind + ":" + s.Network + "://" + s.Address
}

// Place returns the sink as a log may name it: without what a URL holds beside
// its host, for that may be a secret.
func (s Sink) Place() string {
	if u, err := url.Parse(s.Address); err == nil && s.Kind == WebhookSink {
		return s.Kind + ":" + u.Scheme + "://" + u.Host
	}
	return s.String()
}

// Away reports whether what the sink takes leaves this machine: whoever owns the
// machine cannot change it there. A file may well be on another machine's disk,
// but that cannot be seen from here.
func (s Sink) Away() bool {
	switch {
	case s.Kind == WebhookSink:
		u, err := url.Parse(s.Address)
		return err == nil && !loopback(u.Hostname())
	case s.Kind == SyslogSink && s.Network != "unix":
		host, _, err := net.SplitHostPort(s.Address)
		return err == nil && !loopback(host)
	}
	return false
}

func sinks(field func(*Config) *[]Sink) form {
	const allowed = "file:/PATH, webhook:https://…, syslog:tls://HOST:PORT, syslog:tcp://HOST:PORT, syslog:udp://HOST:PORT or syslog:unix:/PATH"
	f := many(allowed, field, parseSink, Sink.String)
	f.show = many(allowed, field, parseSink, Sink.Place).get
	return f
}

var errSink = errors.New("is not a sink; write it like file:/var/log/doorward/audit.jsonl, webhook:https://logs.example.com/doorward, syslog:tls://logs.example.com:6514 or syslog:unix:/dev/log")

func parseSink(text string) (Sink, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case FileSink:
		return pathSink(Sink{Kind: kind, Address: rest})
	case WebhookSink:
		return webhookSink(rest)
	case SyslogSink:
		network, address, _ := strings.Cut(rest, ":")
		if network == "unix" {
			return pathSink(Sink{Kind: kind, Network: network, Address: address})
		}
		address, ok := strings.CutPrefix(address, "//")
		host, port, err := net.SplitHostPort(address)
		if !ok || network != "tcp" && network != "tls" && network != "udp" || err != nil || host == "" || port == "" || strings.ContainsAny(address, "/@?# ") {
			return Sink{}, errSink
		}
		return Sink{Kind: kind, Network: network, Address: address}, nil
	}
	return Sink{}, errSink
}

func pathSink(s Sink) (Sink, error) {
	if !filepath.IsAbs(s.Address) || strings.HasPrefix(s.Address, "//") || filepath.Clean(s.Address) != s.Address || s.Address == "/" {
		return Sink{}, errors.New("has no plain path from the root; write it like file:/var/log/doorward/audit.jsonl or syslog:unix:/dev/log")
	}
	return s, nil
}

func webhookSink(text string) (Sink, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "" || u.Scheme != "https" && u.Scheme != "http":
		return Sink{}, errSink
	case u.User != nil, u.Fragment != "", strings.Contains(text, "#"):
		return Sink{}, errors.New("has a user name, a password or a fragment in its URL; remove it: requests are signed with audit.webhook_secret")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return Sink{}, errors.New("is http, and would be read and altered on its way; write https")
	}
	return Sink{Kind: WebhookSink, Address: text}, nil
}

// signingSecret is the secret of a webhook, by the convention of Standard
// Webhooks: base64 behind whsec_; any other text is taken as it is.
func signingSecret(field func(*Config) *secret.Text) form {
	return one("24 characters or more, or whsec_ and 24 bytes or more in base64", field, func(s string) (secret.Text, error) {
		key := []byte(s)
		if encoded, ok := strings.CutPrefix(s, "whsec_"); ok {
			var err error
			if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
				return secret.Text{}, errors.New("has no base64 behind whsec_; openssl rand -base64 32 makes it")
			}
		}
		if len(key) < 24 {
			return secret.Text{}, errors.New("is shorter than 24 bytes, and could be guessed; openssl rand -base64 32 makes one")
		}
		return secret.From(string(key)), nil
	}, hide)
}
