package factor

import "golang.org/x/sys/unix"

// nicer is how much lower the workers' priority is. It is not the lowest there
// is: at nice 19, with other programs on every core, a worker waited so long
// for the processor that the garbage collector, which stops every thread,
// stopped the whole server for half a second; at 10 for some 30 ms.
const nicer = 10

// lowerPriority lowers the priority of the present thread (setpriority(2): on
// Linux, of one thread, and lowering needs no privilege). Where a sandbox
// forbids it, the hashes are computed all the same.
func lowerPriority() {
	thread := unix.Gettid()
	// The system call gives 20 less the nice value, 1 to 40.
	if raw, err := unix.Getpriority(unix.PRIO_PROCESS, thread); err == nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, thread, min(20-raw+nicer, 19))
	}
}
