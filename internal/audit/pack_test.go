package audit

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/principal"
)

// What a pack holds comes out as it was put in, whatever a stranger wrote into the events:
// nothing in one makes another of it.
func TestPack(t *testing.T) {
	var pack []byte
	var records []Record
	for _, text := range []string{"plain", "a\tb", "a\nb", "\x00\x01\x7f", "\xff\xfe", "\u2028\u2029", `"\`, `\t\n`, "Ünïcödé", strings.Repeat("long ", 300), ""} {
		by := principal.Principal{Kind: principal.User, ID: "ann", Origin: principal.Origin{RequestID: text, Address: text, UserAgent: text}}
		e := Now(by, time.Now(), UserUpdated, "user:"+text).With("note", text).Because(Failure, text).About("bea", map[string]string{"username": text})
		r := e.Record()
		records, pack = append(records, r), r.AppendLine(pack)
	}
	events, err := Unpack(string(pack))
	if err != nil || len(events) != len(records) {
		t.Fatalf("%d events of %d, %v", len(events), len(records), err)
	}
	for i, e := range events {
		r := records[i]
		want := Columns{r.ID, r.At.UnixMicro(), string(r.Action), string(r.Outcome), r.Actor, r.Target}
		if e.Columns != want || string(e.Data) != string(r.Public) || e.Parts != r.Parts {
			t.Errorf("%+v\ncame out as\n%+v", r, e)
		}
	}
	left, n := ForgetPacked(string(pack), "bea")
	if n != len(records) || strings.Contains(left, `"person":"bea"`) || strings.Count(left, `"person":"ann"`) != strings.Count(string(pack), `"person":"ann"`) {
		t.Errorf("%d parts were forgotten of %d", n, len(records))
	}
	after, err := Unpack(left)
	if err != nil || !slices.EqualFunc(after, events, Packed.Same) {
		t.Errorf("the events are others afterwards: %v", err)
	}
}

func FuzzUnpack(f *testing.F) {
	line := string(Now(principal.Principal{Kind: principal.CLI, ID: "x"}, time.Now(), UserUpdated, "user:y").Record().AppendLine(nil))
	for _, pack := range []string{"", line, line + line, strings.TrimSuffix(line, "\n"), strings.Replace(line, "\t", "", 1), "\n", "\t\n", "{}\t\n", line + "x"} {
		f.Add(pack)
	}
	f.Fuzz(func(t *testing.T, pack string) {
		events, err := Unpack(pack)
		if err != nil {
			return
		}
		var again []byte
		for _, e := range events {
			again = Record{Public: e.Data, Parts: e.Parts}.AppendLine(again)
		}
		if string(again) != pack {
			t.Errorf("%q was read as %q", pack, again)
		}
		ForgetPacked(pack, "x")
	})
}
