package audit

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/doorward/doorward/internal/principal"
)

// FuzzRecord holds that what is written by hand is what encoding/json would write
// of the same, byte for byte, whatever texts come from outside.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{"", "plain", `"\`, "<script>&amp;", "\x00\x1f\x7f", "é 😀 \u2028\u202e", "\xff\xfe", "\t\n\r"} {
		f.Add(s, "reason")
		f.Add("Mozilla/5.0", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		by := principal.Principal{Kind: principal.User, ID: a, Client: b, Origin: principal.Origin{RequestID: a, Address: b, UserAgent: a}}
		e := Now(by, at, UserUpdated, b).Because(Failure, a).With("x", a).With("a", b).WithList("list", []string{a, b}).WithList("even", []string{b}).About(b, map[string]string{"y": b, "x": a})
		for _, e := range []Event{e, Now(principal.Principal{}, at, LoginFailed, ""), Now(by, at, UserUpdated, "user:"+a)} {
			r := e.Record()
			var p public
			again(t, r.Public, &p)
			if len(p.Private) != len(r.Private) || p.Actor != r.Actor || p.Target != r.Target {
				t.Errorf("%+v of %+v", p, r)
			}
			for _, part := range r.Private {
				again(t, part.Data, &map[string]string{})
			}
			if r.Parts != "" {
				again(t, []byte(r.Parts), &[]keptPart{})
			}
			parts, err := DecodeParts(r.Parts)
			if err != nil || len(parts) != len(r.Private) {
				t.Fatalf("%d parts, %v", len(parts), err)
			}
			for i, part := range parts {
				if part.Number != i || !bytes.Equal(part.Digest(), r.Private[i].Digest()) || part.Person != r.Private[i].Person {
					t.Errorf("part %d is %+v, and was %+v", i, part, r.Private[i])
				}
			}
		}
	})
}

// again holds that a text is what encoding/json makes of what it reads in it.
func again(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if got, err := json.Marshal(into); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%s, and encoding/json writes\n%s, %v", text, got, err)
	}
}

func TestForget(t *testing.T) {
	r := Now(principal.Principal{Kind: principal.User, ID: "ann", Origin: principal.Origin{Address: "192.0.2.7"}}, at, UserUpdated, "user:bea").About("bea", map[string]string{"name": "Bea"}).Record()
	left, n := Forget(r.Parts, "ann")
	parts, err := DecodeParts(left)
	if n != 1 || err != nil || len(parts) != 1 || parts[0].Number != 1 || parts[0].Person != "bea" {
		t.Errorf("%d, %+v, %v", n, parts, err)
	}
	if left, n := Forget(left, "bea"); left != "" || n != 1 {
		t.Errorf("%q, %d", left, n)
	}
	if left, n := Forget(r.Parts, "be"); left != r.Parts || n != 0 {
		t.Errorf("%q, %d", left, n)
	}
	if left, _ := Forget(`[{"person":"ann"`, "ann"); left != "" {
		t.Errorf("of what cannot be read is left %q", left)
	}
}
