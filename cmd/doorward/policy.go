package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/policy"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) policy() *cobra.Command {
	return group("policy", "Roles, clients and grants as a file", `Who may do what as a file: roles, clients, and who has which role. It can be kept
beside the code, read in a review, and tested.`,
		p.policyExport(), p.policyPlan(), p.policyApply(), p.policyTest())
}

func (p *program) policyExport() *cobra.Command {
	var withGrants bool
	c := p.command("export", "Print what there is as a file", `In YAML, or in JSON with -o json; always in the same order. Built-in roles are left
out, and so are secrets. With --grants it says who has which role, too.`, `
doorward policy export > policy.yaml
doorward policy export --grants -o json`,
		nil, func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), func(k *server.Core) error {
				e, err := k.Policy.Export(c.Context(), withGrants)
				if err != nil {
					return err
				}
				if p.output == asJSON {
					return p.print(e, table{})
				}
				return e.WriteYAML(p.stdout)
			})
		})
	c.Flags().BoolVar(&withGrants, "grants", false, "with who has which role")
	return c
}

// planFile is a plan that is kept, with the file that it is of.
type planFile struct {
	Format string       `json:"format"`
	File   string       `json:"file"`
	Text   string       `json:"text"`
	Prune  bool         `json:"prune"`
	Plan   *policy.Plan `json:"plan"`
}

const planFormat = "doorward plan 1"

func (p *program) policyPlan() *cobra.Command {
	var prune bool
	var out string
	c := p.command("plan", "Say what a file would change, and who gains and loses by it", `Nothing is changed. What the file does not name is left alone; with --prune it is
deleted, in those sections that the file has. The exit code is 0 if there is nothing
to change, and 3 if there is.

With --out the plan is kept: "doorward policy apply --plan" does what it says, and
nothing if the policy changed since.`, `
doorward policy plan policy.yaml
doorward policy plan policy.yaml --prune --out plan.json`,
		[]string{"FILE"}, func(c *cobra.Command, args []string) error {
			text, err := p.readFile(args[0])
			if err != nil {
				return err
			}
			return p.with(c.Context(), func(k *server.Core) error {
				plan, err := p.plan(c.Context(), k, args[0], text, prune)
				if err != nil {
					return err
				}
				if out != "" {
					if err := keepPlan(out, planFile{planFormat, args[0], string(text), prune, plan}); err != nil {
						return err
					}
				}
				if err := p.printPlan(plan); err != nil || plan.Empty() {
					return err
				}
				return errChanges
			})
		})
	c.Flags().BoolVar(&prune, "prune", false, "delete what the file does not name, in the sections that it has")
	c.Flags().StringVar(&out, "out", "", "keep the plan in a `FILE`")
	return c
}

// readFile reads a file that a person wrote, or stdin for "-".
func (p *program) readFile(path string) ([]byte, error) {
	in := p.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, policy.MostFile+1)) // who reads it tells that it is too long
}

func (p *program) plan(ctx context.Context, k *server.Core, name string, text []byte, prune bool) (*policy.Plan, error) {
	doc, err := policy.Read(name, text)
	if err != nil {
		return nil, err
	}
	return k.Policy.Plan(ctx, doc, prune)
}

func keepPlan(path string, f planFile) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return replace(path, append(text, '\n'))
}

func (p *program) policyApply() *cobra.Command {
	var prune, sure bool
	var kept string
	c := p.command("apply", "Change what a file says", `It shows the plan, asks, and then makes all changes or none, each with its event in
the audit log. A client that is new has no secret yet: give it one with
"doorward client rotate-secret".

With --plan, instead of FILE, it does what that plan says, and nothing if the policy
changed since it was made.`, `
doorward policy apply policy.yaml
doorward policy apply --plan plan.json --yes`,
		nil, func(c *cobra.Command, args []string) error {
			f := planFile{Prune: prune}
			if kept != "" {
				var err error
				if f, err = p.keptPlan(kept); err != nil {
					return err
				}
			} else {
				text, err := p.readFile(args[0])
				if err != nil {
					return err
				}
				f.File, f.Text = args[0], string(text)
			}
			return p.with(c.Context(), func(k *server.Core) error { return p.apply(c.Context(), k, f, sure) })
		})
	c.Use, c.Args = "apply [FILE]", func(c *cobra.Command, args []string) error {
		switch {
		case kept != "" && len(args) > 0:
			return usage(c, "--plan holds the file that it is of; give one of them")
		case kept != "" && prune:
			return usage(c, "--plan says already whether it was made with --prune")
		case kept == "" && len(args) != 1:
			return usage(c, "it takes one argument, FILE, or --plan")
		}
		return nil
	}
	c.Flags().BoolVar(&prune, "prune", false, "delete what the file does not name, in the sections that it has")
	c.Flags().StringVar(&kept, "plan", "", "do what a plan says that was kept in a `FILE`")
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}

// mostPlan is how long a kept plan may be: a file, and what it changes.
const mostPlan = 8 * policy.MostFile

func (p *program) keptPlan(path string) (planFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return planFile{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostPlan+1))
	if err != nil {
		return planFile{}, err
	}
	var kept planFile
	if err := json.Unmarshal(text, &kept); err != nil || kept.Format != planFormat || kept.Plan == nil || len(text) > mostPlan {
		return planFile{}, fault.At(path, "is no plan that doorward policy plan --out wrote")
	}
	return kept, nil
}

// apply does what a file says; if it comes with a plan, then only what that says.
func (p *program) apply(ctx context.Context, k *server.Core, f planFile, sure bool) error {
	plan, err := p.plan(ctx, k, f.File, []byte(f.Text), f.Prune)
	if err != nil {
		return err
	}
	if f.Plan != nil && (plan.Basis.Digest != f.Plan.Basis.Digest || fingerprint(plan.Changes) != fingerprint(f.Plan.Changes)) {
		return fault.New(fault.Stale, "the policy changed since the plan was made; make another plan")
	}
	if err := p.printPlan(plan); err != nil || plan.Empty() {
		return err
	}
	if err := p.confirm(ctx, sure, "Make these changes?"); err != nil {
		return err
	}
	fresh := plan.NewClients()
	if plan.NeedsKeys() {
		if err := k.Keys.Load(ctx); err != nil {
			return err
		}
	}
	if err := k.Policy.Apply(ctx, p.operator(), plan); err != nil {
		return err
	}
	p.say("applied")
	for _, id := range fresh {
		p.say("the client %s has no secret yet: doorward client rotate-secret %s --overlap 0", id, id)
	}
	return nil
}

// fingerprint tells changes apart.
func fingerprint(changes []policy.Change) string {
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(changes) // they are strings
	return hex.EncodeToString(h.Sum(nil))
}
