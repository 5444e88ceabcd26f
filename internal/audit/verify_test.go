package audit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
)

const logName = "auth.example.com/audit"

// signer makes a key of checkpoints; the same number is the same key.
func signer(t testing.TB, n byte) Signer {
	t.Helper()
	s, err := NewSigner(logName, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// memory is a log in memory.
type memory struct {
	t      testing.TB
	tree   Tree
	hashes []Hash
	events []Stored
	kept   []Note
}

// add appends n events.
func (m *memory) add(n int) *memory { return m.put(n, nil, nil) }

// tell appends an event that tells of a key for which another vouches.
func (m *memory) tell(of Signer, by *Signer) *memory { return m.put(1, &of, by) }

func (m *memory) put(n int, tells, by *Signer) *memory {
	m.t.Helper()
	for range n {
		at := time.Date(2026, 3, 1, 12, 0, len(m.events), 0, time.UTC)
		e := Now(principal.Principal{Kind: principal.User, ID: "ann", Origin: principal.Origin{Address: "192.0.2.7"}}, at, TokenRefreshed, fmt.Sprint("family:", len(m.events)))
		if tells != nil {
			var before crypto.Signer
			if by != nil {
				before = by.key
			}
			var err error
			if e, err = Now(principal.Principal{Kind: principal.CLI, ID: "ops"}, at, AuditKeyCreated, "audit-key:x").Introducing(tells.key.Public(), before); err != nil {
				m.t.Fatal(err)
			}
		}
		r := e.Record()
		s := Stored{Leaf: int64(len(m.events)), Data: r.Public}
		for i, p := range r.Private {
			s.Parts = append(s.Parts, StoredPart{i, p})
		}
		m.events, m.hashes = append(m.events, s), append(m.hashes, LeafHash(r.Public))
		m.tree.Append(LeafHash(r.Public), func(Tile) {})
	}
	return m
}

// sign makes a checkpoint of what there is.
func (m *memory) sign(by ...note.Signer) *memory {
	m.t.Helper()
	text, err := Checkpoint{logName, m.tree.Size(), m.tree.Root()}.Sign(by...)
	if err != nil {
		m.t.Fatal(err)
	}
	m.kept = append(m.kept, Note{m.tree.Size(), text})
	return m
}

func (m *memory) Head(context.Context) (Head, error) {
	h := Head{Origin: logName, Size: m.kept[len(m.kept)-1].Size, Private: true}
	for _, n := range m.kept {
		h.Sizes = append(h.Sizes, n.Size)
	}
	return h, nil
}

func (m *memory) Batches(_ context.Context, size int64) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for first := int64(0); first < size; first += 10 {
			end := min(first+10, size)
			if !yield(Batch{First: first, Count: end - first, Hashes: m.hashes[first:end], Events: m.events[first:end]}, nil) {
				return
			}
		}
	}
}

func (m *memory) Notes(context.Context) ([]Note, error)         { return m.kept, nil }
func (m *memory) Tail(context.Context, int64) ([]Stored, error) { return nil, nil }

func (m *memory) export(private bool) string {
	m.t.Helper()
	var b strings.Builder
	if _, err := Export(m.t.Context(), &b, m, private); err != nil {
		m.t.Fatal(err)
	}
	return b.String()
}

// The log hands over from one key to the next: whoever trusts the first trusts
// those after it, by what a trusted key signed for them in an event, and by
// nothing else: not by an event alone, which whoever can write into the database
// can put there, nor by another signature under a checkpoint, which anybody can
// add.
func TestKeysHandOver(t *testing.T) {
	a, b, c, evil := signer(t, 1), signer(t, 2), signer(t, 3), signer(t, 66)
	log := func() *memory { return (&memory{t: t}).tell(a, nil).add(24) }
	twice := log().sign(a).tell(b, &a).add(3).sign(b).add(20).sign(b).tell(c, &b).sign(c).add(1).sign(c)
	const unknown = "none of the known keys signed it"
	for _, test := range []struct {
		name  string
		log   *memory
		trust []note.Verifier
		want  string // in the problem; empty for none
	}{
		{"one key", log().sign(a), []note.Verifier{a}, ""},
		{"given twice", log().sign(a), []note.Verifier{a, a}, ""},
		{"another's", log().sign(evil), []note.Verifier{a}, unknown},
		{"no key", log().sign(a), nil, unknown},
		{"from the first", twice, []note.Verifier{a}, ""},
		{"all given", twice, []note.Verifier{c, b, a}, ""},
		{"the second before what the first signed", twice, []note.Verifier{b}, unknown},
		{"the last before what others signed", twice, []note.Verifier{c}, unknown},
		{"the second, where the first's has gone", log().tell(b, &a).sign(b), []note.Verifier{b}, ""},
		{"beside a signature", log().tell(evil, nil).sign(a, evil).add(1).sign(evil), []note.Verifier{a}, unknown},
		{"an event that nobody vouches for", log().tell(evil, nil).sign(a).add(1).sign(evil), []note.Verifier{a}, unknown},
		{"one that vouches for itself", log().tell(evil, &evil).sign(a).add(1).sign(evil), []note.Verifier{a}, unknown},
		{"by one that nobody vouches for", log().tell(evil, nil).tell(b, &evil).sign(a).add(1).sign(b), []note.Verifier{a}, unknown},
		{"back", log().sign(b).tell(a, &b).sign(a), []note.Verifier{a}, unknown},
	} {
		for what, source := range map[string]Source{"memory": test.log, "export": NewExported(strings.NewReader(test.log.export(true)))} {
			if what == "export" && len(test.log.kept) > 1 && test.want != "" {
				continue // it has the newest checkpoint alone
			}
			r, err := Verify(t.Context(), source, VerifyOptions{Keys: test.trust})
			switch {
			case err != nil:
				t.Errorf("%s, %s: %v", test.name, what, err)
			case test.want == "" && r.Problem != nil, test.want != "" && (r.Problem == nil || !strings.Contains(r.Problem.Why, test.want) || !r.Problem.UnknownKey):
				t.Errorf("%s, %s: %v, want %q", test.name, what, r.Problem, test.want)
			}
		}
	}
}

func rootOf(leaves []Hash) Hash {
	var tree Tree
	for _, leaf := range leaves {
		tree.Append(leaf, func(Tile) {})
	}
	return tree.Root()
}

// A checkpoint that was kept elsewhere may be of a key that the log handed over to;
// not of one that it did not.
func TestKeysHandOverWhatWasKept(t *testing.T) {
	a, b, evil := signer(t, 1), signer(t, 2), signer(t, 66)
	log := (&memory{t: t}).tell(a, nil).add(9).sign(a).tell(b, &a).sign(b).tell(evil, nil).add(5).sign(b)
	for name, test := range map[string]struct {
		by   Signer
		log  *memory
		want string
	}{
		"the next key":    {b, log, ""},
		"another's":       {evil, log, "none of the known keys signed it"},
		"of another past": {b, (&memory{t: t}).add(12), "is not that of its checkpoint"},
	} {
		kept, err := Checkpoint{logName, 12, rootOf(test.log.hashes[:12])}.Sign(test.by)
		if err != nil {
			t.Fatal(err)
		}
		for what, source := range map[string]Source{"memory": log, "export": NewExported(strings.NewReader(log.export(true)))} {
			r, err := Verify(t.Context(), source, VerifyOptions{Keys: []note.Verifier{a}, Since: kept})
			if said := fmt.Sprint(r.Problem, err); (test.want == "") != (r.Problem == nil && err == nil) || !strings.Contains(said, test.want) {
				t.Errorf("%s, %s: %s, want %q", name, what, said, test.want)
			}
		}
	}
}

// Whatever is changed in the lines of an export is found (AUD-004).
func TestAttackAUD004Export(t *testing.T) {
	a, b := signer(t, 1), signer(t, 2)
	log := (&memory{t: t}).add(25).sign(a).tell(b, &a).sign(b).add(4).sign(b)
	good := log.export(true)
	verify := func(text string, since []byte) (Report, error) {
		return Verify(t.Context(), NewExported(strings.NewReader(text)), VerifyOptions{Keys: []note.Verifier{a}, Since: since})
	}
	if r, err := verify(good, log.kept[0].Text); err != nil || r.Problem != nil || r.Events != 30 || r.Checkpoints != 2 {
		t.Fatalf("as it was written: %+v, %v", r, err)
	}
	lines := strings.SplitAfter(good, "\n")
	lines = lines[:len(lines)-1] // nothing follows the last end of a line
	// lines: 0 the header, 1 to 30 the leaves, 31 the checkpoint
	last := len(lines) - 1
	join := func(list ...[]string) string {
		var all []string
		for _, l := range list {
			all = append(all, l...)
		}
		return strings.Join(all, "")
	}
	replaced := func(n int, old, with string) string {
		t.Helper()
		if !strings.Contains(lines[n], old) {
			t.Fatalf("%q is not in %s", old, lines[n])
		}
		return join(lines[:n], []string{strings.Replace(lines[n], old, with, 1)}, lines[n+1:])
	}
	other := (&memory{t: t}).add(30).sign(a)
	_, event, _ := strings.Cut(lines[8], `,"event"`)
	for name, attack := range map[string]struct{ text, want string }{
		"an event":                {replaced(8, "family:7", "family:9"), "leaf 7, event"},
		"its number":              {replaced(8, `"leaf":7`, `"leaf":8`), "leaf 7: in its place the export has leaf 8"},
		"its hash":                {replaced(8, `"hash":"`, `"hash":"AAAA`), "as an export has it"},
		"another's hash":          {replaced(8, log.hashes[7].String(), log.hashes[8].String()), "leaf 7, event"},
		"its part":                {replaced(8, "192.0.2.7", "192.0.2.8"), "leaf 7, event"},
		"its person":              {replaced(8, `"person":"ann"`, `"person":"bea"`), "leaf 7, event"},
		"its parts gone":          {replaced(8, `"private":[{`, `"private":[],"hash":null,"checkpoint":"","x":[{`), "as an export has it"},
		"the event gone":          {replaced(8, `,"event"`+event, "}\n"), "leaf 7: the event is not there"},
		"its parts alone":         {replaced(8, lines[8][strings.Index(lines[8], `,"event"`):strings.Index(lines[8], `,"private"`)], ""), "leaf 7: the export has private parts"},
		"an event of two names":   {replaced(8, `"event":`, `"event":"{}","event":`), "leaf 7: line 9"},
		"one in capitals":         {replaced(8, `"event":`, `"event":"{}","Event":`), "leaf 7: line 9"},
		"another name for it":     {replaced(8, `"event":`, `"Event":`), "leaf 7: line 9"},
		"more beside it":          {replaced(8, `"event":`, `"later":"{}","event":`), "leaf 7: line 9"},
		"a part that is not due":  {strings.Replace(replaced(8, "192.0.2.7", "192.0.2.8"), `"private":true`, `"private":false`, 1), "leaf 0: the export has private parts"},
		"two checkpoints":         {replaced(last, `{"checkpoint"`, `{"checkpoint":"x","checkpoint"`), "line 32"},
		"a header of two origins": {replaced(0, `"origin"`, `"origin":"evil.example/audit","origin"`), "not an export"},
		"a line gone":             {join(lines[:8], lines[9:]), "leaf 7: in its place the export has leaf 8"},
		"a line twice":            {join(lines[:9], lines[8:]), "leaf 8: in its place the export has leaf 7"},
		"two turned":              {join(lines[:8], lines[9:10], lines[8:9], lines[10:]), "leaf 7: in its place"},
		"the last leaf gone":      {join(lines[:last-1], lines[last:]), "leaf 29: line"},
		"the checkpoint gone":     {join(lines[:last]), "ends here, before its checkpoint"},
		"the end gone":            {join(lines[:20]), "ends here, before its checkpoint"},
		"the middle of a line":    {good[:len(good)-7], "cut off"},
		"a line after the end":    {good + lines[last], "something follows"},
		"an older checkpoint":     {join(lines[:last], []string{checkpointLine(log.kept[1])}), "it is of 26 leaves"},
		"that of another tree":    {join(lines[:last], []string{checkpointLine(other.kept[0])}), "the tree of 30 leaves is not that of its checkpoint"},
		"the new key":             {replaced(26, "public_key", "public_kex"), "leaf 25, event"},
		"two of them":             {strings.Replace(replaced(8, "family:7", "family:9"), lines[20], "{}\n", 1), "leaf 7, event"},
		"the header says less":    {replaced(0, `"size":30`, `"size":29`), "something follows where the export should end"},
		"the header says more":    {replaced(0, `"size":30`, `"size":31`), "leaf 30: line"},
		"the header says another": {replaced(0, logName, "evil.example/audit"), "is of the log"},
		"not with private parts":  {replaced(0, `"private":true`, `"private":false,"private":true,"y":1`), "not an export"},
	} {
		since := log.kept[0].Text
		if r, err := verify(attack.text, since); err != nil && !strings.Contains(err.Error(), attack.want) || err == nil && (r.Problem == nil || !strings.Contains(r.Problem.Error(), attack.want)) {
			t.Errorf("%s: %v, %v, want %q", name, r.Problem, err, attack.want)
		}
	}
}

// What follows the tree of an export excuses nothing: whoever has the file can put
// an event there (AUD-004).
func TestAttackAUD004ExportExcuses(t *testing.T) {
	a := signer(t, 1)
	lines := strings.SplitAfter((&memory{t: t}).add(25).sign(a).export(true), "\n")
	for name, attack := range map[string]struct{ from, later string }{
		"retired": {`,"event"`, `{"at":"2026-03-01T12:00:00.000000Z","action":"audit.retired","detail":{"until_leaf":"10"}}`},
		"erased":  {`,"private"`, `{"at":"2026-03-01T12:00:00.000000Z","action":"audit.erased","target":"user:ann"}`},
	} {
		var text strings.Builder
		for i, line := range lines {
			switch {
			case i >= 1 && i <= 10:
				kept, _, _ := strings.Cut(line, attack.from)
				line = kept + "}\n"
			case i == 26:
				later, err := json.Marshal(map[string]string{"later": attack.later})
				if err != nil {
					t.Fatal(err)
				}
				line = string(later) + "\n" + line
			}
			text.WriteString(line)
		}
		r, err := Verify(t.Context(), NewExported(strings.NewReader(text.String())), VerifyOptions{Keys: []note.Verifier{a}})
		if err != nil || r.Problem == nil || r.Problem.Leaf != 0 || !r.Problem.Unproved {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// A file of long lines is not held in memory whole.
func TestExportIsReadInPieces(t *testing.T) {
	line := `,"hash":"` + LeafHash(nil).String() + `","event":"` + strings.Repeat("x", 1<<20) + `"}` + "\n"
	var text strings.Builder
	text.WriteString(`{"doorward_audit_export":1,"origin":"x","size":40,"private":false}` + "\n")
	for n := range 40 {
		fmt.Fprintf(&text, `{"leaf":%d%s`, n, line)
	}
	x := NewExported(strings.NewReader(text.String()))
	head, err := x.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leaves := int64(0)
	for b, err := range x.Batches(t.Context(), head.Size) {
		if err != nil || b.First != leaves || b.Count > 1+exportBatchBytes>>20 {
			t.Fatalf("%d lines from %d: %v", b.Count, b.First, err)
		}
		leaves += b.Count
	}
	if leaves != 40 {
		t.Errorf("%d lines of 40", leaves)
	}
}

func checkpointLine(n Note) string {
	text, err := json.Marshal(map[string]string{"checkpoint": string(n.Text)})
	if err != nil {
		panic(err)
	}
	return string(text) + "\n"
}

// What is no signed checkpoint of the log is not taken for one.
func TestOpenCheckpointRefuses(t *testing.T) {
	a, evil := signer(t, 1), signer(t, 66)
	root := LeafHash(nil)
	sign := func(text string) []byte {
		signed, err := note.Sign(&note.Note{Text: text}, a)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	good := sign(Checkpoint{logName, 7, root}.Text())
	if s, err := OpenCheckpoint(good, []note.Verifier{a}); err != nil || s.Checkpoint != (Checkpoint{logName, 7, root}) || len(s.Keys) != 1 || s.Keys[0].Hash != a.KeyHash() {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := OpenCheckpoint(sign(Checkpoint{logName, 7, root}.Text()+"an extension\n"), []note.Verifier{a}); err != nil {
		t.Errorf("with an extension: %v", err)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "no signature": []byte(Checkpoint{logName, 7, root}.Text()), "two lines": sign(logName + "\n7\n"),
		"no origin": sign("\n7\n" + root.String() + "\n"), "another origin": sign("evil.example/audit\n7\n" + root.String() + "\n"),
		"a control character": sign("auth\x1b.example\n7\n" + root.String() + "\n"),
		"no number":           sign(logName + "\nx\n" + root.String() + "\n"), "a negative number": sign(logName + "\n-7\n" + root.String() + "\n"),
		"a sign": sign(logName + "\n+7\n" + root.String() + "\n"), "zeros": sign(logName + "\n007\n" + root.String() + "\n"),
		"too large a number": sign(logName + "\n9223372036854775808\n" + root.String() + "\n"), "a short hash": sign(logName + "\n7\nAAAA\n"),
		"bits after the hash": sign(logName + "\n7\n" + strings.Replace(root.String(), "=", "", 1) + "\n"),
		"a flipped bit":       bytes.Replace(good, []byte("\n7\n"), []byte("\n6\n"), 1), "too long": append(good, bytes.Repeat([]byte("x"), maxCheckpoint)...),
	} {
		if s, err := OpenCheckpoint(text, []note.Verifier{a}); err == nil {
			t.Errorf("%s was taken: %+v", name, s)
		}
	}
	if _, err := OpenCheckpoint(good, []note.Verifier{evil}); err == nil {
		t.Error("by a key that did not sign")
	}
	if _, err := OpenCheckpoint(good, nil); err == nil {
		t.Error("by no key")
	}
	if _, err := ParseVerifierKey("auth.example.com/audit+1a2b3c4d+AZ"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a key that is none: %v", err)
	}
}

// FuzzExported: no file makes its reader fall over, and what it lets through is
// whole. One goroutine alone does it: the fuzzer finds nothing new in others.
func FuzzExported(f *testing.F) {
	a, b := signer(f, 1), signer(f, 2)
	f.Add([]byte((&memory{t: f}).add(3).sign(a).export(true)))
	f.Add([]byte((&memory{t: f}).add(3).sign(a).tell(b, &a).sign(b).export(true)))
	f.Add([]byte(`{"doorward_audit_export":1,"logName":"x","size":9223372036854775807,"private":true}` + "\n"))
	f.Add([]byte(`{"event":{"id":"x","at":"2026-03-01T12:00:00.000000Z","action":"audit.erased","target":"user:ann"},"bytes":"e30="}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := NewExported(bytes.NewReader(data))
		head, err := x.Head(t.Context())
		for b, err := range x.Batches(t.Context(), head.Size) {
			if err != nil {
				break
			}
			b.private = true
			if b.check(); int64(len(b.Hashes)) != b.Count || int64(len(b.leaves)) != b.Count {
				t.Errorf("leaves from %d: %d of %d hashes", b.First, len(b.Hashes), b.Count)
			}
		}
		if err == nil {
			if _, err = x.Tail(t.Context(), head.Size); err == nil && head.Size > 0 && x.note == nil {
				t.Error("there is no checkpoint")
			}
		}
		notes, err := x.Notes(t.Context())
		for _, n := range notes {
			if n.Size < 0 || n.Size > head.Size || err != nil {
				t.Errorf("a checkpoint of %d leaves of %d, %v", n.Size, head.Size, err)
			}
		}
		if _, err := Erasures(bytes.NewReader(data)); err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("erasures: %v", err)
		}
		if text, err := LastCheckpoint(bytes.NewReader(data)); err == nil {
			if s, err := OpenCheckpoint(text, []note.Verifier{a}); err == nil && s.Origin != logName {
				t.Errorf("opened: %+v", s)
			}
		}
	})
}

// What cannot be read is no verdict.
func TestVerifyTellsReadingFromTampering(t *testing.T) {
	a := signer(t, 1)
	broken := errors.New("the disk is gone")
	log := &failing{(&memory{t: t}).add(3).sign(a), broken}
	if r, err := Verify(t.Context(), log, VerifyOptions{Keys: []note.Verifier{a}}); !errors.Is(err, broken) || r.Problem != nil {
		t.Errorf("%v, %v", err, r.Problem)
	}
}

type failing struct {
	*memory
	err error
}

func (f *failing) Notes(context.Context) ([]Note, error) { return nil, f.err }
