// Package mail hands letters to an SMTP server (RFC 5321), which takes them on.
//
// The connection is encrypted and the server's certificate verified, or nothing
// is said on it; only to this machine itself it may be plain. What a letter says
// is not here (package outbox). Nothing of a letter, and nothing that a server
// answers but its codes, gets into an error: a log must not tell who was written
// to.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/doorward/doorward/internal/outbox"
	"github.com/doorward/doorward/internal/secret"
)

// How a connection is protected.
const (
	STARTTLS = "starttls" // from the second command on (RFC 3207); a server without it is not spoken to
	Implicit = "implicit" // from the first byte on (RFC 8314, Section 3.3)
	None     = "none"     // not at all: for loopback alone
)

const (
	reach = 10 * time.Second // to connect, to encrypt and to sign in
	hand  = 20 * time.Second // to hand a letter over: some servers look at it before they answer
)

// Options say which server, and how it is spoken to.
type Options struct {
	Host     string // a name or an IP address, IPv6 in brackets
	Port     int
	Username string // empty: the server asks for no name
	Password secret.Text
	From     string // a mailbox, with a name to show or without
	TLS      string // STARTTLS, Implicit or None
	// Roots are the authorities that the server's certificate is held against;
	// nil are the system's.
	Roots *x509.CertPool
}

// Carrier is an SMTP server. It is safe for concurrent use: each letter has a
// connection of its own.
type Carrier struct {
	o      Options
	host   string // without brackets
	from   *netmail.Address
	domain string // of from
}

var _ outbox.Carrier = (*Carrier)(nil)

// New returns a carrier. It does not connect yet.
func New(o Options) (*Carrier, error) {
	from, err := netmail.ParseAddress(o.From)
	if err != nil {
		return nil, fmt.Errorf("the address that letters come from: %w", err)
	}
	return &Carrier{o: o, host: strings.Trim(o.Host, "[]"), from: from, domain: from.Address[strings.LastIndexByte(from.Address, '@')+1:]}, nil
}

// Carry hands a mail to the server. Its errors are those of outbox.Carrier.
func (c *Carrier) Carry(ctx context.Context, m outbox.Mail) error {
	message, err := c.message(m)
	if err != nil {
		return err
	}
	v, err := c.visit(ctx)
	if err != nil {
		return err
	}
	defer v.leave()
	err = v.client.SendWithSMTPClient(v.session, message)
	if message.IsDelivered() { // what happens after that is of no matter
		return nil
	}
	return refusal(err)
}

// Try connects and signs in as if there were a letter.
func (c *Carrier) Try(ctx context.Context) error {
	v, err := c.visit(ctx)
	if err == nil {
		v.leave()
	}
	return err
}

// visit is a connection that is encrypted and signed in.
type visit struct {
	client  *gomail.Client
	session *smtp.Client
	conn    net.Conn
	watch   func() bool
}

func (c *Carrier) visit(ctx context.Context) (*visit, error) {
	within, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	conn, err := c.dial(within)
	if err != nil {
		return nil, fmt.Errorf("reaching the mail server: %w", err)
	}
	// The library heeds a context while it connects, and then no more.
	late := context.AfterFunc(within, func() { conn.Close() })
	v := &visit{conn: conn, watch: context.AfterFunc(ctx, func() { conn.Close() })}
	if v.client, err = gomail.NewClient(c.host, c.settings(conn)...); err == nil {
		v.session, err = v.client.DialToSMTPClientWithContext(within)
	}
	if !late() {
		err = within.Err()
	}
	if err != nil {
		v.watch()
		conn.Close()
		return nil, fmt.Errorf("beginning with the mail server: %w", said(err))
	}
	return v, nil
}

// leave says goodbye if the server listens still.
func (v *visit) leave() {
	_ = v.conn.SetDeadline(time.Now().Add(time.Second)) //nolint:forbidigo // of this process's connection
	_ = v.client.CloseWithSMTPClient(v.session)
	v.watch()
	v.conn.Close()
}

func (c *Carrier) dial(ctx context.Context) (net.Conn, error) {
	at := net.JoinHostPort(c.host, strconv.Itoa(c.o.Port))
	if c.o.TLS == Implicit {
		return (&tls.Dialer{Config: c.tls()}).DialContext(ctx, "tcp", at)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", at)
}

func (c *Carrier) tls() *tls.Config {
	return &tls.Config{ServerName: c.host, RootCAs: c.o.Roots, MinVersion: tls.VersionTLS12}
}

func (c *Carrier) settings(conn net.Conn) []gomail.Option {
	list := []gomail.Option{
		gomail.WithPort(c.o.Port), gomail.WithTimeout(hand), gomail.WithTLSConfig(c.tls()),
		gomail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) { return conn, nil }),
	}
	switch c.o.TLS {
	case Implicit:
		list = append(list, gomail.WithSSL())
	case None:
		list = append(list, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		list = append(list, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if c.o.Username != "" {
		list = append(list, gomail.WithUsername(c.o.Username), gomail.WithPassword(c.o.Password.Reveal()),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return list
}

// message writes a mail as it is transmitted.
func (c *Carrier) message(m outbox.Mail) (*gomail.Msg, error) {
	to, err := netmail.ParseAddress(m.To)
	if err != nil || to.Address != m.To || to.Name != "" {
		return nil, fmt.Errorf("an address that is none: %w", outbox.ErrRefused)
	}
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	message.FromMailAddress(c.from)
	message.ToMailAddress(to)
	message.Subject(line(m.Subject))
	message.SetDateWithValue(m.At)
	// The letter's id, however often it is sent: who has it already can tell (RFC
	// 5322, Section 3.6.4).
	message.SetMessageIDWithValue(m.ID + "@" + c.domain)
	message.SetGenHeader("Auto-Submitted", "auto-generated") // nobody is to answer by himself (RFC 3834, Section 5)
	message.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	message.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return message, nil
}

// longest is how many characters a header may have: in a longer one, a server may
// refuse the whole letter (RFC 5322, Section 2.1.1).
const longest = 400

// line makes one line of what is to be one.
func line(s string) string {
	if r := []rune(s); len(r) > longest {
		s = string(r[:longest])
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// refusal returns why a letter was not taken. Who cannot be written to will not
// be tomorrow (RFC 5321, Section 4.2.1), but what a server has against this one
// as a sender an operator may mend.
func refusal(err error) error {
	e, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return said(err)
	}
	why := fmt.Errorf("%s: the mail server answered %s", e.Reason, code(e.ErrorCode(), e.EnhancedStatusCode()))
	if e.Reason == gomail.ErrSMTPRcptTo && unknown(e.ErrorCode(), e.EnhancedStatusCode()) {
		return fmt.Errorf("%w: %w", outbox.ErrRefused, why)
	}
	return why
}

// unknown reports whether an answer is about the recipient's mailbox, and final
// (RFC 3463, Sections 3.2 and 3.3; without such a code RFC 5321, Section 4.2.3).
func unknown(n int, enhanced string) bool {
	if enhanced != "" {
		return strings.HasPrefix(enhanced, "5.1.") || strings.HasPrefix(enhanced, "5.2.")
	}
	return n == 550 || n == 551 || n == 553
}

// said leaves out a server's words, which may hold an address.
func said(err error) error {
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		return fmt.Errorf("it answered %s", code(e.Code, ""))
	}
	return err
}

func code(n int, enhanced string) string {
	switch {
	case n == 0:
		return "nothing"
	case enhanced == "":
		return strconv.Itoa(n)
	}
	return strconv.Itoa(n) + " " + enhanced
}
