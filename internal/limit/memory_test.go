package limit_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/store/storetest"
)

// memory is a store for one test. It keeps the contract of the real ones.
type memory struct {
	mu      sync.Mutex
	buckets map[limit.Key]limit.Bucket
	marks   map[limit.Name]time.Time
	broken  error
}

func newMemory() *memory {
	return &memory{buckets: map[limit.Key]limit.Bucket{}, marks: map[limit.Name]time.Time{}}
}

func (m *memory) lock(ctx context.Context) (func(), error) {
	m.mu.Lock()
	return m.mu.Unlock, cmp.Or(ctx.Err(), m.broken)
}

// breaks makes every verb fail, or none.
func (m *memory) breaks(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

func (m *memory) Bucket(ctx context.Context, k limit.Key) (limit.Bucket, error) {
	unlock, err := m.lock(ctx)
	defer unlock()
	return m.buckets[k], err
}

func (m *memory) SwapBucket(ctx context.Context, k limit.Key, was int64, b limit.Bucket) (bool, error) {
	unlock, err := m.lock(ctx)
	defer unlock()
	if err != nil || m.buckets[k].Stamp != was {
		return false, err
	}
	m.buckets[k] = b
	if b == (limit.Bucket{}) {
		delete(m.buckets, k)
	}
	return true, nil
}

func (m *memory) ClearBucket(ctx context.Context, k limit.Key) error {
	unlock, err := m.lock(ctx)
	defer unlock()
	if err == nil {
		delete(m.buckets, k)
	}
	return err
}

func (m *memory) ClearBuckets(ctx context.Context, subject limit.Name) error {
	unlock, err := m.lock(ctx)
	defer unlock()
	if err == nil {
		maps.DeleteFunc(m.buckets, func(k limit.Key, _ limit.Bucket) bool { return k.Subject == subject })
	}
	return err
}

func (m *memory) Marks(ctx context.Context, names ...limit.Name) ([]time.Time, error) {
	unlock, err := m.lock(ctx)
	defer unlock()
	list := make([]time.Time, len(names))
	for i, name := range names {
		list[i] = m.marks[name]
	}
	return list, err
}

func (m *memory) PushMark(ctx context.Context, name limit.Name, p limit.Push) (time.Time, error) {
	unlock, err := m.lock(ctx)
	defer unlock()
	mark := m.marks[name]
	if mark.Before(p.Now) || mark.After(p.Horizon()) {
		mark = p.Now
	}
	if mark = mark.Add(p.Step); mark.After(p.Until) {
		mark = p.Until
	}
	if err == nil {
		m.marks[name] = mark
	}
	return mark, err
}

func (m *memory) FirstMark(ctx context.Context, name limit.Name, p limit.Span) (bool, error) {
	unlock, err := m.lock(ctx)
	defer unlock()
	mark := m.marks[name]
	passed := !mark.After(p.Now) || mark.After(p.Horizon())
	if err == nil && (passed || mark.Before(p.Until)) {
		m.marks[name] = p.Until
	}
	return passed, err
}

func TestMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Limits(t, func(testing.TB) [2]limit.Store {
		m := newMemory()
		return [2]limit.Store{m, m}
	})
}

// house is a service over a store in memory, with a clock to set.
type house struct {
	*limit.Service
	*storetest.Hands
	store *memory
}

func newHouse(o limit.Options) house {
	h := house{Hands: storetest.NewHands(), store: newMemory()}
	if o.Patience == 0 {
		o.Patience = time.Millisecond
	}
	h.Service = limit.NewService(h.store, h.Hands, slog.New(slog.DiscardHandler), o)
	return h
}

// guess makes an attempt that is wrong, and reports whether it was judged.
func (h house) guess(t testing.TB, a limit.Attempt) (limit.Verdict, bool) {
	t.Helper()
	try, err := h.Begin(t.Context(), a)
	if fault.KindOf(err) == fault.Limited {
		return limit.Verdict{}, false
	} else if err != nil {
		t.Fatal(err)
	}
	v, err := try.Failed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v, true
}

// enters makes an attempt that is right, and reports whether it was judged.
func (h house) enters(t testing.TB, a limit.Attempt) bool {
	t.Helper()
	try, err := h.Begin(t.Context(), a)
	if fault.KindOf(err) == fault.Limited {
		return false
	} else if err != nil {
		t.Fatal(err)
	}
	if err := try.Succeeded(t.Context()); err != nil {
		t.Fatal(err)
	}
	return true
}

// after returns the time to come again of a refusal.
func after(t testing.TB, err error) time.Duration {
	t.Helper()
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Kind != fault.Limited || e.Message != "too many attempts: try again later" {
		t.Fatalf("%v, want the one refusal", err)
	}
	return e.After
}
