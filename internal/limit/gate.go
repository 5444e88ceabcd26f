package limit

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// gate lets few attempts of one bucket be judged at once in this process. The
// others wait: so that right passwords that come together do not use up one
// another's room, which each of them holds until it is found right.
type gate struct {
	width int

	mu    sync.Mutex
	lanes map[Key]*lane // those with somebody in them
}

type lane struct {
	slots chan struct{}
	users int
}

// most is how many wait for one bucket.
const most = 256

func newGate(width int) *gate { return &gate{width: width, lanes: map[Key]*lane{}} }

// enter waits for room while there is patience. Whoever got in calls leave, once.
func (g *gate) enter(ctx context.Context, k Key, patience <-chan time.Time) (leave func(), err error) {
	l, err := g.join(k)
	if err != nil {
		return nil, err
	}
	select { // where there is room, it does not matter who is in a hurry
	case l.slots <- struct{}{}:
		return g.leaving(k, l), nil
	default:
	}
	select {
	case l.slots <- struct{}{}:
		return g.leaving(k, l), nil
	case <-ctx.Done():
		err = fmt.Errorf("waiting for other attempts: %w", ctx.Err())
	case <-patience:
		err = limited(time.Second)
	}
	g.part(k, l)
	return nil, err
}

func (g *gate) leaving(k Key, l *lane) func() {
	return func() {
		<-l.slots
		g.part(k, l)
	}
}

func (g *gate) join(k Key) (*lane, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[k]
	if l == nil {
		l = &lane{slots: make(chan struct{}, g.width)}
		g.lanes[k] = l
	}
	if l.users == g.width+most {
		return nil, limited(time.Second)
	}
	l.users++
	return l, nil
}

func (g *gate) part(k Key, l *lane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(g.lanes, k)
	}
}
