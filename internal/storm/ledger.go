package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// ledger is what the clients saw: every request, and what came of it. It is
// kept in the memory of the supervisor, which is never killed.
type ledger struct {
	mu    sync.Mutex
	began time.Time
	life  int // of the server: one more with every start
	lines []*line
}

// line is one request, or an event of the storm that concerns everybody.
type line struct {
	who, asked, answer string
	life               int
	from, to           time.Duration // since the storm began; to is 0 while it is under way
}

func newLedger() *ledger { return &ledger{began: time.Now()} }

// note writes down what happens to all: a start, a kill.
func (l *ledger) note(format string, args ...any) {
	x := l.ask("", fmt.Sprintf(format, args...))
	l.answered(x, "")
}

// begin writes down that the server is started once more.
func (l *ledger) begin(format string, args ...any) {
	l.mu.Lock()
	l.life++
	l.mu.Unlock()
	l.note(format, args...)
}

// ask writes down a request before it is sent.
func (l *ledger) ask(who, asked string) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := &line{who: who, asked: asked, life: l.life, from: time.Since(l.began)}
	l.lines = append(l.lines, x)
	return x
}

// answered writes down what came of a request.
func (l *ledger) answered(x *line, answer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x.answer, x.to = answer, time.Since(l.began)
}

// about returns the last lines that concern an actor, which are its own and
// those that concern all.
func (l *ledger) about(who string, most int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for i := len(l.lines) - 1; i >= 0 && len(found) < most; i-- {
		if x := l.lines[i]; x.who == who || x.who == "" {
			found = append(found, x.String())
		}
	}
	var b strings.Builder
	for i := len(found) - 1; i >= 0; i-- {
		b.WriteString(found[i] + "\n")
	}
	return b.String()
}

// String returns the line as it is printed.
func (x *line) String() string {
	const form = 10 * time.Microsecond
	if x.who == "" {
		return fmt.Sprintf("      %-11v == life %d: %s", x.from.Round(form), x.life, x.asked)
	}
	answer := x.answer
	if x.to == 0 {
		answer = "(under way)"
	}
	return fmt.Sprintf("      %-11v %-11v %s  →  %s", x.from.Round(form), x.to.Round(form), x.asked, answer)
}
