package main

import (
	"context"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/server"
)

// silent is for how long a sink may have got nothing. Where nothing happens it gets
// a checkpoint each hour.
const silent = 2 * time.Hour

// away looks at whether checkpoints of the audit log are to leave this machine.
func (e *examination) away() {
	const do = "send checkpoints to a place that whoever runs the database cannot change: tampering is found since any checkpoint held elsewhere"
	switch sinks := e.c.Audit.Sinks; {
	case len(sinks) == 0:
		e.warn("audit.sinks", do, "no checkpoint of the audit log leaves the database")
	case !slices.ContainsFunc(sinks, config.Sink.Away):
		e.warn("audit.sinks", do, "no checkpoint of the audit log is seen to leave this machine; a file may, if its disk is another's")
	}
}

// shipped looks at how far the sinks got.
func (e *examination) shipped(ctx context.Context, k *server.Core) {
	const about, do = "audit.sinks", "start the server, and look at its log for what keeps it from there"
	list, err := k.Shipping(ctx)
	if err != nil {
		e.wrong(about, "", "%v", err)
	}
	for _, s := range list {
		switch {
		case s.SentAt.IsZero():
			e.warn(about, do, "%s got nothing yet", s.Place)
		case e.began.Sub(s.SentAt) > silent:
			e.warn(about, do, "%s got nothing since %s", s.Place, moment(s.SentAt, ""))
		default:
			e.ok(about, "%s got a checkpoint of %d events, and the last of it at %s", s.Place, s.Checkpoint, moment(s.SentAt, ""))
		}
	}
}
