package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/doorward/doorward/internal/fault"
)

// The lines of an export, each a JSON object: first the header, then one for each
// leaf, then the events that came meanwhile and excuse what is missing, then the
// checkpoint.
type (
	exportHead struct {
		Version int    `json:"doorward_audit_export"`
		Origin  string `json:"origin"`
		Size    int64  `json:"size"`
		Private bool   `json:"private"`
	}
	exportLine struct {
		Leaf    *int64     `json:"leaf,omitempty"`
		Hash    *Hash      `json:"hash,omitempty"`
		Event   string     `json:"event,omitempty"` // its exact bytes; absent where its time was over
		Private []keptPart `json:"private,omitempty"`

		Later      string `json:"later,omitempty"`
		Checkpoint string `json:"checkpoint,omitempty"`
	}
)

const exportVersion = 1

// Export writes a log as JSON Lines, with the private parts if they are wanted,
// and returns how many leaves there were.
func Export(ctx context.Context, w io.Writer, log Source, private bool) (int64, error) {
	head, err := log.Head(ctx)
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriterSize(w, 1<<16)
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(exportHead{exportVersion, head.Origin, head.Size, private && head.Private}); err != nil {
		return 0, err
	}
	for b, err := range log.Batches(ctx, head.Size) {
		if err == nil && b.Load != nil {
			err = b.Load(&b)
		}
		if err == nil {
			err = exportBatch(e, &b, private && head.Private)
		}
		if err != nil {
			return 0, err
		}
	}
	return head.Size, errors.Join(exportEnd(ctx, e, log, head.Size), out.Flush())
}

func exportBatch(e *json.Encoder, b *Batch, private bool) error {
	next := 0
	for i := range b.Count {
		n := b.First + i
		line := exportLine{Leaf: &n}
		if i < int64(len(b.Hashes)) {
			line.Hash = &b.Hashes[i]
		}
		if next < len(b.Events) && b.Events[next].Leaf == n {
			event := &b.Events[next]
			next++
			line.Event = string(event.Data)
			for _, p := range event.Parts {
				if private {
					line.Private = append(line.Private, keptPart{p.Number, p.Person, p.Salt, string(p.Data)})
				}
			}
		}
		if err := e.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

func exportEnd(ctx context.Context, e *json.Encoder, log Source, size int64) error {
	tail, err := log.Tail(ctx, size)
	if err != nil {
		return err
	}
	for _, later := range tail {
		if err := e.Encode(exportLine{Later: string(later.Data)}); err != nil {
			return err
		}
	}
	notes, err := log.Notes(ctx)
	if err != nil || len(notes) == 0 {
		return err
	}
	return e.Encode(exportLine{Checkpoint: string(notes[len(notes)-1].Text)})
}

// Exported is a log that was exported. It can be read once.
type Exported struct {
	in    *bufio.Reader
	text  []byte // of the line that was read last
	lines int64
	head  Head
	later []Stored
	note  []byte
}

// maxLine bounds a line of an export.
const maxLine = 32 << 20

// NewExported returns the log of an export.
func NewExported(r io.Reader) *Exported { return &Exported{in: bufio.NewReaderSize(r, 1<<16)} }

// line reads a line strictly.
func (x *Exported) line(into any) error {
	var text []byte
	for {
		piece, err := x.in.ReadSlice('\n')
		text = append(text, piece...)
		if len(text) > maxLine {
			return x.wrong("it is too long")
		}
		if err == nil {
			break
		} else if errors.Is(err, io.EOF) && len(text) == 0 {
			return io.EOF
		} else if errors.Is(err, io.EOF) {
			return x.wrong("it is cut off")
		} else if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
	x.lines++
	x.text = text
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return x.wrong("it is not as an export has it")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return x.wrong("something follows on it")
	}
	return nil
}

// isAs reports whether the line that was read last is, byte for byte, as Export
// writes what was taken from it. Anything else could be read differently by another
// parser: a name that is there twice, or once in capitals.
func (x *Exported) isAs(taken any) bool {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	return e.Encode(taken) == nil && bytes.Equal(b.Bytes(), x.text)
}

func (x *Exported) wrong(why string) error {
	return &Problem{Leaf: -1, Why: fmt.Sprintf("line %d of the export: %s", x.lines+1, why)}
}

// Head reads the first line.
func (x *Exported) Head(context.Context) (Head, error) {
	var h exportHead
	err := x.line(&h)
	if _, bad := errors.AsType[*Problem](err); errors.Is(err, io.EOF) || bad || err == nil && (h.Version == 0 || h.Size < 0 || !x.isAs(h)) {
		return Head{}, fault.New(fault.Invalid, "it is not an export of doorward audit export")
	} else if err != nil {
		return Head{}, err
	}
	if h.Version != exportVersion {
		return Head{}, fault.New(fault.Invalid, "the export is of a later version of doorward")
	}
	x.head = Head{Origin: h.Origin, Size: h.Size, Private: h.Private, Apart: true}
	return x.head, nil
}

// How many lines are held in memory at once: so many, or fewer that are as long as
// the longest may be.
const (
	exportBatchSize  = 4096
	exportBatchBytes = maxLine
)

// Batches reads the lines of the leaves. What comes before a line that cannot be
// read is passed, too: what is wrong there comes first.
func (x *Exported) Batches(ctx context.Context, size int64) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for next := int64(0); next < size; {
			b := Batch{First: next}
			err := ctx.Err()
			for held := 0; err == nil && next < size && b.Count < exportBatchSize && held < exportBatchBytes; held += len(x.text) {
				if err = x.leaf(&b, next); err == nil {
					b.Count++
					next++
				}
			}
			if !yield(b, nil) {
				return
			}
			if err != nil {
				yield(Batch{}, err)
				return
			}
		}
	}
}

func (x *Exported) leaf(b *Batch, n int64) error {
	var l exportLine
	err := x.line(&l)
	switch {
	case errors.Is(err, io.EOF):
		return &Problem{Leaf: n, Why: "the export ends here, before its checkpoint"}
	case err != nil:
		return err
	case l.Leaf == nil || l.Hash == nil:
		return &Problem{Leaf: n, Why: fmt.Sprintf("line %d of the export, which is to be that of this leaf, is another", x.lines)}
	case *l.Leaf != n:
		return &Problem{Leaf: n, Why: fmt.Sprintf("in its place the export has leaf %d", *l.Leaf)}
	case len(l.Private) > 0 && (l.Event == "" || !x.head.Private):
		return &Problem{Leaf: n, Why: "the export has private parts that nothing is held against"}
	case !x.isAs(exportLine{Leaf: l.Leaf, Hash: l.Hash, Event: l.Event, Private: l.Private}):
		return &Problem{Leaf: n, Why: fmt.Sprintf("line %d of the export is not written as an export has it: others may read it differently", x.lines)}
	}
	b.Hashes = append(b.Hashes, *l.Hash)
	if l.Event == "" {
		return nil
	}
	e := Stored{Leaf: n, Data: []byte(l.Event)}
	for _, p := range l.Private {
		e.Parts = append(e.Parts, StoredPart{p.Part, Private{p.Person, p.Salt, []byte(p.Data)}})
	}
	b.Events = append(b.Events, e)
	return nil
}

// Tail reads what follows the leaves, to the end.
func (x *Exported) Tail(context.Context, int64) ([]Stored, error) {
	for {
		var l exportLine
		err := x.line(&l)
		if errors.Is(err, io.EOF) {
			if x.note == nil && x.head.Size > 0 {
				return nil, &Problem{Leaf: x.head.Size - 1, Why: "the export ends here, before its checkpoint"}
			}
			return x.later, nil
		}
		switch {
		case err != nil:
			return nil, err
		case x.note != nil || l.Leaf != nil:
			return nil, x.wrong("something follows where the export should end")
		case !x.isAs(exportLine{Later: l.Later, Checkpoint: l.Checkpoint}), l.Later != "" && l.Checkpoint != "":
			return nil, &Problem{Leaf: -1, Why: fmt.Sprintf("line %d of the export is not written as an export has it", x.lines)}
		case l.Checkpoint != "":
			x.note = []byte(l.Checkpoint)
		default:
			x.later = append(x.later, Stored{Leaf: -1, Data: []byte(l.Later)})
		}
	}
}

// Notes returns the checkpoint of the last line.
func (x *Exported) Notes(context.Context) ([]Note, error) {
	if x.note == nil {
		return nil, nil
	}
	return []Note{{x.head.Size, x.note}}, nil
}

// Erasures returns whom the log says to have erased, from an export or from the
// lines of a sink: JSON Lines with an event, as an object or as its bytes.
func Erasures(r io.Reader) (persons []string, err error) {
	seen := map[string]bool{}
	err = NewExported(r).each(func(line keptLine) {
		var text string
		data := []byte(line.Event)
		if json.Unmarshal(line.Event, &text) == nil {
			data = []byte(text)
		}
		for _, d := range [][]byte{data, line.Bytes, []byte(line.Later)} {
			var l Leaf
			if json.Unmarshal(d, &l) != nil {
				continue // a line of another kind
			}
			if person, ok := l.Erased(); ok && !seen[person] {
				seen[person] = true
				persons = append(persons, person)
			}
		}
	})
	return persons, err
}

// LastCheckpoint returns the signed note of a file: the file itself, or the last
// one in an export or in the lines of a sink.
func LastCheckpoint(r io.Reader) (note []byte, err error) {
	x := NewExported(r)
	if begin, err := x.in.Peek(1); err == nil && begin[0] != '{' {
		return io.ReadAll(io.LimitReader(x.in, maxCheckpoint+1))
	}
	err = x.each(func(line keptLine) {
		if line.Checkpoint != "" {
			note = []byte(line.Checkpoint)
		}
	})
	if err == nil && note == nil {
		err = fault.New(fault.Invalid, "there is no checkpoint in the file")
	}
	return note, err
}

// keptLine is a line of an export or a sink.
type keptLine struct {
	Event      json.RawMessage `json:"event"`
	Bytes      []byte          `json:"bytes"`
	Later      string          `json:"later"`
	Checkpoint string          `json:"checkpoint"`
}

// each reads the lines that are JSON objects of this form, and passes by others.
func (x *Exported) each(f func(keptLine)) error {
	for {
		var raw json.RawMessage
		err := x.line(&raw)
		if errors.Is(err, io.EOF) {
			return nil
		} else if p, ok := errors.AsType[*Problem](err); ok {
			return fault.New(fault.Invalid, "%s", p.Why)
		} else if err != nil {
			return err
		}
		var l keptLine
		if json.Unmarshal(raw, &l) == nil {
			f(l)
		}
	}
}
