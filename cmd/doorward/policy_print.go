package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/policy"
)

// printPlan prints a plan: what changes, who gains and loses, and how much it is.
func (p *program) printPlan(plan *policy.Plan) error {
	if p.output == asJSON {
		return p.print(plan, table{})
	}
	var lines []string
	for _, c := range plan.Changes {
		lines = append(lines, describe(c)...)
	}
	if len(plan.Effects) > 0 {
		lines = append(lines, "", "Who gains and who loses:")
	}
	for i, e := range plan.Effects {
		if i == mostEffects {
			lines = append(lines, fmt.Sprintf("  and %s more; -o json has them all", number(len(plan.Effects)-i)))
			break
		}
		lines = append(lines, "  "+some(people(e.Who), e.Count, 5))
		lines = append(lines, rights("+", e.Gains)...)
		lines = append(lines, rights("-", e.Loses)...)
	}
	for i, l := range plan.Left {
		if i == 0 {
			lines = append(lines, "", "Not in the file, and left alone (with --prune it would be deleted):")
		}
		lines = append(lines, "  "+number(l.Count)+" "+plural(l.Kind, l.Count)+": "+some(l.Names, l.Count, 5))
	}
	if len(lines) > 0 {
		lines = append(lines, "")
	}
	lines = append(lines, summary(plan))
	if lines[0] == "" {
		lines = lines[1:]
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(p.stdout, visible(line)); err != nil {
			return err
		}
	}
	return nil
}

// The most that is printed for people.
const (
	mostEffects = 50 // fates
	mostRights  = 10 // of one fate, and of one field
)

var signs = map[policy.Do]string{policy.Create: "+", policy.Update: "~", policy.Delete: "-"}

// describe prints a change: the thing, and below it what becomes of its fields.
func describe(c policy.Change) []string {
	lines := []string{signs[c.Do] + " " + c.Kind + " " + c.Name}
	for _, d := range c.Details {
		switch {
		case len(d.Added)+len(d.Removed) > 0:
			line := "    " + d.Field + ":"
			if len(d.Added) > 0 {
				line += " + " + some(d.Added, len(d.Added), mostRights)
			}
			if len(d.Removed) > 0 {
				line += " - " + some(d.Removed, len(d.Removed), mostRights)
			}
			lines = append(lines, line)
		case c.Do == policy.Create || d.From == d.To:
			lines = append(lines, "    "+d.Field+": "+d.To)
		case c.Do == policy.Delete:
			lines = append(lines, "    "+d.Field+": "+d.From)
		default:
			lines = append(lines, "    "+d.Field+": "+or(d.From, "none")+" → "+or(d.To, "none"))
		}
	}
	return lines
}

func rights(sign string, list []policy.Right) (lines []string) {
	for i, r := range list {
		if i == mostRights {
			return append(lines, "    "+sign+" and "+number(len(list)-i)+" more")
		}
		lines = append(lines, "    "+sign+" "+r.String())
	}
	return lines
}

func summary(plan *policy.Plan) string {
	if plan.Empty() {
		return "There is nothing to change."
	}
	gain, lose := 0, 0
	for _, e := range plan.Effects {
		if len(e.Gains) > 0 {
			gain += e.Count
		}
		if len(e.Loses) > 0 {
			lose += e.Count
		}
	}
	created, updated, deleted := plan.Count()
	return fmt.Sprintf("%s to create, %s to change, %s to delete; %s would gain something, and %s lose something.",
		number(created), number(updated), number(deleted), number(gain), number(lose))
}

// people names users without their kind.
func people(who []string) []string {
	names := make([]string, len(who))
	for i, w := range who {
		names[i] = strings.TrimPrefix(w, "user:")
	}
	return names
}

// some lists the first names of so many.
func some(names []string, count, most int) string {
	shown := names[:min(len(names), most)]
	if rest := count - len(shown); rest > 0 {
		return strings.Join(shown, ", ") + " and " + number(rest) + " more"
	}
	return strings.Join(shown, ", ")
}

// number writes a number with its thousands apart.
func number(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func plural(word string, n int) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
