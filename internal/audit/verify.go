package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/fault"
)

// Head is what a log says of itself before it is read.
type Head struct {
	Origin  string
	Size    int64   // how many leaves there are
	Sizes   []int64 // those at which there are checkpoints
	Private bool    // private parts are there
	Apart   bool    // it is a copy, which others may have written in: what follows its tree excuses nothing
}

// Note is a signed checkpoint as it is kept, and the size it is kept under.
type Note struct {
	Size int64
	Text []byte
}

// Source is what Verify reads: a database, or an export. A *Problem as an error says
// what is wrong with it.
type Source interface {
	Head(context.Context) (Head, error)
	// Batches passes the first so many leaves, in pieces of any size.
	Batches(ctx context.Context, size int64) iter.Seq2[Batch, error]
	// Notes returns the checkpoints, from the smallest. It is called last.
	Notes(context.Context) ([]Note, error)
	// Tail returns the events that came after so many leaves, with or without a
	// leaf, of the two actions that excuse what is missing.
	Tail(ctx context.Context, size int64) ([]Stored, error)
}

// VerifyOptions say what a log is held against.
type VerifyOptions struct {
	// Keys are trusted to sign. So is each key that a trusted one vouches for in an
	// event: the log hands over from key to key, and never back.
	Keys  []note.Verifier
	Since []byte // a checkpoint that was kept elsewhere; nil for none
}

// Report is what Verify found.
type Report struct {
	Origin      string
	Size        int64       // leaves
	Events      int64       // those whose bytes are there
	Erased      int64       // private parts that were erased
	Checkpoints int         // that agree with the tree
	Newest      *Checkpoint // nil for a log without leaves
	Since       *Checkpoint // the one of the options
	Problem     *Problem    // nil: all is proved
}

// claims are what events say of the log itself: what may be missing, and who
// signs.
type claims struct {
	erased  map[string]erasure
	retired int64
	keys    []newKey // in the order of their leaves
}

// erasure is when a person was erased last.
type erasure struct{ leaf, time int64 }

func (c *claims) add(n int64, l Leaf) {
	if person, ok := l.Erased(); ok {
		if c.erased == nil {
			c.erased = map[string]erasure{}
		}
		was := c.erased[person]
		c.erased[person] = erasure{max(was.leaf, n), max(was.time, clock.Micro(l.time))}
	}
	if until, ok := l.retired(); ok && until <= n {
		c.retired = max(c.retired, until)
	}
	if key, ok := l.newKey(); ok {
		c.keys = append(c.keys, key)
	}
}

func (c *claims) join(o claims) {
	for person, e := range o.erased {
		if c.erased == nil {
			c.erased = map[string]erasure{}
		}
		was := c.erased[person]
		c.erased[person] = erasure{max(was.leaf, e.leaf), max(was.time, e.time)}
	}
	c.retired = max(c.retired, o.retired)
	c.keys = append(c.keys, o.keys...)
}

// erasureTakes is how much later than its event an erasure may still reach what
// others write at the same time.
const erasureTakes = time.Minute

// excuse reports whether a part may be missing: its person was erased after it
// was written.
func (c *claims) excuse(a absence) bool {
	e, ok := c.erased[a.person]
	return ok && a.person != "" && (a.Leaf <= e.leaf || a.time <= e.time+erasureTakes.Microseconds())
}

// verification is one run of Verify.
type verification struct {
	Report
	log     Source
	head    Head
	tree    Tree
	wanted  map[int64]bool // sizes whose root is to be kept
	roots   map[int64]Hash
	claims  claims
	missing []absence
	gone    []stretch
	tiles   error // the first tile that does not follow
}

// Verify proves that a log is what it was at each checkpoint that is known of it.
// The error says that it could not be read; what is wrong with it is in the
// report.
func Verify(ctx context.Context, log Source, o VerifyOptions) (Report, error) {
	v := &verification{log: log, wanted: map[int64]bool{}, roots: map[int64]Hash{}}
	err := v.run(ctx, o)
	if p, ok := errors.AsType[*Problem](err); ok {
		if err = nil; v.Problem == nil { // it is the first
			v.Problem = p
		}
	}
	return v.Report, err
}

func (v *verification) run(ctx context.Context, o VerifyOptions) (err error) {
	v.head, err = v.log.Head(ctx)
	v.Origin, v.Size = v.head.Origin, v.head.Size
	if err != nil {
		return err
	}
	if o.Since != nil {
		if err := v.since(o); err != nil {
			return err
		}
	}
	for _, size := range append(v.head.Sizes, v.head.Size) {
		v.wanted[size] = true
	}
	if err := v.scan(ctx); err != nil {
		return err
	}
	tail, err := v.log.Tail(ctx, v.Size)
	if p, ok := errors.AsType[*Problem](err); ok {
		v.blame(p)
	} else if err != nil {
		return err
	}
	return v.judge(ctx, tail, o)
}

// since reads the checkpoint that was kept elsewhere. If none of the given keys
// signed it, one may have for which the log has a voucher: see notes.
func (v *verification) since(o VerifyOptions) error {
	signed, err := OpenCheckpoint(o.Since, o.Keys)
	c := signed.Checkpoint
	if errors.Is(err, errUnknownKey) {
		c, err = ReadCheckpoint(o.Since)
	}
	if err != nil {
		return notSince(err)
	}
	if c.Origin != v.Origin {
		return &Problem{Leaf: -1, Why: fmt.Sprintf("the checkpoint that was kept elsewhere is of the log %s, and this is %.80q", c.Origin, v.Origin)}
	}
	if v.wanted[c.Size] = true; len(signed.Keys) > 0 {
		v.Since = &c
	}
	return nil
}

func notSince(err error) error {
	return fault.New(fault.Invalid, "the checkpoint that was kept elsewhere: %v", err)
}

// scan reads the whole log and builds its tree anew. Past the first problem it
// only gathers what events say that may be missing.
func (v *verification) scan(ctx context.Context) error {
	for b, err := range checked(v.log.Batches(ctx, v.Size), v.head.Private) {
		if err != nil {
			return err
		}
		v.claims.join(b.claims)
		if v.Problem != nil {
			continue
		}
		v.Problem = b.problem
		v.missing = append(v.missing, b.missing...)
		v.Events += int64(len(b.Events))
		for _, s := range b.gone {
			v.gone = lengthen(v.gone, s)
		}
		for _, hash := range b.leaves {
			v.tree.Append(hash, func(t Tile) { v.tile(ctx, t) })
			if v.wanted[v.tree.Size()] {
				v.roots[v.tree.Size()] = v.tree.Root()
			}
		}
	}
	for _, t := range v.tree.Edge() {
		v.tile(ctx, t)
	}
	return nil
}

// tile holds a tile that was built anew against the one that is kept. Those of
// the leaves themselves were held against the events already.
func (v *verification) tile(ctx context.Context, t Tile) {
	kept, ok := v.log.(Tiles)
	if !ok || t.Level == 0 || v.tiles != nil || v.Problem != nil {
		return
	}
	hashes, err := kept.AuditTile(ctx, t.Level, t.N)
	if fault.KindOf(err) == fault.NotFound {
		err = &Problem{Leaf: -1, Why: fmt.Sprintf("the tile %d/%d of the tree is not there", t.Level, t.N)}
	} else if err == nil && !bytes.HasPrefix(hashes, t.Hashes) {
		err = &Problem{Leaf: -1, Why: fmt.Sprintf("the tile %d/%d of the tree does not follow from its leaves", t.Level, t.N)}
	}
	v.tiles = err
}

// judge says what the first problem is.
func (v *verification) judge(ctx context.Context, tail []Stored, o VerifyOptions) error {
	later := &v.claims
	if v.head.Apart {
		later = &claims{}
	}
	for i := range tail {
		leaf, err := tail[i].Read()
		if err == nil {
			later.add(max(tail[i].Leaf, v.Size), leaf)
		}
	}
	for _, s := range v.gone { // in any part: they go while the log is read
		if s.to > v.claims.retired {
			v.blame(&Problem{Leaf: max(s.from, v.claims.retired), Unproved: s.to <= later.retired, Why: "the event is not there, and no event says that it was deleted when its time was over"})
			break
		}
	}
	for _, a := range v.missing {
		switch {
		case a.Leaf < v.claims.retired: // its event goes, too
		case v.claims.excuse(a):
			v.Erased++
		default:
			a.Unproved = a.Leaf < later.retired || later.excuse(a)
			v.blame(&a.Problem)
		}
	}
	if v.Problem != nil {
		return v.Problem
	}
	if v.tiles != nil {
		return v.tiles
	}
	return v.notes(ctx, o)
}

// blame notes a problem if it is the first. One that is about no single event
// hides none that is.
func (v *verification) blame(p *Problem) {
	if v.Problem == nil || p.Leaf >= 0 && (v.Problem.Leaf < 0 || p.Leaf < v.Problem.Leaf) {
		v.Problem = p
	}
}
