package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// The tables of a document stand between one of the first of these lines and the last.
const (
	peersBegin  = "<!-- what follows is written by go run ./bench -peers -markdown -->"
	scaleBegin  = "<!-- what follows is written by go run ./bench -scale -markdown -->"
	tablesBegin = "<!-- what follows is written by go run ./bench -markdown -->"
	tablesEnd   = "<!-- and ends here -->"
)

// writeBetween puts text between the markers of a document, of which begin is the first.
func writeBetween(path, begin, text string) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	whole, err := between(string(document), begin, text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(whole), 0o644)
}

func between(document, begin, text string) (string, error) {
	before, rest, begins := strings.Cut(document, begin+"\n")
	_, after, ends := strings.Cut(rest, tablesEnd+"\n")
	if !begins || !ends {
		return "", fmt.Errorf("the lines %q and %q are not in it", begin, tablesEnd)
	}
	return before + begin + "\n\n" + text + "\n" + tablesEnd + "\n" + after, nil
}

// figure is a row in the file that -json names.
type figure struct {
	Name     string    `json:"name"`
	Title    string    `json:"title"`
	Database string    `json:"database,omitempty"` // or whose it is, with -peers
	Accounts int       `json:"accounts"`
	Floor    string    `json:"floor,omitempty"`
	OfFloor  float64   `json:"of_floor,omitempty"`  // requests a second, to the floor's
	CPUTimes float64   `json:"cpu_times,omitempty"` // processor time, to the floor's
	Asked    []string  `json:"asked,omitempty"`
	Met      bool      `json:"met"`
	Median   measure   `json:"median"` // durations in nanoseconds
	Runs     []measure `json:"runs"`
}

func (b *bench) figures(ctx context.Context) any {
	var list []figure
	for _, r := range b.rows {
		f := figure{Name: r.subject.name, Title: r.subject.title, Database: r.database(), Accounts: b.users, Median: median(r.rounds), Runs: r.rounds}
		if r.site != nil {
			f.Accounts = r.site.users
		}
		if r.floor != nil {
			f.Floor, f.OfFloor, f.CPUTimes = r.floor.subject.name, r.ratio(rateOf), r.ratio(cpuOf)
		}
		f.Asked, f.Met = r.verdict()
		list = append(list, f)
	}
	type running struct {
		Database string          `json:"database"`
		Accounts int             `json:"accounts"`
		Starts   []time.Duration `json:"starts"` // nanoseconds
		Idle     int64           `json:"idle"`   // bytes
	}
	var processes []running
	for _, s := range b.sites {
		processes = append(processes, running{s.db, s.users, s.starts, s.idle.Now})
	}
	for _, r := range b.rivals {
		processes = append(processes, running{r.peer.name, 0, r.starts, r.idle.Now})
	}
	return map[string]any{"command": b.command, "machine": b.machine(ctx), "rows": list, "processes": processes}
}
