package factor

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/internal/clock"
)

// niceness returns the nice value of the present thread, and how long it has
// run.
func niceness(t *testing.T) (nice int, ran time.Duration) {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
	if err != nil {
		t.Fatal(err)
	}
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &use); err != nil {
		t.Fatal(err)
	}
	return 20 - raw, time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// The work is done on the worker's own thread, which has a low priority once it
// gives way. (That
// of golang.org/x/crypto/argon2 would not be.)
func TestWorkersAreNice(t *testing.T) {
	usual, _ := niceness(t)
	d := openDoor(1, 1, 0, clock.Wall())
	defer d.close()
	if err := d.do(t.Context(), "test", func(*arena) {
		if nice, _ := niceness(t); nice != usual {
			t.Errorf("before it gives way: nice %d, want %d", nice, usual)
		}
	}); err != nil {
		t.Fatal(err)
	}
	d.giveWay()
	for _, s := range []scheme{
		{algorithm: Bcrypt, cost: 8},
		{algorithm: Argon2id, memory: 16 << 10, passes: 1, lanes: 1, tag: 32, salt: 16},
		{algorithm: Argon2id, memory: 16 << 10, passes: 1, lanes: 16, tag: 32, salt: 16},
	} {
		if err := d.do(t.Context(), "test", func(a *arena) {
			thread := unix.Gettid()
			_, before := niceness(t)
			if _, err := s.hash("password", a); err != nil {
				t.Error(err)
			}
			nice, after := niceness(t)
			if want := min(usual+nicer, 19); nice != want || unix.Gettid() != thread {
				t.Errorf("%v: nice %d, want %d; thread %d, then %d", s, nice, want, thread, unix.Gettid())
			}
			if ran := after - before; ran < 2*time.Millisecond { // 5 to 13
				t.Errorf("%v: the worker's thread ran for %v alone", s, ran)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if nice, _ := niceness(t); nice != usual {
		t.Errorf("the test's own thread has nice %d, and had %d", nice, usual)
	}
}
