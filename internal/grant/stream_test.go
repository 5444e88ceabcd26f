package grant

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/feed"
)

// kept is a feed of ended families, whose keys are their numbers.
type kept int64

func (k kept) change(seq int64) feed.Change {
	return feed.Change{Seq: seq, Topic: feed.FamilyEnded, Key: strconv.FormatInt(seq, 10), Until: time.Unix(1<<40, 0)}
}

func (k kept) ChangesAfter(_ context.Context, seq int64, limit int) (list []feed.Change, err error) {
	for n := seq + 1; n <= int64(k) && len(list) < limit; n++ {
		list = append(list, k.change(n))
	}
	return list, nil
}

func (k kept) KeptAfter(context.Context) (int64, error) { return 100, nil }

// Whoever comes, or comes back, is told everything after what he knows once, in order,
// whether it is still in memory or not.
func TestStreamTellsAllOnce(t *testing.T) {
	const all = 3*window + 17
	s := NewStream(kept(all))
	for n := int64(1); n <= all; n++ {
		s.Apply(kept(all).change(n))
		s.Apply(kept(all).change(n)) // listeners see some twice
	}
	if n := len(s.recent); n > window {
		t.Errorf("it keeps %d", n)
	}
	for _, c := range []struct{ after, first int64 }{
		{0, 101}, {150, 151}, {all - 5000, all - 4999}, {all - 1, all}, {all, all + 1}, {all + 1000, 101},
	} {
		seq, want := c.after, c.first
		for {
			b, err := s.After(t.Context(), seq)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range b.Voids {
				if v.Seq != want || v.Key != strconv.FormatInt(want, 10) || v.Version != ForGood {
					t.Fatalf("after %d comes %+v, want %d", c.after, v, want)
				}
				want++
			}
			if seq = b.Seq; b.End {
				break
			}
		}
		if want != all+1 || seq != all {
			t.Errorf("after %d it ends before %d, at %d", c.after, want, seq)
		}
	}
	b, err := s.After(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	s.Apply(feed.Change{Seq: all + 1, Topic: feed.Groups}) // which voids nothing
	s.Apply(kept(0).change(all + 2))
	select {
	case <-b.News:
	default:
		t.Error("nobody is woken")
	}
	if b, _ = s.After(t.Context(), all); len(b.Voids) != 1 || b.Seq != all+2 {
		t.Errorf("it tells %+v", b)
	}
}
