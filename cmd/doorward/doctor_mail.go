package main

import (
	"context"
	"time"

	"github.com/doorward/doorward/internal/mail"
)

// mail looks at where letters go, and whether the server there takes them.
func (e *examination) mail(ctx context.Context) {
	m := e.c.Mail
	if m.Host == "" {
		e.warn("mail", "set mail.host and mail.from, so that people are told when their account is locked or somebody signs in from a new device", "no letters are sent")
		return
	}
	c, err := mail.New(mail.Options{Host: m.Host, Port: m.Port, Username: m.Username, Password: m.Password, From: m.From, TLS: m.TLS})
	if err != nil {
		e.wrong("mail", "correct mail.from", "%v", err)
		return
	}
	if !e.online {
		e.ok("mail", "letters go to %s:%d (%s)", m.Host, m.Port, m.TLS)
		return
	}
	within, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := c.Try(within); err != nil {
		e.wrong("mail", "letters wait for three days; mend it before", "%s:%d: %v", m.Host, m.Port, err)
		return
	}
	e.ok("mail", "%s:%d takes letters (%s)", m.Host, m.Port, m.TLS)
}
