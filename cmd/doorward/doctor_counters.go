package main

import (
	"context"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/counter"
)

// counters looks at the server that counts attempts, if the database does not.
func (e *examination) counters(ctx context.Context) {
	if e.c.Counters.URL.IsZero() {
		return
	}
	shown := e.c.Counters.String()
	if u, err := url.Parse(shown); err == nil && u.Scheme == "redis" && !loopbackHost(u.Hostname()) {
		e.warn("counters", "write rediss://, unless you trust the network between", "%s is reached without TLS: whoever is on the way could undo what is counted", shown)
	}
	c, err := counter.Open(e.c.Counters.URL)
	if err != nil {
		e.wrong("counters", "correct the address", "%v", err)
		return
	}
	defer c.Close()
	within, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	about, err := c.About(within)
	switch {
	case err != nil:
		e.wrong("counters", "start it: until it answers, every sign-in is refused", "%s: %v", shown, err)
	case about.Evicts:
		e.wrong("counters", "set its maxmemory-policy to noeviction", "%s throws keys away when its memory is full (%s): an attacker can have what he guessed forgotten", shown, about.Policy)
	case about.Forgets:
		e.warn("counters", "set its appendonly to yes", "%s forgets what it counted when it stops: what was guessed may be guessed again", shown)
	default:
		e.ok("counters", "%s (%s) answers", shown, about.Version)
	}
}
