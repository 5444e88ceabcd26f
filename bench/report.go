package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// report prints the tables, and writes them where they are wanted.
func (b *bench) report(ctx context.Context) error {
	text := b.tables(ctx)
	fmt.Fprint(b.out, text)
	if b.markdown != "" {
		begin := tablesBegin
		if b.peers {
			begin = peersBegin
		}
		if b.scale {
			begin = scaleBegin
		}
		if err := writeBetween(b.markdown, begin, text); err != nil {
			return err
		}
	}
	if b.json == "" {
		return nil
	}
	data, err := json.MarshalIndent(b.figures(ctx), "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(b.json, append(data, '\n'), 0o644)
}

// tables are the whole report, in Markdown.
func (b *bench) tables(ctx context.Context) string {
	var t strings.Builder
	fmt.Fprintf(&t, "`%s`\n\n", b.command)
	fmt.Fprintf(&t, "%s. Medians of %s of %v over %s; %s, of which %d are active.\n\n", strings.Join(b.machine(ctx), "; "),
		plural(b.runs, "run"), b.counted, plural(b.connections, "connection"), plural(b.users, "account"), b.active)
	t.WriteString(b.others() + "\n\n")
	if b.profile != "" {
		t.WriteString("The server was profiled meanwhile: these figures are no measure of it.\n\n")
	}
	if b.peers {
		t.WriteString(b.peerTables())
		return t.String()
	}
	if b.scale {
		t.WriteString(strings.TrimPrefix(b.scaleTables(), "\n") + "\n### The process\n\n" + b.processTable())
		return t.String()
	}
	t.WriteString("### Floors\n\n" + b.floorTable())
	t.WriteString("\n### Paths\n\n" + b.pathTable())
	if b.audit {
		t.WriteString("\n### The audit log\n\n" + b.auditTable())
	}
	t.WriteString("\n### The process\n\n" + b.processTable())
	if b.growth > 0 {
		t.WriteString("\n### Growth\n\n" + b.growthTable())
	}
	return t.String()
}

// quiet is how much of the machine other programs may take.
const quiet = 0.05

// others says how much other programs had of the machine during the runs.
func (b *bench) others() string {
	var list []float64
	for _, r := range b.rows {
		for _, m := range r.rounds {
			list = append(list, m.Others)
		}
	}
	usual := middle(list, func(f float64) float64 { return f })
	text := fmt.Sprintf("Other programs took %.0f %% of the processors meanwhile (the median of all runs; %.0f %% at the most).", 100*usual, 100*slices.Max(list))
	if usual > quiet {
		text += " **So the machine was not quiet: requests a second and times mean little here, ratios and processor time somewhat more.**"
	}
	return text
}

func (b *bench) floorTable() string {
	t := table{{"", "floor", "database", "req/s", "p50 ms", "p95 ms", "p99 ms", "CPU-ms", "PostgreSQL CPU-ms"}}
	for _, r := range b.rows {
		if !r.subject.isFloor {
			continue
		}
		m := median(r.rounds)
		t = append(t, []string{"`" + r.subject.name + "`", r.subject.title, r.database(), rate(m.Rate), ms(m.P50, 2), ms(m.P95, 2), ms(m.P99, 2), ms(m.CPU, 3), ms(m.PG, 3)})
	}
	return t.String()
}

func (b *bench) pathTable() string {
	t := table{{"", "path", "database", "req/s", "p50 ms", "p95 ms", "p99 ms", "errors", "CPU-ms", "PostgreSQL CPU-ms", "peak MiB", "of its floor", "target", ""}}
	for _, r := range b.rows {
		if r.subject.isFloor || r.site.users != b.users || r.site.bare {
			continue
		}
		m, of := median(r.rounds), ""
		if r.floor != nil {
			of = fmt.Sprintf("%.0f %% of `%s`, CPU × %.1f", 100*r.ratio(rateOf), r.floor.subject.name, r.ratio(cpuOf))
		}
		asked, met := r.verdict()
		t = append(t, []string{
			"`" + r.subject.name + "`", r.subject.title + named(": ", m.Note), r.database(), rate(m.Rate), ms(m.P50, 2), ms(m.P95, 2), ms(m.P99, 2),
			strconv.Itoa(m.Errors), ms(m.CPU, 3), ms(m.PG, 3), mib(m.Peak), of, strings.Join(asked, ", "), word(len(asked) > 0, met),
		})
	}
	return t.String()
}

// What the whole process is asked to keep to.
const (
	readyWithin = 50 * time.Millisecond
	idleWithin  = 30 << 20
	sizeWithin  = 35_000_000
)

func (b *bench) processTable() string {
	t := table{{"", "database", "measured", "target", ""}}
	if info, err := os.Stat(b.binary); err == nil {
		t = append(t, []string{"binary, static and stripped", "", fmt.Sprintf("%.1f MB", float64(info.Size())/1e6), "≤ 35 MB", word(true, info.Size() <= sizeWithin)})
	}
	for _, s := range b.sites {
		took := middle(s.starts, func(d time.Duration) time.Duration { return d })
		database := fmt.Sprintf("%s, %s", s.db, plural(s.users, "account"))
		t = append(t,
			[]string{fmt.Sprintf("start to ready, median of %d", len(s.starts)), database, ms(took, 0) + " ms", "≤ 50 ms", word(true, took <= readyWithin)},
			[]string{"memory in use, idle for " + b.idle.String(), database, mib(s.idle.Now) + " MiB", "≤ 30 MiB", word(true, s.idle.Now <= idleWithin)})
	}
	return t.String()
}

// growthWithin is how much the cost of a request may change.
const growthWithin = 0.2

func (b *bench) growthTable() string {
	t := table{{"", "path", "database", "CPU-ms, " + plural(b.users, "account"), "CPU-ms, " + plural(b.growth, "account"), "change", "with PostgreSQL's", "target", ""}}
	for _, r := range b.rows {
		if r.site.users == b.users {
			continue
		}
		for _, few := range b.rows {
			if few.subject != r.subject || few.site.db != r.site.db || few.site.users != b.users {
				continue
			}
			before, after := median(few.rounds), median(r.rounds)
			own, both := change(before.CPU, after.CPU), change(before.CPU+before.PG, after.CPU+after.PG)
			t = append(t, []string{
				"`" + r.subject.name + "`", r.subject.title, r.site.db, ms(before.CPU, 3), ms(after.CPU, 3), percent(own), percent(both),
				"within ± 20 %", word(true, max(own, -own, both, -both) <= growthWithin),
			})
		}
	}
	return t.String()
}

func change(before, after time.Duration) float64 {
	if before == 0 {
		return 0
	}
	return float64(after)/float64(before) - 1
}

func (r *row) database() string {
	if r.provider != nil {
		return r.provider.name
	}
	if r.subject.each || r.subject.grows {
		return r.site.db
	}
	return ""
}

// table is a table in Markdown; its first row is the head.
type table [][]string

func (t table) String() string {
	widths := make([]int, len(t[0]))
	for _, cells := range t {
		for i, c := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c), 3)
		}
	}
	var b strings.Builder
	for n, cells := range t {
		for i, c := range cells {
			b.WriteString("| " + c + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+1))
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, w := range widths {
				b.WriteString("| " + strings.Repeat("-", w) + " ")
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

// ms writes a duration in milliseconds, and nothing for none.
func ms(d time.Duration, digits int) string {
	if d == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(d)/1e6, 'f', digits, 64)
}

func mib(bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(bytes)/(1<<20), 'f', 1, 64)
}

func rate(r float64) string {
	if r < 100 {
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return grouped(int(r + 0.5))
}

func percent(f float64) string { return fmt.Sprintf("%+.0f %%", 100*f) }

// grouped writes a number with a comma before every third digit from the end.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(n) + " " + what + "s"
}

func word(asked, met bool) string {
	switch {
	case !asked:
		return ""
	case met:
		return "met"
	}
	return "**missed**"
}
