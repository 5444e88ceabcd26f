package feed_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/feed"
)

// at puts changes under the numbers that they have in a table of which parts are
// thrown away, and the head where it is.
func (s *source) at(head int64, numbers ...int64) {
	s.changes, s.head = nil, head
	for _, n := range numbers {
		s.changes = append(s.changes, feed.Change{Seq: n, Topic: feed.Account})
	}
}

// Whether changes were missed follows from their numbers, not from a clock: that
// of a machine that was suspended stood still while others threw changes away.
func TestAttackGapOfASuspendedMachine(t *testing.T) {
	for _, tt := range []struct {
		name    string
		head    int64
		numbers []int64
		want    string
	}{
		{"one is missing", 7, []int64{7}, "gap account#7"},
		{"many are missing", 901, []int64{901}, "gap account#901"},
		{"missing behind what is there", 9, []int64{6, 9}, "account#6 gap account#9"},
		{"missing twice", 12, []int64{6, 9, 12}, "account#6 gap account#9 gap account#12"},
		{"missing at the end", 9, []int64{6, 7}, "account#6 account#7 gap"},
		{"all are missing", 900, nil, "gap"},
		{"numbered since the head was read", 6, []int64{6, 7}, "account#6 account#7"},
		{"nothing new", 5, []int64{5}, ""},
		{"what was read is gone", 5, nil, ""},
	} {
		synctest.Test(t, func(t *testing.T) { // in which no time passes
			s := &source{}
			s.at(5, 5)
			f, r, _ := start(t, s)
			r.expect(t, tt.name+", at the start", "account#5")
			s.at(tt.head, tt.numbers...)
			for range 2 { // it is told once
				if err := f.Poll(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.head = max(s.head, slices.Max(append(tt.numbers, 0)))
			}
			r.expect(t, tt.name, tt.want)
			if age := f.Age(); age != 0 {
				t.Errorf("%s: it was read to its end, and its age is %v", tt.name, age)
			}
		})
	}
}

// However long nobody polled, what is all there has no gap.
func TestNoGapWhereNothingIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		f, r, _ := start(t, s)
		s.at(5000)
		var want []string
		for n := range int64(5000) {
			s.changes = append(s.changes, feed.Change{Seq: n + 1, Topic: feed.Account})
			want = append(want, fmt.Sprintf("account#%d", n+1))
		}
		time.Sleep(24 * time.Hour)
		if err := f.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.expect(t, "after a day", strings.Join(want, " "))
	})
}

// One that has only started keeps nothing that a change could have made untrue:
// whatever is missing before its first poll is not missed.
func TestNoGapAtTheFirstPoll(t *testing.T) {
	for name, tt := range map[string]struct {
		head    int64
		numbers []int64
		want    string
	}{
		"an old database": {901, []int64{900, 901}, "account#900 account#901"},
		"with holes":      {901, []int64{3, 7, 900}, "account#3 account#7 account#900"},
		"all is gone":     {901, nil, ""},
	} {
		s := &source{}
		s.at(tt.head, tt.numbers...)
		f, r, _ := start(t, s)
		r.expect(t, name, tt.want)
		s.at(tt.head+1, tt.head+1)
		if err := f.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.expect(t, name+", the next one", fmt.Sprintf("account#%d", tt.head+1))
	}
}
