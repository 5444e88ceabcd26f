package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/doorward/doorward/internal/audit"
)

// format is how results are printed.
type format string

const (
	asTable format = "table"
	asJSON  format = "json"
)

// String returns the format as the flag takes it.
func (f *format) String() string {
	if *f == "" {
		return string(asTable)
	}
	return string(*f)
}

// Set reads the flag.
func (f *format) Set(text string) error {
	if text != string(asTable) && text != string(asJSON) {
		return fmt.Errorf("it is table or json")
	}
	*f = format(text)
	return nil
}

// Type names the flag's value in the help.
func (f *format) Type() string { return "table|json" }

// table is a result for people.
type table struct {
	head []string // none for a list of names and values
	rows [][]string
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// print prints a result: value as JSON, or the table that shows it.
func (p *program) print(value any, t table) error {
	if p.output == asJSON {
		e := json.NewEncoder(p.stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(value)
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	if t.head != nil {
		fmt.Fprintln(w, strings.Join(t.head, "\t"))
	}
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = visible(c)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(p.stdout, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// visible returns text as a terminal may show it: what people and tokens bring
// must not move the cursor, nor reorder what is read.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// page is a list as the HTTP API gives it.
type page[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
}

// stamp writes a time as JSON has it; "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(audit.TimeFormat)
}

// moment writes a time for people; "never", or another word, for none.
func moment(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format(time.RFC3339)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
