package mail

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// parts returns the texts of a letter by their media type.
func parts(t *testing.T, l taken) map[string]string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(l.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s, %v:\n%s", kind, err, l.raw)
	}
	texts := map[string]string{}
	for r := multipart.NewReader(bytes.NewReader(l.body), params["boundary"]); ; {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return texts
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Errorf("a part is encoded as %q", p.Header.Get("Content-Transfer-Encoding"))
		}
		text, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		texts[kind] = strings.ReplaceAll(string(text), "\r\n", "\n")
	}
}

// A letter arrives as it was written, over every kind of connection.
func TestCarry(t *testing.T) {
	for _, manner := range []string{STARTTLS, Implicit, None} {
		for _, change := range [][]func(*office){nil, {signed("hunter2 ä")}} {
			t.Run(fmt.Sprintf("%s/%d", manner, len(change)), func(t *testing.T) {
				t.Parallel()
				o := open(t, manner, change...)
				if err := carry(t, o.carrier(t), sample); err != nil {
					t.Fatal(err)
				}
				if err := o.carrier(t).Try(t.Context()); err != nil {
					t.Error(err)
				}
				list := o.letters()
				if len(list) != 1 {
					t.Fatalf("%d letters came", len(list))
				}
				l := list[0]
				if l.from != "doorward@auth.example.com" || !slices.Equal(l.to, []string{"alice@example.com"}) {
					t.Errorf("from %s to %q", l.from, l.to)
				}
				for name, want := range map[string]string{
					"From": `"Doorward" <doorward@auth.example.com>`, "To": "<alice@example.com>", "Subject": sample.Subject,
					"Message-Id": "<" + sample.ID + "@auth.example.com>", "Date": "Tue, 24 Nov 2026 04:30:00 +0000",
					"Auto-Submitted": "auto-generated", "User-Agent": "", "X-Mailer": "", "Bcc": "", "Reply-To": "",
				} {
					if got := l.Header.Get(name); got != want {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
				if texts := parts(t, l); strings.TrimRight(texts["text/plain"], "\n") != strings.TrimRight(sample.Text, "\n") || strings.TrimRight(texts["text/html"], "\n") != strings.TrimRight(sample.HTML, "\n") || len(texts) != 2 {
					t.Errorf("%q", texts)
				}
			})
		}
	}
}

// A letter that comes twice can be told by its id (F29).
func TestAttackFLT008Twice(t *testing.T) {
	o := open(t, STARTTLS)
	c := o.carrier(t)
	for range 2 {
		if err := carry(t, c, sample); err != nil {
			t.Fatal(err)
		}
	}
	list := o.letters()
	if len(list) != 2 || list[0].Header.Get("Message-Id") != list[1].Header.Get("Message-Id") || list[0].Header.Get("Date") != list[1].Header.Get("Date") {
		t.Errorf("%d letters; %q and %q", len(list), list[0].Header.Get("Message-Id"), list[1].Header.Get("Message-Id"))
	}
}

// Nothing is said to a server that cannot prove its name, or that does not
// encrypt: not the letter, not the password.
func TestConnectionIsProved(t *testing.T) {
	_, pair := authority()
	for name, o := range map[string]func() *office{
		"unknown authority, starttls": func() *office { o := open(t, STARTTLS, signed("hunter2")); o.Roots = nil; return o },
		"unknown authority, implicit": func() *office { o := open(t, Implicit, signed("hunter2")); o.Roots = nil; return o },
		"another name, starttls":      func() *office { o := open(t, STARTTLS, signed("hunter2")); o.Host = "127.0.0.2"; return o },
		"another name, implicit":      func() *office { o := open(t, Implicit, signed("hunter2")); o.Host = "127.0.0.2"; return o },
		"no STARTTLS":                 func() *office { o := open(t, None, signed("hunter2")); o.TLS = STARTTLS; return o },
		"plain where TLS is asked":    func() *office { o := open(t, None, signed("hunter2")); o.TLS = Implicit; return o },
		"TLS 1.1": func() *office {
			o := open(t, STARTTLS, signed("hunter2"))
			o.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
			return o
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := o()
			if o.Host == "127.0.0.2" { // the certificate names 127.0.0.1 alone
				l, err := net.Listen("tcp", "127.0.0.2:0")
				if err != nil {
					t.Fatal(err)
				}
				o.Port = l.Addr().(*net.TCPAddr).Port
				if o.TLS == Implicit {
					l = tls.NewListener(l, o.server.TLSConfig)
				}
				go o.server.Serve(l)
			}
			err := carry(t, o.carrier(t), sample)
			if err == nil || errors.Is(err, outbox.ErrRefused) {
				t.Errorf("%v", err)
			}
			if n := len(o.letters()); n > 0 {
				t.Errorf("%d letters went out", n)
			}
			private(t, err)
			if err := o.carrier(t).Try(t.Context()); err == nil {
				t.Error("a try finds nothing wrong")
			}
		})
	}
}

// private holds that an error tells nobody's address, and no secret.
func private(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, word := range []string{"alice", "example.com", "hunter2", "sign-in", "Zürich"} {
		if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, word) {
			t.Errorf("the error tells %s: %s", word, text)
		}
	}
}

func TestRefusals(t *testing.T) {
	answer := func(code int, a, b, c int) func(string) error {
		return func(to string) error {
			return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{a, b, c}, Message: "I will not take this for " + to}
		}
	}
	for name, tt := range map[string]struct {
		refuse func(string) error
		final  bool
		says   string
	}{
		"no such mailbox":        {answer(550, 5, 1, 1), true, "550 5.1.1"},
		"the mailbox is off":     {answer(550, 5, 2, 1), true, "550 5.2.1"},
		"greylisted":             {answer(450, 4, 2, 0), false, "450 4.2.0"},
		"busy":                   {answer(421, 4, 3, 2), false, "421"},
		"we are on a black list": {answer(550, 5, 7, 1), false, "550 5.7.1"},
		"no relay":               {answer(554, 5, 7, 1), false, "554 5.7.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := open(t, STARTTLS, func(o *office) { o.refuse = tt.refuse })
			err := carry(t, o.carrier(t), sample)
			if err == nil || errors.Is(err, outbox.ErrRefused) != tt.final || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v; want it final: %t", err, tt.final)
			}
			private(t, err)
		})
	}
	t.Run("a wrong password", func(t *testing.T) {
		o := open(t, STARTTLS, signed("hunter2"))
		o.Password = secret.From("hunter22")
		err := carry(t, o.carrier(t), sample)
		if err == nil || errors.Is(err, outbox.ErrRefused) || !strings.Contains(err.Error(), "535") && !strings.Contains(err.Error(), "454") {
			t.Errorf("%v", err)
		}
		private(t, err)
	})
	t.Run("no sign-in there", func(t *testing.T) {
		o := open(t, STARTTLS)
		o.Username, o.Password = "doorward", secret.From("hunter2")
		err := carry(t, o.carrier(t), sample)
		if err == nil || errors.Is(err, outbox.ErrRefused) {
			t.Errorf("%v", err)
		}
		private(t, err)
	})
}

// Nothing that is stored gets out of its header, or adds a recipient.
func TestAttackWEB008HeaderInjection(t *testing.T) {
	o := open(t, STARTTLS)
	c := o.carrier(t)
	for _, to := range []string{
		"", "alice", "a@b.example\r\nBcc: eve@evil.example", "a@b.example, eve@evil.example", "a@b.example>\r\nRCPT TO:<eve@evil.example",
		"Alice <a@b.example>", "<a@b.example>", "a@b.example ", "a\x00@b.example", "@b.example", "a@", "group: a@b.example;", "a@b.example\nDATA",
	} {
		m := sample
		m.To = to
		if err := carry(t, c, m); !errors.Is(err, outbox.ErrRefused) {
			t.Errorf("%q: %v", to, err)
		}
	}
	if n := len(o.letters()); n > 0 {
		t.Fatalf("%d letters went out", n)
	}
	for _, subject := range []string{"a\r\nBcc: eve@evil.example", "a\nX-Evil: 1", "a\r\n\r\n<script>", "\x00\x7f", "=?utf-8?q?a=0d=0aBcc:_eve@evil.example?=", strings.Repeat("ä", 500), strings.Repeat("x", 2000)} {
		m := sample
		m.Subject = subject
		if err := carry(t, c, m); err != nil {
			t.Errorf("%q: %v", subject, err)
			continue
		}
		l := o.letters()[len(o.letters())-1]
		if l.Header.Get("Bcc") != "" || l.Header.Get("X-Evil") != "" || len(l.to) != 1 {
			t.Errorf("%q is more than a subject:\n%s", subject, l.raw[:min(len(l.raw), 600)])
		}
		if texts := parts(t, l); !strings.Contains(texts["text/plain"], "Zürich") {
			t.Errorf("%q reaches into the text", subject)
		}
		for line := range bytes.SplitSeq(l.raw, []byte("\r\n")) {
			if len(line) > 998 {
				t.Errorf("%.20q: a line has %d bytes (RFC 5322, Section 2.1.1)", subject, len(line))
			}
		}
	}
}

// Letters beyond ASCII before the @ (RFC 6531).
func TestInternationalAddress(t *testing.T) {
	o := open(t, STARTTLS)
	m := sample
	m.To = "größe@xn--bcher-kva.example"
	if err := carry(t, o.carrier(t), m); err != nil {
		t.Fatal(err)
	}
	if l := o.letters()[0]; !slices.Equal(l.to, []string{m.To}) {
		t.Errorf("to %q", l.to)
	}
}

// A server that takes the connection and says nothing, or stops in the middle,
// costs its time and no more.
func TestHangingServer(t *testing.T) {
	for name, script := range map[string][]string{
		"says nothing":        nil,
		"stops after hello":   {"220 hello"},
		"stops after EHLO":    {"220 hello", "250 localhost"},
		"stops in the letter": {"220 hello", "250 localhost", "250 ok", "250 ok", "250 ok", "354 go on"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			closed := make(chan error, 1)
			go func() { closed <- recite(l, script) }()
			c, err := New(Options{Host: "localhost", Port: l.Addr().(*net.TCPAddr).Port, From: "a@b.example", TLS: None})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			if err := c.Carry(ctx, sample); err == nil || errors.Is(err, outbox.ErrRefused) {
				t.Errorf("%v", err)
			} else {
				private(t, err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			select {
			case <-closed: // the connection was not left open
			case <-time.After(5 * time.Second):
				t.Error("the connection is open still")
			}
		})
	}
}

// recite answers each line of the first caller with the next of the script, and
// then nothing more, until he hangs up.
func recite(l net.Listener, script []string) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for i, line := range script {
		if i > 0 {
			if _, err := r.ReadString('\n'); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, r)
	return err
}

// From the commit to the mailbox, over every database: while the server is down
// nothing is lost, and once it is up the letter comes, once.
func TestDownThenUp(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		o := open(t, STARTTLS, signed("hunter2"))
		o.listener.Close()
		s := storetest.Open(t, dsn, store.Options{})
		u := storetest.NewServices(t, s, storetest.Parts{}).User(t, "alice")
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		run := func() (stop func()) {
			service := outbox.NewService(outbox.Parts{Store: s, Clock: clock.Wall(), Log: logger, Carrier: o.carrier(t), Issuer: "https://auth.example.com"})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { service.Run(ctx); close(done) }()
			return func() { cancel(); <-done }
		}
		if err := s.Post(t.Context(), outbox.New(u.ID, outbox.DeviceNew, clock.Wall().Now(), map[string]string{"address": "203.0.113.7"})); err != nil {
			t.Fatal(err)
		}
		stop := run()
		time.Sleep(300 * time.Millisecond)
		stop()
		if !strings.Contains(log.String(), "could not be delivered") || strings.Contains(log.String(), "alice") || strings.Contains(log.String(), "203.0.113.7") {
			t.Errorf("the log says\n%s", &log)
		}
		again := open(t, STARTTLS, signed("hunter2"))
		o.Port = again.Port
		w := storetest.NewWitness(t, dsn)
		w.Exec(t, "UPDATE outbox SET due = 0") // a minute later
		stop = run()
		for n := 0; len(again.letters()) == 0 && n < 100; n++ {
			time.Sleep(50 * time.Millisecond)
		}
		stop()
		list := again.letters()
		if len(list) != 1 || w.Number(t, "SELECT COUNT(*) FROM outbox") != 0 {
			t.Fatalf("%d letters came, %d are left", len(list), w.Number(t, "SELECT COUNT(*) FROM outbox"))
		}
		if texts := parts(t, list[0]); !strings.Contains(texts["text/plain"], "203.0.113.7") || !strings.Contains(texts["text/plain"], "Hello alice,") {
			t.Errorf("%s", texts["text/plain"])
		}
	})
}
