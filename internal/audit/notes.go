package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/note"
)

// notes holds the tree against its checkpoints, from the smallest: the first that
// does not agree bounds where the log was altered.
func (v *verification) notes(ctx context.Context, o VerifyOptions) error {
	notes, err := v.log.Notes(ctx)
	if err != nil {
		return err
	}
	keys := trusting(o.Keys, v.claims.keys, v.Origin)
	if o.Since != nil {
		since, err := OpenCheckpoint(o.Since, keys)
		if err != nil {
			return notSince(err)
		}
		v.Since = &since.Checkpoint
	}
	opened, err := openAll(notes, keys)
	if err != nil {
		return err
	}
	if v.Since != nil {
		opened = append(opened, *v.Since)
		slices.SortStableFunc(opened, func(a, b Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	}
	proved := int64(0)
	for _, c := range opened {
		if p := v.agrees(c, proved); p != nil {
			return p
		}
		proved = c.Size
		v.Checkpoints++
		v.Newest = &c
	}
	if v.Size > 0 && proved != v.Size {
		return &Problem{Leaf: proved, Why: fmt.Sprintf("no checkpoint covers the events from here on: the newest is of %d leaves, and there are %d", proved, v.Size)}
	}
	return nil
}

// agrees holds the tree against a checkpoint; proved is the size of the one
// before.
func (v *verification) agrees(c Checkpoint, proved int64) *Problem {
	switch root, ok := v.roots[c.Size]; {
	case c.Origin != v.Origin:
		return &Problem{Leaf: -1, Why: fmt.Sprintf("the checkpoint of %d leaves is of the log %.80q", c.Size, c.Origin)}
	case c.Size > v.Size:
		return &Problem{Leaf: v.Size, Why: fmt.Sprintf("the log ends here, and a checkpoint says that it had %d leaves: the last were dropped", c.Size)}
	case c.Size > 0 && (!ok || root != c.Root):
		return &Problem{Leaf: proved, Why: fmt.Sprintf("the tree of %d leaves is not that of its checkpoint: one of the events from leaf %d to %d was altered, dropped or put there, and the tree with it", c.Size, proved, c.Size-1)}
	}
	return nil
}

// openAll verifies the signatures of checkpoints, on all processors.
func openAll(notes []Note, keys []note.Verifier) ([]Checkpoint, error) {
	opened, errs := make([]Checkpoint, len(notes)), make([]error, len(notes))
	var work sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		work.Go(func() {
			for i := w; i < len(notes); i += workers {
				signed, err := OpenCheckpoint(notes[i].Text, keys)
				if err == nil && signed.Size != notes[i].Size {
					err = fmt.Errorf("it is of %d leaves", signed.Size)
				}
				if err != nil {
					errs[i] = &Problem{Leaf: -1, UnknownKey: errors.Is(err, errUnknownKey), Why: fmt.Sprintf("the checkpoint of %d leaves: %v", notes[i].Size, err)}
				}
				opened[i] = signed.Checkpoint
			}
		})
	}
	work.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return opened, nil
}
