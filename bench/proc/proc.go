// Package proc reads what the kernel says of a process: its processor time and
// its memory (proc_pid_stat(5), proc_pid_status(5)). It works on Linux alone.
package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc. The kernel's own clock may run faster, but
// what it tells programs is in hundredths of a second on every architecture
// that Go runs on.
const tick = 10 * time.Millisecond

// times are the processor times of a process.
type times struct {
	parent   int
	own      time.Duration // of its threads, in the program and in the kernel
	children time.Duration // of the children that have ended
}

// CPU returns how much processor time the process has used, in the program and
// in the kernel, with all its threads.
func CPU(pid int) (time.Duration, error) {
	t, err := read(pid)
	return t.own, err
}

// FamilyCPU returns how much processor time a process and its children have
// used, those that have ended too. A PostgreSQL server is such a family.
func FamilyCPU(pid int) (time.Duration, error) {
	t, err := read(pid)
	if err != nil {
		return 0, err
	}
	sum := t.own + t.children
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range all {
		child, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if t, err := read(child); err == nil && t.parent == pid { // else it has just ended
			sum += t.own
		}
	}
	return sum, nil
}

// Parent returns the parent of a process.
func Parent(pid int) (int, error) {
	t, err := read(pid)
	return t.parent, err
}

func read(pid int) (times, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return times{}, err
	}
	return parseStat(string(text))
}

// parseStat reads /proc/PID/stat. The second field is the program's name in
// parentheses, and may hold parentheses and spaces itself.
func parseStat(text string) (times, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const parent, user, system, childrenUser, childrenSystem = 1, 11, 12, 13, 14
	if len(fields) <= childrenSystem {
		return times{}, fmt.Errorf("not /proc/PID/stat: %.100q", text)
	}
	var n [childrenSystem + 1]int
	for _, i := range []int{parent, user, system, childrenUser, childrenSystem} {
		var err error
		if n[i], err = strconv.Atoi(fields[i]); err != nil {
			return times{}, fmt.Errorf("not /proc/PID/stat: %w", err)
		}
	}
	return times{
		parent: n[parent], own: time.Duration(n[user]+n[system]) * tick,
		children: time.Duration(n[childrenUser]+n[childrenSystem]) * tick,
	}, nil
}

// MachineCPU returns how much processor time all programs have used since the
// machine started, and how much it did not get from the machine that it runs on
// itself (proc_stat(5): user, nice, system, steal).
func MachineCPU() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseMachine(string(text))
}

func parseMachine(text string) (time.Duration, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	const name, user, nice, system, steal = 0, 1, 2, 3, 8
	if len(fields) <= steal || fields[name] != "cpu" {
		return 0, fmt.Errorf("not /proc/stat: %.100q", line)
	}
	ticks := 0
	for _, i := range []int{user, nice, system, steal} {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			return 0, fmt.Errorf("not /proc/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// Memory is how much of a process is in memory, in bytes.
type Memory struct{ Now, Peak int64 }

// Resident returns the memory of a process (VmRSS and VmHWM).
func Resident(pid int) (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, err
	}
	return parseStatus(string(text))
}

func parseStatus(text string) (m Memory, err error) {
	for name, into := range map[string]*int64{"VmRSS:": &m.Now, "VmHWM:": &m.Peak} {
		_, rest, found := strings.Cut(text, name)
		value, _, kilo := strings.Cut(rest, " kB\n")
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if !found || !kilo || err != nil {
			return Memory{}, fmt.Errorf("%s is not in /proc/PID/status", name)
		}
		*into = n << 10
	}
	return m, nil
}

// ForgetPeak makes the peak begin anew at what is in memory now (proc(5),
// clear_refs).
func ForgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}
