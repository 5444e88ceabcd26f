package main

import (
	"fmt"
	"io"
	"sync"
)

// verdict gathers what was promised and not kept.
type verdict struct {
	ledger *ledger

	mu    sync.Mutex
	found []string
}

const (
	mostViolations = 20 // more tell nothing new
	mostLines      = 25 // of the ledger, for each
)

// violated notes a violation, with the lines of the ledger that prove it.
func (v *verdict) violated(who, format string, args ...any) {
	text := fmt.Sprintf("VIOLATED: %s: %s\n%s", who, fmt.Sprintf(format, args...), v.ledger.about(who, mostLines))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.found = append(v.found, text)
}

// stop reports whether enough was found to stop the storm.
func (v *verdict) stop() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.found) > 0
}

func (v *verdict) print(w io.Writer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, text := range v.found {
		if i == mostViolations {
			fmt.Fprintf(w, "and %d more\n", len(v.found)-i)
			break
		}
		fmt.Fprintln(w, text)
	}
}

// sums counts what happened, for the summary.
type sums struct {
	mu sync.Mutex
	of map[string]int
}

func newSums() *sums { return &sums{of: map[string]int{}} }

func (s *sums) add(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[what]++
}

func (s *sums) get(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[what]
}
