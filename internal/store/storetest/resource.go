package storetest

import (
	"context"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/resource"
	"github.com/doorward/doorward/internal/store"
)

// Resources is the contract of resource.Store.
func Resources(t *testing.T, s *store.Store, w *Witness) {
	t.Run("as written", func(t *testing.T) { resourcesAsWritten(t, s) })
	t.Run("refused", func(t *testing.T) { resourcesRefused(t, s, w) })
	t.Run("pages", func(t *testing.T) { resourcePages(t, s) })
	t.Run("told", func(t *testing.T) { resourcesTold(t, s, w) })
	t.Run("kept for long", func(t *testing.T) { resourcesKept(t, s) })
	t.Run("at once", func(t *testing.T) { resourcesAtOnce(t, s, w) })
}

// api returns an API with every field set.
func api(name string, permissions ...string) resource.Resource {
	r := resource.Resource{
		ID: name, Identifier: "https://" + name + ".example/a?b", Name: "Ann’s “" + name + "”", AccessTTL: 2 * time.Minute, Alg: jose.PS256,
		Permissions: []resource.Permission{}, CreatedAt: instant, UpdatedAt: instant, Version: 1,
	}
	for _, p := range permissions {
		r.Permissions = append(r.Permissions, resource.Permission{Name: p, Description: "What “" + p + "” does"})
	}
	return r
}

func createResource(t testing.TB, s *store.Store, r resource.Resource) error {
	return s.CreateResource(context.WithoutCancel(t.Context()), Operator, r, event(audit.ResourceCreated, r.Target()))
}

func updateResource(t testing.TB, s *store.Store, r resource.Resource) error {
	_, err := s.UpdateResource(context.WithoutCancel(t.Context()), Operator, r, event(audit.ResourceUpdated, r.Target()))
	return err
}

func deleteResource(t testing.TB, s *store.Store, id string, version int64) error {
	return s.DeleteResource(context.WithoutCancel(t.Context()), Operator, id, version, event(audit.ResourceDeleted, "resource:"+id))
}

func resourcesAsWritten(t *testing.T, s *store.Store) {
	r := api("written", "a", "b:c")
	Want(t, "registering", createResource(t, s, r), 0)
	_, r.Policy = versions(t, s)
	if got, err := s.Resource(t.Context(), r.ID); err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("kept is %+v, %v; want %+v", got, err, r)
	}
	r.Name, r.AccessTTL, r.Alg, r.Permissions, r.UpdatedAt = "", 0, "", []resource.Permission{}, instant.Add(time.Hour)
	got, err := s.UpdateResource(t.Context(), Operator, r, event(audit.ResourceUpdated, r.Target()))
	r.Version++
	_, r.Policy = versions(t, s)
	if kept, _ := s.ResourceByIdentifier(t.Context(), r.Identifier); err != nil || !reflect.DeepEqual(got, r) || !reflect.DeepEqual(kept, r) {
		t.Errorf("UpdateResource = %+v, %v, and kept is %+v; want %+v", got, err, kept, r)
	}
	Want(t, "deleting", deleteResource(t, s, r.ID, 2), 0)
	_, err = s.Resource(t.Context(), r.ID)
	Want(t, "then", err, fault.NotFound)
	_, err = s.ResourceByIdentifier(t.Context(), r.Identifier)
	Want(t, "then, by its identifier", err, fault.NotFound)
}

func resourcesRefused(t *testing.T, s *store.Store, w *Witness) {
	one, two := api("first"), api("second")
	Want(t, "the first", createResource(t, s, one), 0)
	Want(t, "the second", createResource(t, s, two), 0)
	before := w.Dump(t)
	same, other := api("third"), api("first")
	same.Identifier, other.Identifier = one.Identifier, "urn:other"
	for field, r := range map[string]resource.Resource{"identifier": same, "id": other} {
		err := createResource(t, s, r)
		if f, ok := asFault(err); !ok || f.Kind != fault.Conflict || f.Field != field {
			t.Errorf("the same %s: %v", field, err)
		}
	}
	stale := one
	stale.Version = 7
	Want(t, "a stale change", updateResource(t, s, stale), fault.Stale)
	Want(t, "a stale deletion", deleteResource(t, s, one.ID, 7), fault.Stale)
	for _, id := range []string{"nosuch", "", "a\x00b", "\xff"} {
		_, err := s.Resource(t.Context(), id)
		Want(t, "reading "+id, err, fault.NotFound)
		_, err = s.ResourceByIdentifier(t.Context(), id)
		Want(t, "reading by "+id, err, fault.NotFound)
		Want(t, "changing "+id, updateResource(t, s, resource.Resource{ID: id, Version: 1}), fault.NotFound)
		Want(t, "deleting "+id, deleteResource(t, s, id, 0), fault.NotFound)
	}
	if differs := w.Dump(t).Since(before); len(differs) > 0 {
		t.Errorf("what was refused left %q", differs)
	}
}

func resourcePages(t *testing.T, s *store.Store) {
	for _, name := range []string{"page-c", "page-a", "page-b"} {
		Want(t, name, createResource(t, s, api(name)), 0)
	}
	var got []string
	for after := "page-"; ; {
		page, err := s.Resources(t.Context(), after, 2)
		if err != nil || len(page) > 2 {
			t.Fatalf("%d on a page of 2: %v", len(page), err)
		}
		if len(page) == 0 || page[0].ID > "page-z" {
			break
		}
		for _, r := range page {
			got, after = append(got, r.ID), r.ID
		}
	}
	if want := []string{"page-a", "page-b", "page-c"}; !slices.Equal(got[:min(3, len(got))], want) {
		t.Errorf("the pages hold %q, want %q", got, want)
	}
}

// resourcesTold holds which changes tell of which verbs, each with one event, under
// the version of the policy that the change took.
func resourcesTold(t *testing.T, s *store.Store, w *Witness) {
	r := api("told", "a", "b")
	change := func(f func()) func() error {
		return func() error { f(); err := updateResource(t, s, r); r.Version++; return err }
	}
	changed, narrows := "resource "+r.Identifier, "resource-narrows "+r.Identifier
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"registering", func() error { return createResource(t, s, r) }, []string{changed}},
		{"another name", change(func() { r.Name, r.Alg, r.AccessTTL = "x", "", time.Minute }), []string{changed}},
		{"another description", change(func() { r.Permissions = api("x", "a", "b").Permissions; r.Permissions[0].Description = "" }), []string{changed}},
		{"more permissions", change(func() { r.Permissions = api("x", "a", "b", "c").Permissions }), []string{changed}},
		{"fewer permissions", change(func() { r.Permissions = api("x", "a", "c").Permissions }), []string{changed, narrows}},
		{"others", change(func() { r.Permissions = api("x", "a", "b").Permissions }), []string{changed, narrows}},
		{"deleting", func() error { return deleteResource(t, s, r.ID, r.Version) }, []string{changed, narrows}},
	} {
		seq, events := head(t, s), w.events(t)
		_, before := versions(t, s)
		Want(t, step.name, step.do(), 0)
		_, policy := versions(t, s)
		if got := topics(t, s, seq); !slices.Equal(got, step.want) || policy != before+1 {
			t.Errorf("%s told %q, want %q, and took version %d after %d", step.name, got, step.want, policy, before)
		}
		if n := w.events(t) - events; n != 1 {
			t.Errorf("%s wrote %d events", step.name, n)
		}
		for _, told := range changesAfter(t, s, seq) {
			if told.Version != policy {
				t.Errorf("%s: %s is told under version %d, want %d", step.name, told.Topic, told.Version, policy)
			}
		}
	}
}

// Changes, and keys, are kept for as long as tokens live from the transaction on that
// says so; nothing shortens that again.
func resourcesKept(t *testing.T, s *store.Store) {
	r := api("long")
	r.AccessTTL = 20 * time.Hour
	before, err := s.LongestToken(t.Context())
	if err != nil || before >= r.AccessTTL {
		t.Fatalf("it is %s, %v", before, err)
	}
	seq := head(t, s)
	Want(t, "registering", createResource(t, s, r), 0)
	if got, want := topics(t, s, seq), []string{"keys ", "resource " + r.Identifier}; !slices.Equal(got, want) {
		t.Errorf("told is %q, want %q", got, want)
	}
	for _, told := range changesAfter(t, s, seq) {
		if told.Until.Sub(told.At) < r.AccessTTL+time.Minute {
			t.Errorf("%s is kept for %s", told.Topic, told.Until.Sub(told.At))
		}
	}
	Want(t, "deleting", deleteResource(t, s, r.ID, 0), 0)
	if kept, err := s.LongestToken(t.Context()); err != nil || kept != r.AccessTTL+time.Minute {
		t.Errorf("it is %s, %v", kept, err)
	}
}

// Of many who change a version one does, and of many who register one identifier; each
// that does leaves one event.
func resourcesAtOnce(t *testing.T, s *store.Store, w *Witness) {
	contended := api("contended", "a")
	Want(t, "registering", createResource(t, s, contended), 0)
	names := []string{"wanted-0", "wanted-1", "wanted-2", "wanted-3", "wanted-4", "wanted-5"}
	for what, do := range map[string]func(i int) error{
		"registering": func(i int) error {
			r := api(names[i])
			r.Identifier = "urn:wanted"
			return createResource(t, s, r)
		},
		"changing": func(int) error { return updateResource(t, s, contended) },
	} {
		var done atomic.Int64
		events := w.events(t)
		parallel(len(names), func(i int) {
			switch err := do(i); fault.KindOf(err) {
			case fault.Stale, fault.Conflict:
			default:
				Want(t, what, err, 0)
				done.Add(1)
			}
		})
		if n := w.events(t) - events; done.Load() != 1 || n != 1 {
			t.Errorf("%s: of many at once %d were done, with %d events", what, done.Load(), n)
		}
	}
}
