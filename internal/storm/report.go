package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// inspect looks for what a server must never log.
func (s *storm) inspect(log string) {
	for line := range strings.Lines(log[min(s.dropped, len(log)):]) {
		for _, bad := range []string{`"level":"ERROR"`, "database is locked", "SQLITE_BUSY", "panic", "DATA RACE"} {
			if strings.Contains(line, bad) {
				s.verdict.violated("server", "it logs: %s", strings.TrimSpace(line))
				break
			}
		}
	}
}

// report prints what happened.
func (s *storm) report(w io.Writer) {
	slices.Sort(s.starts)
	fmt.Fprintf(w, "%s: %d kills (%d more while starting), %d crashes of the database, in %v\n",
		s.kind, s.sum.get("kills"), s.sum.get("kills while starting"), s.sum.get("crashes of the database"), time.Since(s.ledger.began).Round(time.Second))
	for _, what := range []string{
		"requests", "not sent", "no answer", "no answer: had its effect", "no answer: had no effect",
		"acknowledged sign-ins", "acknowledged turns", "acknowledged ends of families",
		"lost answers whose retry ended the family", "lost answers whose retry was given the same successor", "races for one token",
		"acknowledged role changes", "acknowledged status changes", "acknowledged account changes", "acknowledged commands",
		"guesses that were judged", "guesses that a lock refused", "proofs of the audit log",
		"repeated requests that were done before", "times the books were balanced",
	} {
		fmt.Fprintf(w, "  %8d %s\n", s.sum.get(what), what)
	}
	if n := len(s.starts); n > 0 {
		fmt.Fprintf(w, "  ready again: median %v, worst %v\n", s.starts[n/2].Round(time.Millisecond), s.starts[n-1].Round(time.Millisecond))
	}
	if s.books.last != nil {
		fmt.Fprintf(w, "  at the end: %v\n", s.books)
	}
	s.verdict.print(w)
}
