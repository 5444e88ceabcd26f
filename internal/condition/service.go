package condition

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/principal"
)

// Store is what this package needs to have kept for it. Each verb that writes holds
// in its transaction that whoever asks holds everything: a policy may bring about any
// permission, and take any.
type Store interface {
	Conditions(context.Context) ([]Condition, error)
	// CreateCondition returns a Conflict for a name that is taken, and where there are
	// as many as there may be.
	CreateCondition(ctx context.Context, by principal.Principal, c Condition, e audit.Event) error
	// ReplaceCondition writes c if its version is still c.Version (0 for any), or
	// returns a Stale fault; NotFound if there is none. It returns what it wrote.
	ReplaceCondition(ctx context.Context, by principal.Principal, c Condition, e audit.Event) (Condition, error)
	DeleteCondition(ctx context.Context, by principal.Principal, name string, version int64, e audit.Event) error
}

// Service keeps conditions, and what this process knows of them. It follows the change
// feed.
type Service struct {
	store  Store
	clock  clock.Clock
	set    atomic.Pointer[Set]
	reload sync.Mutex
}

// NewService returns a service over a store; Load makes it ready.
func NewService(store Store, c clock.Clock) *Service {
	s := &Service{store: store, clock: c}
	s.set.Store(NewSet(nil))
	return s
}

// Load reads all conditions.
func (s *Service) Load(ctx context.Context) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	list, err := s.store.Conditions(ctx)
	if err != nil {
		return err
	}
	s.set.Store(NewSet(list))
	return nil
}

// Apply follows a change. The error is of reading the conditions again, and what was
// known stays in use.
func (s *Service) Apply(ctx context.Context, c feed.Change) error {
	if c.Topic == feed.Condition || c.Topic == feed.Gap {
		return s.Load(ctx)
	}
	return nil
}

// Set returns all conditions as this process knows them: at most a second old.
func (s *Service) Set() *Set { return s.set.Load() }

// Create makes a condition. Faults: Invalid with the field; Conflict for a name that is
// taken, and where there are 200 already; Denied to whoever does not hold everything.
func (s *Service) Create(ctx context.Context, by principal.Principal, c Condition) (Condition, error) {
	if err := c.check(); err != nil {
		return Condition{}, err
	}
	now := s.clock.Now()
	c.CreatedAt, c.UpdatedAt, c.Version = now, now, 1
	return c, s.store.CreateCondition(ctx, by, c, audit.Now(by, now, audit.ConditionCreated, c.Target()))
}

// Replace gives a condition another content. c.Version is the version that the caller
// read, or 0 for any.
func (s *Service) Replace(ctx context.Context, by principal.Principal, c Condition) (Condition, error) {
	if err := c.check(); err != nil {
		return Condition{}, err
	}
	c.UpdatedAt = s.clock.Now()
	return s.store.ReplaceCondition(ctx, by, c, audit.Now(by, c.UpdatedAt, audit.ConditionUpdated, c.Target()))
}

// Delete deletes a condition: what it forbade is forbidden no more.
func (s *Service) Delete(ctx context.Context, by principal.Principal, name string, version int64) error {
	if !names.MatchString(name) {
		return Absent()
	}
	return s.store.DeleteCondition(ctx, by, name, version, audit.Now(by, s.clock.Now(), audit.ConditionDeleted, "condition:"+name))
}

// Absent is the fault of a condition that is not there.
func Absent() error { return fault.New(fault.NotFound, "there is no such condition") }
