package proc

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " S 17 1 1 0 -1 4194560 1 2 3 4 150 50 700 300 20 0 9 0 100 200 300"
	for _, tt := range []struct {
		text string
		ok   bool
	}{
		{"42 (doorward)" + rest, true},
		{"42 (tricky) R 9 (name)" + rest, true},
		{"42 (tricky) S 1 1 1)" + rest, true},
		{"", false},
		{"42 (doorward)", false},
		{"42 (doorward) S 17 1 1", false},
		{"42 (doorward) S 17 1 1 0 -1 4194560 1 2 3 4 x 50 700 300 20", false},
	} {
		got, err := parseStat(tt.text)
		if (err == nil) != tt.ok {
			t.Errorf("%q: %v", tt.text, err)
		}
		if want := (times{parent: 17, own: 2 * time.Second, children: 10 * time.Second}); tt.ok && got != want {
			t.Errorf("%q: %+v", tt.text, got)
		}
	}
}

func TestParseStatus(t *testing.T) {
	got, err := parseStatus("Name:\tdoorward\nVmHWM:\t   30000 kB\nVmRSS:\t   20000 kB\n")
	if err != nil || got != (Memory{Now: 20000 << 10, Peak: 30000 << 10}) {
		t.Errorf("%+v %v", got, err)
	}
	for _, text := range []string{"", "Name:\tzombie\n", "VmRSS:\t20 kB\n", "VmHWM:\t1 kB\nVmRSS:\tmuch kB\n", "VmHWM:\t1 kB\nVmRSS:\t2"} {
		if got, err := parseStatus(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestParseMachine(t *testing.T) {
	got, err := parseMachine("cpu  100 10 30 9999 5 6 7 60 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
	if err != nil || got != 2*time.Second {
		t.Errorf("%v %v", got, err)
	}
	for _, text := range []string{"", "cpu0 100 10 30 9999 5 6 7 60 0 0\n", "cpu 1 2 3\n", "cpu 100 10 x 9999 5 6 7 60 0 0\n"} {
		if got, err := parseMachine(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	after := before
	for start := time.Now(); after-before < 50*time.Millisecond && time.Since(start) < 30*time.Second; { // others may have the processors
		_ = make([]byte, 1024)
		if after, err = CPU(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	if after-before < 50*time.Millisecond || after-before > 10*time.Second {
		t.Errorf("%v were used", after-before)
	}
	if machine, err := MachineCPU(); err != nil || machine < after {
		t.Errorf("the machine used %v, this process alone %v: %v", machine, after, err)
	}
	if family, err := FamilyCPU(os.Getpid()); err != nil || family < after {
		t.Errorf("the family used %v, this process alone %v: %v", family, after, err)
	}
	if m, err := Resident(os.Getpid()); err != nil || m.Now < 1<<20 || m.Peak < m.Now {
		t.Errorf("%+v %v", m, err)
	}
	if parent, err := Parent(os.Getpid()); err != nil || parent != os.Getppid() {
		t.Errorf("the parent is %d: %v", parent, err)
	}
	if _, err := CPU(1 << 30); err == nil {
		t.Error("a process that is not there used time")
	}
}
