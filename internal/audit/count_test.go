package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// flush returns what is gathered, by credential.
func flush(t *testing.T, c *Counter) map[string]int64 {
	t.Helper()
	got := map[string]int64{}
	err := c.Flush(t.Context(), func(_ context.Context, list []Count) error {
		for _, n := range list {
			if n.Times < 1 || n.Minute.Second() != 0 {
				t.Errorf("a count of %+v", n)
			}
			got[n.Credential] += n.Times
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestCounterGathers(t *testing.T) {
	c := NewCounter()
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for i := range 100 {
				c.Add(at.Add(time.Duration(i)*time.Millisecond), fmt.Sprint(i%4), "GET /users/me", Success)
			}
		})
	}
	wait.Wait()
	got := flush(t, c)
	for i := range 4 {
		if got[fmt.Sprint(i)] != 200 {
			t.Errorf("credential %d was counted %d times, want 200", i, got[fmt.Sprint(i)])
		}
	}
	if again := flush(t, c); len(again) > 0 {
		t.Errorf("counted twice: %v", again)
	}
}

// A flush that fails loses nothing.
func TestCounterKeepsWhatWasNotKept(t *testing.T) {
	c := NewCounter()
	c.Add(at, "a", "x", Success)
	away := errors.New("away")
	if err := c.Flush(t.Context(), func(context.Context, []Count) error { c.Add(at, "a", "x", Success); return away }); !errors.Is(err, away) {
		t.Fatal(err)
	}
	if got := flush(t, c); got["a"] != 2 {
		t.Errorf("after a failure there are %v", got)
	}
}

// However many credentials there are, what waits is bounded; past the bound it is
// forgotten who it was, not that it was.
func TestCounterIsBounded(t *testing.T) {
	c := NewCounter()
	add := func(from, n int) {
		for i := range n {
			c.Add(at, fmt.Sprint(from+i), "x", Success)
		}
	}
	total := func(got map[string]int64) (n int64) {
		for _, times := range got {
			n += times
		}
		return n
	}
	add(0, most+500)
	c.Add(at, "0", "x", Success) // one that is there is still counted by name
	err := c.Flush(t.Context(), func(_ context.Context, list []Count) error {
		if len(list) > most+1 {
			t.Errorf("%d counts wait", len(list))
		}
		add(most, most) // others come meanwhile
		return errors.New("away")
	})
	if err == nil {
		t.Fatal("the failure was not told")
	}
	got := flush(t, c)
	if len(got) > most+1 {
		t.Errorf("%d counts waited", len(got))
	}
	if n := total(got); n != 2*most+501 {
		t.Errorf("%d reads are counted, want %d", n, 2*most+501)
	}
}
