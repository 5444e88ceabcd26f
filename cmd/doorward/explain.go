package main

import (
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/condition"
	"github.com/doorward/doorward/internal/server"
)

// explanation is a decision with its why, as the HTTP API names its parts.
type explanation struct {
	Allowed    bool   `json:"allowed"`
	Subject    string `json:"subject"`
	Permission string `json:"permission"`
	admin.Why
}

// matter are the flags of what conditions are told.
type matter struct{ object, properties, action, context string }

func (m *matter) flags(c *cobra.Command) {
	c.Flags().StringVar(&m.object, "object", "", "what is acted on, for conditions (`TYPE:ID`)")
	c.Flags().StringVar(&m.properties, "properties", "", "those of the object, as a `JSON` object")
	c.Flags().StringVar(&m.action, "action-properties", "", "those of the action, as a `JSON` object")
	c.Flags().StringVar(&m.context, "context", "", "what else conditions are told, as a `JSON` object")
}

// about reads the flags.
func (m *matter) about(c *cobra.Command) (about access.About, err error) {
	if m.object != "" {
		kind, name, ok := strings.Cut(m.object, ":")
		if !ok || kind == "" || name == "" {
			return about, usage(c, "--object is a type and an id, like order:7")
		}
		about.Object = condition.Object{Type: kind, ID: name}
	}
	for flag, into := range map[string]*condition.Properties{"properties": &about.Object.Properties, "action-properties": &about.Action, "context": &about.Context} {
		text := c.Flags().Lookup(flag).Value.String()
		if text == "" {
			continue
		}
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if d.Decode(into) != nil || *into == nil || d.More() {
			return about, usage(c, "--%s is a JSON object, like '{\"total\": 100}'", flag)
		}
	}
	return about, nil
}

func (p *program) roleExplain() *cobra.Command {
	var service bool
	var organization string
	var m matter
	c := p.command("explain", "Say whether a user may do something, and why", `The path leads from the user over his roles to the permission; or the reason
says why there is none. Where conditions decide, they are named. The exit code is 0
if it is allowed, and 1 if not.`, `
doorward role explain ana orders:refund
doorward role explain ana order:refund --object order:7 --properties '{"total": 100}'`,
		[]string{"USER", "PERMISSION"}, func(c *cobra.Command, args []string) error {
			about, err := m.about(c)
			if err != nil {
				return err
			}
			return p.with(c.Context(), func(k *server.Core) error {
				subject := "user:" + args[0]
				if service {
					subject = "client:" + args[0]
				} else if _, err := p.find(c.Context(), k, args[0]); err != nil {
					return err
				}
				d, err := k.Access.Decide(c.Context(), access.Question{Subject: subject, Permission: args[1], Organization: organization, About: about})
				if err != nil {
					return err
				}
				e := explanation{d.Allowed, d.Subject, d.Permission, admin.ShowWhy(d)}
				if err := p.print(e, whyTable(d.Allowed, e.Why)); err != nil || e.Allowed {
					return err
				}
				return errShown
			})
		})
	c.Flags().BoolVar(&service, "client", false, "whether a client may, for itself: both its scopes and its roles count")
	c.Flags().StringVar(&organization, "organization", "", "within this one (`NAME`); what he may do elsewhere does not count there")
	m.flags(c)
	return c
}

func whyTable(allowed bool, why admin.Why) table {
	var t table
	t.row("allowed", yes(allowed))
	if len(why.Path) > 0 {
		t.row("path", strings.Join(why.Path, " → "))
	}
	if why.Reason != "" {
		t.row("reason", why.Reason)
	}
	if len(why.Missing) > 0 {
		t.row("roles that would allow", strings.Join(why.Missing, " "))
	}
	for _, c := range why.Conditions {
		text := c.Name
		if c.Policy != "" {
			text += ", policy " + c.Policy
		}
		if c.Error != "" {
			text += ", which could not be evaluated: " + c.Error
		}
		t.row(c.Effect, text)
	}
	return t
}

func (p *program) roleDecision() *cobra.Command {
	return p.command("decision", "Look up a decision", `A refusal of the management API names its decision by an id, and so do the answers
about access. It can be looked up for 7 days.`, "doorward role decision 06h2ek0nbgv8v1lvh0mc8f5j5g",
		[]string{"ID"}, func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				found, err := k.Access.Lookup(c.Context(), args[0])
				if err != nil {
					return err
				}
				v := admin.ShowDecision(found)
				var t table
				t.row("decision", v.DecisionID)
				t.row("at", v.At)
				t.row("asked by", v.By)
				t.row("at the route", v.Route)
				t.row("about", v.Subject)
				t.row("permission", v.Permission)
				if v.Object != nil {
					t.row("object", v.Object.Type+":"+v.Object.ID)
				}
				t.rows = append(t.rows, whyTable(v.Allowed, v.Why).rows...)
				return p.print(v, t)
			})
		})
}
