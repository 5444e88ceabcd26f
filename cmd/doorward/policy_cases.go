package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/policy"
	"github.com/doorward/doorward/internal/rbac"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) policyTest() *cobra.Command {
	var file, url, token string
	c := p.command("test", "Answer a file of cases", `A case is a line: WHO can PERMISSION, or WHO cannot PERMISSION. What follows a # is a
comment. WHO is user:NAME, role:NAME, group:NAME or client:ID, or the name alone
where one of these has it. What is asked is the database; or with --policy a file alone, in which
those are users to whom it gives roles; or with --server a server, with a token that
may read users, roles and clients, from --token-file or stdin.

The exit code is 0 if all cases pass, and 1 if not. A case about somebody who is not
there fails, whatever it says.`, `
doorward policy test cases.txt --policy policy.yaml
doorward policy test cases.txt --server https://auth.example.com --token-file token.txt`,
		[]string{"CASES"}, func(c *cobra.Command, args []string) error {
			switch {
			case file != "" && url != "":
				return usage(c, "--policy and --server exclude each other")
			case token != "" && url == "":
				return usage(c, "--token-file needs --server")
			}
			text, err := p.readFile(args[0])
			if err != nil {
				return err
			}
			cases, err := policy.ParseCases(args[0], text)
			if err != nil {
				return err
			}
			switch {
			case file != "":
				return p.testFile(c.Context(), args[0], cases, file)
			case url != "":
				secret, err := p.readToken(c, "--token-file", token)
				if err != nil {
					return err
				}
				j, err := newRemote(url, secret)
				if err != nil {
					return err
				}
				return p.test(c.Context(), args[0], cases, j)
			}
			return p.with(c.Context(), func(k *server.Core) error { return p.test(c.Context(), args[0], cases, local{k}) })
		})
	c.Flags().StringVar(&file, "policy", "", "ask a `FILE`, without a database")
	c.Flags().StringVar(&url, "server", "", "ask the server at a `URL`")
	c.Flags().StringVar(&token, "token-file", "", "the `FILE` that holds the token for --server; stdin if not given")
	return c
}

func (p *program) testFile(ctx context.Context, name string, cases []policy.Case, file string) error {
	text, err := p.readFile(file)
	if err != nil {
		return err
	}
	doc, err := policy.Read(file, text)
	if err != nil {
		return err
	}
	j, err := policy.NewOffline(doc, p.began)
	if err != nil {
		return err
	}
	return p.test(ctx, name, cases, j)
}

// outcome is what came of a file of cases.
type outcome struct {
	Passed int             `json:"passed"`
	Failed int             `json:"failed"`
	Cases  []policy.Result `json:"cases"`
}

func (p *program) test(ctx context.Context, name string, cases []policy.Case, j policy.Judge) error {
	results, err := policy.Run(ctx, cases, j)
	if err != nil {
		return err
	}
	o := outcome{Cases: results}
	for _, r := range results {
		if r.Passed {
			o.Passed++
		} else {
			o.Failed++
		}
	}
	if p.output == asJSON {
		err = p.print(o, table{})
	} else {
		err = p.printOutcome(name, o)
	}
	if err == nil && o.Failed > 0 {
		err = errShown
	}
	return err
}

// printOutcome prints what failed, and why, as go test does.
func (p *program) printOutcome(name string, o outcome) error {
	for _, r := range o.Cases {
		if r.Passed {
			continue
		}
		why := r.Reason
		if r.Allowed {
			why = "it is allowed: " + strings.Join(r.Path, " → ")
		}
		if _, err := fmt.Fprintf(p.stdout, "FAIL %s:%d: %s\n    %s\n", visible(name), r.Line, visible(r.Case), visible(why)); err != nil {
			return err
		}
	}
	if o.Failed > 0 {
		_, err := fmt.Fprintf(p.stdout, "FAIL %d of %d cases\n", o.Failed, len(o.Cases))
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "ok   %d %s\n", o.Passed, plural("case", o.Passed))
	return err
}

// local answers cases by the database.
type local struct{ k *server.Core }

// Kinds says what has a name.
func (l local) Kinds(ctx context.Context, name string) (found []string, err error) {
	for _, kind := range []string{"user", "role", "group", "client"} {
		_, err := l.subject(ctx, policy.Case{Kind: kind, Name: name})
		switch {
		case err == nil:
			found = append(found, kind)
		case fault.KindOf(err) != fault.NotFound && fault.KindOf(err) != fault.Invalid:
			return nil, err
		}
	}
	return found, nil
}

// subject returns the subject of a case as decisions name it, or a NotFound.
func (l local) subject(ctx context.Context, c policy.Case) (string, error) {
	switch c.Kind {
	case "role":
		if _, ok := l.k.Roles.Snapshot().Role(c.Name); !ok {
			return "", policy.Nobody(c)
		}
		return "", nil
	case "group":
		_, err := l.k.Roles.Group(ctx, c.Name)
		if fault.KindOf(err) == fault.NotFound {
			err = policy.Nobody(c)
		}
		return "", err
	case "client":
		found, err := l.k.Clients.Fresh(ctx, c.Name)
		if fault.KindOf(err) == fault.NotFound {
			err = policy.Nobody(c)
		}
		return found.Target(), err
	}
	u, err := l.k.Accounts.ByLogin(ctx, c.Name)
	if err == nil && u.Username != c.Name || fault.KindOf(err) == fault.NotFound { // an email is no name here
		err = policy.Nobody(c)
	}
	return u.Target(), err
}

// Judge answers cases.
func (l local) Judge(ctx context.Context, cases []policy.Case) ([]policy.Answer, []error, error) {
	answers, missing := make([]policy.Answer, len(cases)), make([]error, len(cases))
	for i, c := range cases {
		subject, err := l.subject(ctx, c)
		switch {
		case fault.KindOf(err) == fault.NotFound:
			missing[i] = err
			continue
		case err != nil:
			return nil, nil, err
		case c.Kind == "role":
			answers[i] = policy.OfRole(l.k.Roles.Snapshot(), c, l.k.Clock.Now())
			continue
		case c.Kind == "group":
			h, err := l.k.Roles.Holding(ctx, rbac.OfGroup(c.Name))
			if err != nil {
				return nil, nil, err
			}
			answers[i] = policy.OfGrants(l.k.Roles.Snapshot(), c, h.Grants, l.k.Clock.Now())
			continue
		}
		d, err := l.k.Access.Decide(ctx, access.Question{Subject: subject, Permission: c.Permission, Organization: c.Organization})
		if err != nil {
			return nil, nil, err
		}
		answers[i] = policy.Answer{Allowed: d.Allowed, Path: d.Path, Reason: d.Reason}
	}
	return answers, missing, nil
}
