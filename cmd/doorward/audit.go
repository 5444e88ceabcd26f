package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
)

func (p *program) audit() *cobra.Command {
	return group("audit", "The audit log", `The audit log: who did what, to whom, when, from where, and how it ended. To read
it is an event of the log too.`,
		p.auditList(), p.auditTail(), p.auditVerify(), p.auditExport(), p.auditKey(), p.auditErase())
}

// eventFilter is a filter of the log, as flags give it.
type eventFilter struct {
	actor, target, action, outcome, from, to string
}

func (f *eventFilter) flags(s *pflag.FlagSet) {
	s.StringVar(&f.actor, "actor", "", "only what `WHO` did, like user:01h… or cli:ops; a bare kind like anonymous, too")
	s.StringVar(&f.target, "target", "", "only what was done to `WHAT`, like family:01h… or role:editor")
	s.StringVar(&f.action, "action", "", "only one `ACTION`, like login.failed, or all of a noun, like user.*")
	s.StringVar(&f.outcome, "outcome", "", "only success, failure or denied (`OUTCOME`)")
}

func (f *eventFilter) times(s *pflag.FlagSet) {
	s.StringVar(&f.from, "from", "", "not before `TIME`: like 2026-01-31T09:30:00Z, or 24h for so long ago")
	s.StringVar(&f.to, "to", "", "before `TIME`")
}

// read makes the filter that the flags say; now is what "24h" is counted from.
func (f *eventFilter) read(c *cobra.Command, now time.Time) (audit.Filter, error) {
	r := audit.Filter{Actor: f.actor, Target: f.target, Action: f.action, Outcome: audit.Outcome(f.outcome)}
	for _, t := range []struct {
		name, text string
		into       *time.Time
	}{{"from", f.from, &r.From}, {"to", f.to, &r.To}} {
		if t.text == "" {
			continue
		}
		if ago, err := time.ParseDuration(t.text); err == nil && ago > 0 {
			*t.into = now.Add(-ago)
		} else if *t.into, err = time.Parse(time.RFC3339Nano, t.text); err != nil {
			return r, usage(c, "--%s is a time like 2026-01-31T09:30:00Z, or a duration like 24h", t.name)
		}
	}
	if err := r.Check(); err != nil {
		if e, ok := errors.AsType[*fault.Error](err); ok {
			return r, usage(c, "--%s: %s", e.Field, e.Message)
		}
		return r, err
	}
	return r, nil
}

// form is how a command prints events: one of the words that it takes.
type form struct {
	words []string // the first is the default
	word  string
}

func (f *form) String() string {
	if f.word == "" && len(f.words) > 0 {
		return f.words[0]
	}
	return f.word
}

func (f *form) Set(text string) error {
	if !slices.Contains(f.words, text) {
		return fmt.Errorf("it is %s", strings.Join(f.words, ", "))
	}
	f.word = text
	return nil
}

func (f *form) Type() string { return strings.Join(f.words, "|") }
