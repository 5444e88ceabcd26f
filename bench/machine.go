package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// loadAverage is how busy the machine was before the benchmark began, as the
// kernel counts (proc_loadavg(5)): the mean over a minute of what ran or wanted
// to.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// machine describes what the figures were taken on.
func (b *bench) machine(ctx context.Context) []string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	lines := []string{
		runtime.GOOS + "/" + runtime.GOARCH + ", kernel " + strings.TrimSpace(string(kernel)),
		plural(runtime.NumCPU(), "core") + named(", ", cpuModel()),
		runtime.Version(),
	}
	if b.pgName != "" {
		lines = append(lines, "PostgreSQL "+b.pgName+", fsync on")
	}
	if commit, err := exec.CommandContext(ctx, "git", "-C", b.root, "describe", "--always", "--dirty").Output(); err == nil {
		lines = append(lines, "commit "+strings.TrimSpace(string(commit)))
	}
	return append(lines, b.started.UTC().Format("2006-01-02 15:04")+" UTC", "load average before: "+b.load)
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func named(before, name string) string {
	if name == "" {
		return ""
	}
	return before + name
}
