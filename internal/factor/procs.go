package factor

import (
	"runtime"
	"sync"
)

// procs is how much the open doors of this process have added to GOMAXPROCS,
// which itself belongs to the process.
var procs struct {
	sync.Mutex
	added int
}

// addProcs raises GOMAXPROCS by n, or lowers it by -n.
func addProcs(n int) {
	procs.Lock()
	defer procs.Unlock()
	procs.added += n
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
}

// cores is how many processors the program may use, in a container too, without
// what doors have added.
func cores() int {
	procs.Lock()
	defer procs.Unlock()
	return max(runtime.GOMAXPROCS(0)-procs.added, 1)
}
