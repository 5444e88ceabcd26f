package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/condition"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) condition() *cobra.Command {
	return group("condition", "Policies beside the roles", `Conditions: policies in Cedar that permit what no role gives, or forbid what one does,
by what a question tells of the thing, the action and who acts. They decide about an
application's permissions, never about this server's own.`,
		p.conditionCreate(), p.conditionList(), p.conditionShow(), p.conditionUpdate(), p.conditionDelete())
}

// policyFrom reads a policy: from a file, or from stdin for "-".
func (p *program) policyFrom(file string) (string, error) {
	const most = 64 << 10 // more than any policy may have
	from := p.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fault.New(fault.Invalid, "the policy cannot be read: %s", err.Error())
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, most))
	if err != nil {
		return "", fmt.Errorf("reading the policy: %w", err)
	}
	return string(text), nil
}

// policyFlags are those of a command that takes a policy.
func policyFlags(c *cobra.Command, file, description *string) {
	c.Flags().StringVar(file, "file", "-", "the `FILE` with the policy; - is stdin")
	c.Flags().StringVar(description, "description", "", "what it is for (`TEXT`)")
}

func (p *program) conditionCreate() *cobra.Command {
	var file, description string
	c := p.command("create", "Create a condition", `The policy is one or more policies in Cedar, each of which permits or forbids. It counts
within a second, on every server.`, `
doorward condition create own-orders --file own-orders.cedar
doorward condition create closed --description "Closed orders stay as they are" < closed.cedar`,
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			policy, err := p.policyFrom(file)
			if err != nil {
				return err
			}
			return p.with(c.Context(), func(k *server.Core) error {
				made, err := k.Conditions.Create(c.Context(), p.operator(), condition.Condition{Name: args[0], Description: description, Policy: policy})
				if err != nil {
					return err
				}
				return p.printCondition(made)
			})
		})
	policyFlags(c, &file, &description)
	return c
}

func (p *program) conditionUpdate() *cobra.Command {
	var file, description string
	c := p.command("update", "Give a condition another policy", "The policy is replaced whole; the description, if it is given.",
		"doorward condition update own-orders --file own-orders.cedar",
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			policy, err := p.policyFrom(file)
			if err != nil {
				return err
			}
			return p.uponCondition(c, args[0], func(k *server.Core, found condition.Condition) error {
				found.Policy = policy
				if c.Flags().Changed("description") {
					found.Description = description
				}
				changed, err := k.Conditions.Replace(c.Context(), p.operator(), found)
				if err != nil {
					return err
				}
				return p.printCondition(changed)
			})
		})
	policyFlags(c, &file, &description)
	return c
}

// uponCondition runs a command about a condition that exists.
func (p *program) uponCondition(c *cobra.Command, name string, do func(*server.Core, condition.Condition) error) error {
	return p.with(c.Context(), func(k *server.Core) error {
		found, ok := k.Conditions.Set().Condition(name)
		if !ok {
			return condition.Absent()
		}
		return do(k, found)
	})
}

func (p *program) printCondition(c condition.Condition) error {
	var t table
	t.row("condition", c.Name)
	if c.Description != "" {
		t.row("description", c.Description)
	}
	t.row("changed", stamp(c.UpdatedAt))
	for i, line := range strings.Split(strings.TrimSpace(c.Policy), "\n") {
		head := ""
		if i == 0 {
			head = "policy"
		}
		t.row(head, strings.ReplaceAll(strings.TrimRight(line, "\r"), "\t", "    "))
	}
	return p.print(admin.ShowCondition(c), t)
}

func (p *program) conditionList() *cobra.Command {
	return p.command("list", "List all conditions", "In the order of their names.", `
doorward condition list
doorward condition list -o json`,
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				list := page[admin.Condition]{Items: []admin.Condition{}}
				t := table{head: []string{"CONDITION", "CHANGED", "DESCRIPTION"}}
				for _, found := range k.Conditions.Set().List() {
					v := admin.ShowCondition(found)
					list.Items = append(list.Items, v)
					t.row(v.Name, v.UpdatedAt, v.Description)
				}
				return p.print(list, t)
			})
		})
}

func (p *program) conditionShow() *cobra.Command {
	return p.command("show", "Show a condition", "With its policy as it was written.", "doorward condition show own-orders",
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.uponCondition(c, args[0], func(_ *server.Core, found condition.Condition) error { return p.printCondition(found) })
		})
}

func (p *program) conditionDelete() *cobra.Command {
	var sure bool
	c := p.command("delete", "Delete a condition", "What it forbade is forbidden no more, and what it permitted is not permitted.", "doorward condition delete own-orders --yes",
		[]string{"NAME"}, func(c *cobra.Command, args []string) error {
			return p.uponCondition(c, args[0], func(k *server.Core, found condition.Condition) error {
				if err := p.confirm(c.Context(), sure, "Delete the condition "+found.Name+"?"); err != nil {
					return err
				}
				if err := k.Conditions.Delete(c.Context(), p.operator(), found.Name, found.Version); err != nil {
					return err
				}
				return p.deleted("condition", found.Name, found.Name)
			})
		})
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}
