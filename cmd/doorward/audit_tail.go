package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/server"
)

// tailEvery is how often the log is asked for more.
const tailEvery = 500 * time.Millisecond

func (p *program) auditTail() *cobra.Command {
	var f eventFilter
	var leaf int64
	as := &form{words: []string{"text", "json", "ocsf"}}
	c := p.command("tail", "Follow the log", `Prints each event a line, in the order of the log, until it is interrupted. It
begins with what happens from now on, or at a leaf. An event is in the log within
a second, once a running server has given it its place; none is left out.`, `
doorward audit tail --action login.*
doorward audit tail --leaf 0 -o json`,
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				filter, err := f.read(c, k.Clock.Now())
				if err != nil {
					return err
				}
				s := audit.Search{Filter: filter, Order: audit.ByLeaf, Limit: 200, After: audit.BeforeLeaf(leaf)}
				if !c.Flags().Changed("leaf") {
					if s.After, err = k.Audit.End(c.Context()); err != nil {
						return err
					}
				}
				return p.tailEvents(c.Context(), k, s, as.String())
			})
		})
	f.flags(c.Flags())
	c.Flags().Int64Var(&leaf, "leaf", 0, "begin at the leaf with this number (`N`)")
	c.Flags().VarP(as, "output", "o", "how events are printed: text, json (JSON Lines) or ocsf")
	return c
}

// tailEvents follows the log until ctx ends, which is no error.
func (p *program) tailEvents(ctx context.Context, k *server.Core, s audit.Search, as string) error {
	again := time.NewTicker(tailEvery)
	defer again.Stop()
	reading := ""
	for {
		found, read, err := k.Audit.Events(ctx, p.operator(), s, reading)
		if ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
		for _, e := range found.Entries {
			if err := p.tailed(e, as); err != nil {
				return err
			}
		}
		more := found.Next != s.After
		s.After, reading = found.Next, read
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

func (p *program) tailed(e audit.Entry, as string) error {
	if as == "ocsf" {
		return p.line(e.OCSF())
	}
	v, err := admin.ShowEvent(e)
	if err != nil {
		return err
	}
	if as == "json" {
		return p.line(oneObject(v))
	}
	return p.line([]byte(oneLine(v)), nil)
}
