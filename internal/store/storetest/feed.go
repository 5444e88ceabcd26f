package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/doorward/doorward/internal/account"
	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/store"
)

// Changes is the contract of feed.Source.
func Changes(t *testing.T, s *store.Store, _ *Witness) {
	if list, err := s.ChangesAfter(t.Context(), head(t, s), 10); err != nil || len(list) != 0 {
		t.Errorf("after the head there are %+v, %v", list, err)
	}
	seq := head(t, s)
	for i := range 7 {
		k := sealedKey(fmt.Sprint("key", i), "none", int64(i+1))
		Want(t, "a change", createKey(t, s, k), 0)
	}
	if list, err := s.ChangesAfter(t.Context(), seq, 10); err != nil || len(list) != 0 {
		t.Errorf("before they are numbered, %+v are read, %v", list, err)
	}
	parallel(5, func(int) {
		if last, err := s.NumberChanges(context.WithoutCancel(t.Context())); err != nil || last != seq+7 {
			t.Errorf("numbering at once: %d, %v; want %d", last, err, seq+7)
		}
	})
	var read []feed.Change
	for page := []feed.Change{{Seq: seq}}; len(page) > 0; read = append(read, page...) {
		var err error
		if page, err = s.ChangesAfter(t.Context(), page[len(page)-1].Seq, 3); err != nil || len(page) > 3 {
			t.Fatalf("a page of %d, %v", len(page), err)
		}
	}
	for i, c := range read {
		want := feed.Change{Seq: seq + int64(i) + 1, Topic: feed.Keys, Key: fmt.Sprint("key", i), Version: int64(i + 1), At: instant, Until: c.Until}
		if c != want || !c.Until.After(instant) {
			t.Errorf("change %d is %+v, want %+v", i, c, want)
		}
	}
	if len(read) != 7 {
		t.Errorf("%d changes were read", len(read))
	}
	// What the verb's own process is told is what others read, but for the number.
	var told []feed.Change
	s.Listen(func(_ context.Context, changes []feed.Change) { told = append(told, changes...) })
	u := create(t, s, person(t, "told"))
	begin(t, s, u, instant)
	begin(t, s, u, instant)
	seq = head(t, s)
	Want(t, "deleting", s.DeleteUser(t.Context(), Operator, account.Deletion{ID: u.ID}, event(audit.UserDeleted, u.Target())), 0)
	Want(t, "a verb that is refused", s.DeleteUser(t.Context(), Operator, account.Deletion{ID: u.ID}, event(audit.UserDeleted, u.Target())), fault.NotFound)
	s.Listen(func(context.Context, []feed.Change) {})
	read = changesAfter(t, s, seq)
	for i := range read {
		read[i].Seq = 0
	}
	order := func(a, b feed.Change) int {
		return slices.Compare([]string{string(a.Topic), a.Key}, []string{string(b.Topic), b.Key})
	}
	slices.SortFunc(read, order)
	slices.SortFunc(told, order)
	if !slices.Equal(read, told) || len(told) != 4 {
		t.Errorf("told was %+v, and read is %+v", told, read)
	}
}
