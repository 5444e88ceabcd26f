package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/ssf"
)

func (p *program) stream() *cobra.Command {
	return group("stream", "Streams by which clients hear what happens to people", `A client that holds ssf.manage makes its streams itself, where shared_signals.enabled says
so (OpenID Shared Signals Framework 1.0). Here they are seen and stopped.`,
		p.streamList(), p.streamStop("pause", ssf.Paused, "Pause a stream", `Events wait, at most a thousand and for a week. The receiver is told, and does not start it
again: doorward stream resume does.`),
		p.streamStop("disable", ssf.Disabled, "Disable a stream", `Nothing waits, and what did is dropped. The receiver is told, and does not start it again:
doorward stream resume does.`),
		p.streamStop("resume", ssf.Enabled, "Let a stream go on", "What waits is sent. The receiver is told."), p.streamDelete())
}

func (p *program) streamList() *cobra.Command {
	var of string
	c := p.command("list", "List the streams", "In the order in which they were made.", "doorward stream list --client shop",
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				list := page[admin.Stream]{Items: []admin.Stream{}}
				t := table{head: []string{"STREAM", "CLIENT", "STATUS", "REASON", "DELIVERY", "EVENTS"}}
				for after := ""; ; {
					found, err := k.Transmitter.Streams(c.Context(), of, after, 200)
					if err != nil {
						return err
					}
					for _, s := range found {
						after = s.ID
						v := admin.ShowStream(s)
						list.Items = append(list.Items, v)
						at := "polled"
						if s.Method == ssf.Push {
							at = v.Endpoint
						}
						var kinds []string
						for _, uri := range v.Events {
							kinds = append(kinds, uri[strings.LastIndexByte(uri, '/')+1:])
						}
						t.row(v.ID, v.Client, v.Status, v.Reason, at, strings.Join(kinds, " "))
					}
					if len(found) < 200 {
						return p.print(list, t)
					}
				}
			})
		})
	c.Flags().StringVar(&of, "client", "", "only those of a `CLIENT`")
	return c
}

func (p *program) streamStop(name string, status ssf.Status, short, long string) *cobra.Command {
	var reason string
	c := p.command(name, short, long, "doorward stream "+name+" 01j9zq4a7r3v5k8m2n6p0s1t4w --reason maintenance",
		[]string{"STREAM"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				s, err := k.Transmitter.Stream(c.Context(), args[0])
				if err != nil {
					return err
				}
				if s, err = k.Transmitter.StopStream(c.Context(), p.operator(), s, ssf.StatusChange{Status: status, Reason: reason}); err != nil {
					return err
				}
				v := admin.ShowStream(s)
				var t table
				t.row("stream", v.ID)
				t.row("client", v.Client)
				t.row("status", v.Status)
				return p.print(v, t)
			})
		})
	c.Flags().StringVar(&reason, "reason", "", "why (`TEXT`), which the receiver is told")
	return c
}

func (p *program) streamDelete() *cobra.Command {
	var sure bool
	c := p.command("delete", "Delete a stream, with all that waits on it", "Its client may make another; take ssf.manage from it if it is not to.", "doorward stream delete 01j9zq4a7r3v5k8m2n6p0s1t4w --yes",
		[]string{"STREAM"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				s, err := k.Transmitter.Stream(c.Context(), args[0])
				if err != nil {
					return err
				}
				if err := p.confirm(c.Context(), sure, fmt.Sprintf("Delete the stream %s of the client %s?", s.ID, s.Client)); err != nil {
					return err
				}
				if err := k.Transmitter.RemoveStream(c.Context(), p.operator(), s); err != nil {
					return err
				}
				var t table
				t.row("deleted", s.ID)
				return p.print(map[string]string{"deleted": s.ID}, t)
			})
		})
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}
