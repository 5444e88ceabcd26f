package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// profiler is a file of package main that a profiled binary has more than the
// one that is shipped. It is put in by the build (go build -overlay), so that
// nothing in the product can be told to profile itself.
//
//go:embed profiler.go.txt
var profiler []byte

// profilerEnv tells the profiler what to write, and where: "cpu:FILE".
const profilerEnv = "BENCH_PROFILE"

// overlay writes the file that tells go build of the profiler.
func (b *bench) overlay() (string, error) {
	source := filepath.Join(b.dir, "profiler.go")
	if err := os.WriteFile(source, profiler, 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(b.root, "cmd", "doorward", "profiler.go"): source}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}

// profileMark begins a profile at the first mark of a run and ends it at the
// second, if there are to be profiles and the run is on a Doorward.
func (b *bench) profileMark(r *row, mark int) error {
	if b.profile == "" || r.work.pid != r.site.cmd.Process.Pid {
		return nil
	}
	if mark == 0 {
		return syscall.Kill(r.work.pid, syscall.SIGUSR1)
	}
	return syscall.Kill(r.work.pid, syscall.SIGUSR2)
}

// profilePath is where the profiler of a site writes to.
func (s *site) profilePath() string { return filepath.Join(s.dir, "profile") }

// keepProfile waits for the profile of a run, keeps it, and prints what costs
// most.
func (b *bench) keepProfile(ctx context.Context, r *row) error {
	if b.profile == "" || r.work.pid != r.site.cmd.Process.Pid {
		return nil
	}
	if err := os.MkdirAll(b.folder, 0o755); err != nil {
		return err
	}
	kept := filepath.Join(b.folder, fmt.Sprintf("%s-%s-%s.pprof", b.profile, r.subject.name, r.site.db))
	args := []string{"tool", "pprof", "-top", "-cum", "-nodecount=60"}
	for _, part := range []string{".base", ""} { // the base is what there was before, of what is counted from the start
		if part != "" && b.profile == "cpu" {
			continue
		}
		if err := takeOver(ctx, r.site.profilePath()+part, kept+part); err != nil {
			return err
		}
		if part != "" {
			args = append(args, "-base="+kept+part)
		}
	}
	if b.profile == "alloc" {
		args = append(args, "-sample_index=alloc_space")
	}
	out, err := exec.CommandContext(ctx, "go", append(args, kept)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go tool pprof: %w\n%s", err, out)
	}
	fmt.Fprintf(b.out, "%v: %s\n\n%s\n", r, kept, strings.TrimSpace(string(out)))
	return nil
}

// takeOver moves a file once it is there.
func takeOver(ctx context.Context, from, to string) error {
	for began := time.Now(); time.Since(began) < 10*time.Second && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		data, err := os.ReadFile(from)
		if os.IsNotExist(err) {
			continue
		} else if err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o644); err != nil {
			return err
		}
		return os.Remove(from)
	}
	return fmt.Errorf("the server wrote no profile to %s", from)
}
