package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) auditList() *cobra.Command {
	var f eventFilter
	s := audit.Search{}
	order, as := "", &form{words: []string{"table", "json", "ocsf"}}
	c := p.command("list", "List events", `The newest first, a page at a time. With json a page is as the HTTP API gives it;
with ocsf each event is a line in the form of the Open Cybersecurity Schema
Framework. A page may be short and have a next one: it looks through so many
events at the most.`, `
doorward audit list --actor user:06h2ck99cfi8546me3gha58ci8 --from 24h
doorward audit list --action login.* --outcome failure -o ocsf`,
		nil, func(c *cobra.Command, _ []string) error {
			s.Order = audit.Order(order)
			if s.Order != audit.Newest && s.Order != audit.Oldest {
				return usage(c, "--order is desc or asc")
			}
			if s.Limit < 1 || s.Limit > 200 {
				return usage(c, "--limit is a number from 1 to 200")
			}
			return p.with(c.Context(), func(k *server.Core) error {
				var err error
				if s.Filter, err = f.read(c, k.Clock.Now()); err != nil {
					return err
				}
				return p.listEvents(c.Context(), k, s, as.String())
			})
		})
	f.flags(c.Flags())
	f.times(c.Flags())
	c.Flags().StringVar(&order, "order", "desc", "by time: desc or asc (`ORDER`)")
	c.Flags().StringVar(&s.After, "after", "", "the page after the event with this `ID`")
	c.Flags().IntVar(&s.Limit, "limit", 50, "how many, up to 200 (`N`)")
	c.Flags().VarP(as, "output", "o", "how events are printed: table, json or ocsf")
	return c
}

func (p *program) listEvents(ctx context.Context, k *server.Core, s audit.Search, as string) error {
	found, _, err := k.Audit.Events(ctx, p.operator(), s, "")
	if err != nil {
		return err
	}
	list := page[admin.AuditEvent]{Items: []admin.AuditEvent{}}
	t := table{head: []string{"AT", "ACTION", "OUTCOME", "ACTOR", "TARGET", "FROM", "REASON"}}
	for _, e := range found.Entries {
		if as == "ocsf" {
			if err := p.line(e.OCSF()); err != nil {
				return err
			}
			continue
		}
		v, err := admin.ShowEvent(e)
		if err != nil {
			return err
		}
		list.Items = append(list.Items, v)
		t.row(v.At, v.Action, v.Outcome, v.Actor, v.Target, address(v), v.Reason)
	}
	if found.Next != "" {
		list.Next = &found.Next
		if as != "json" {
			defer p.say("there may be more: --after %s", found.Next)
		}
	}
	if as == "ocsf" {
		return nil
	}
	p.output = format(as)
	return p.print(list, t)
}

// line prints a line that was made, or returns why it was not.
func (p *program) line(text []byte, err error) error {
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n", text)
	return err
}

// address returns where an event's request came from; "" if that is not known.
func address(e admin.AuditEvent) string {
	for _, part := range e.Parts {
		if a := part.Facts["address"]; a != "" {
			return a
		}
	}
	return ""
}

// oneLine writes an event for people who watch.
func oneLine(e admin.AuditEvent) string {
	words := []string{e.At, e.Action, e.Outcome, e.Actor}
	if e.Target != "" {
		words = append(words, "→ "+e.Target)
	}
	if a := address(e); a != "" {
		words = append(words, "from "+a)
	}
	if e.Reason != "" {
		words = append(words, "because "+e.Reason)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Detail)) {
		words = append(words, name+"="+e.Detail[name])
	}
	return visible(strings.Join(words, "  "))
}

// oneObject writes an event for programs, as a line of JSON.
func oneObject(e admin.AuditEvent) ([]byte, error) { return json.Marshal(e) }
