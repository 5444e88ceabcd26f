package grant

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"sort"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/feed"
)

// Void is a mark in its place in the change feed.
type Void struct {
	Mark
	Name  string // its Digest
	Seq   int64
	Until time.Time // what it voids has expired then
}

func voidOf(m Mark, c feed.Change) Void { return Void{m, Digest(m.Kind, m.Key), c.Seq, c.Until} }

// Digest returns what a mark is called outside: who holds a token can work it out from
// the token, and nobody learns from it what was revoked.
func Digest(kind Kind, key string) string {
	sum := sha256.Sum256([]byte(kind.String() + ":" + key))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// VoidSource is where changes are kept.
type VoidSource interface {
	// ChangesAfter returns up to limit changes after seq, in order.
	ChangesAfter(ctx context.Context, seq int64, limit int) ([]feed.Change, error)
	// KeptAfter returns the number after which are all changes that are still needed.
	KeptAfter(ctx context.Context) (int64, error)
}

// Stream tells followers what makes access tokens void, in the order of the change feed.
// It keeps the newest in memory, for those that keep up; who comes or comes back is told
// the rest from the database.
type Stream struct {
	source VoidSource

	mu     sync.Mutex
	recent []Void
	first  int64 // all changes after this one are in recent
	head   int64
	news   chan struct{} // closed when something comes
	closed bool
}

// window is how many are kept in memory.
const window = 16 << 10

// NewStream returns a stream of what source keeps.
func NewStream(source VoidSource) *Stream {
	return &Stream{source: source, first: -1, news: make(chan struct{})}
}

// Apply adds a change, once it has its number.
func (s *Stream) Apply(c feed.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.Topic == feed.Gap:
		s.recent, s.first, s.head = nil, -1, 0
		return
	case c.Seq <= s.head:
		return
	case s.first < 0:
		s.first = c.Seq - 1
	}
	s.head = c.Seq
	m, ok := MarkOf(c)
	if !ok {
		return
	}
	if len(s.recent) == window {
		s.first = s.recent[window/2-1].Seq
		s.recent = append(make([]Void, 0, window), s.recent[window/2:]...)
	}
	s.recent = append(s.recent, voidOf(m, c))
	if !s.closed {
		close(s.news)
		s.news = make(chan struct{})
	}
}

// Close ends the stream for all who follow.
func (s *Stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.news)
	}
}

// Batch is a piece of the stream.
type Batch struct {
	Voids []Void
	Seq   int64           // what comes next comes after this
	End   bool            // it is all that there is now
	News  <-chan struct{} // closed when there is more
	Over  bool            // nothing will come any more
}

// mostVoids is how many a batch holds.
const mostVoids = 1000

// After returns what follows a number: of one that is not known, of this feed, all that
// is still needed.
func (s *Stream) After(ctx context.Context, seq int64) (Batch, error) {
	s.mu.Lock()
	b := Batch{Seq: s.head, News: s.news, Over: s.closed}
	known := s.first >= 0 && seq >= s.first && seq <= s.head
	if known {
		i := sort.Search(len(s.recent), func(i int) bool { return s.recent[i].Seq > seq })
		b.Voids = s.recent[i:min(len(s.recent), i+mostVoids)]
		if b.End = i+len(b.Voids) == len(s.recent); !b.End {
			b.Seq = b.Voids[len(b.Voids)-1].Seq
		}
	}
	s.mu.Unlock()
	if known || b.Seq == 0 {
		b.End = b.End || b.Seq == 0
		return b, nil
	}
	return s.older(ctx, b, seq)
}

// older is After from the database.
func (s *Stream) older(ctx context.Context, b Batch, seq int64) (Batch, error) {
	kept, err := s.source.KeptAfter(ctx)
	if err != nil {
		return b, err
	}
	if seq > b.Seq { // of another feed: the database was restored, or is another one
		seq = 0
	}
	changes, err := s.source.ChangesAfter(ctx, max(seq, kept), mostVoids)
	if err != nil {
		return b, err
	}
	if len(changes) < mostVoids {
		b.End = true
	} else {
		b.Seq = changes[len(changes)-1].Seq
	}
	for _, c := range changes {
		if m, ok := MarkOf(c); ok && c.Seq <= b.Seq {
			b.Voids = append(b.Voids, voidOf(m, c))
		}
	}
	return b, nil
}
