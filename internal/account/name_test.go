package account

import (
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
)

func TestParseUsername(t *testing.T) {
	for in, want := range map[string]string{
		"ann": "ann", "ANN": "ann", "a": "a", "0": "0", "a.b_c-d": "a.b_c-d", "...": "...", "-": "-", "Z9": "z9",
		strings.Repeat("x", 64): strings.Repeat("x", 64),
	} {
		if got, err := ParseUsername(in); err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{
		"", " ", "ann ", " ann", "a b", "a\tb", "ann\n", "ann\x00", "\x00", "ann@example.com", "@", "a+b", "a/b", "a\\b", "a'b", `a"b`, "a;b", "a,b", "a:b", "a*", "%", "<a>",
		"ＡＮＮ", "аnn", "ann\u200b", "ann\u00ad", "ànn", "ınn", "ſam", "\u212a", "\u202eann", "ann\xff", "👩", strings.Repeat("x", 65), strings.Repeat("é", 33),
	} {
		if got, err := ParseUsername(bad); fault.KindOf(err) != fault.Invalid || got != "" {
			t.Errorf("%q is %q, %v; want a fault", bad, got, err)
		}
	}
}

func TestParseEmail(t *testing.T) {
	for in, key := range map[string]string{
		"ann@example.com": "ann@example.com", "Ann@Example.COM": "ann@example.com", "a.b+c@x.example": "a.b+c@x.example",
		"ann@localhost": "ann@localhost", "größe@example.com": "größe@example.com", "GRÖSSE@example.com": "grösse@example.com",
		"ann@Bücher.example": "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example": "ann@xn--bcher-kva.example", "ann@faß.de": "ann@xn--fa-hia.de",
		"用户@例子.广告": "用户@xn--fsqu00a.xn--4rr70v", "ann@例子。com": "ann@xn--fsqu00a.com", "ａnn@example.com": "ann@example.com", "ann@ｅxample.com": "ann@example.com",
		"e\u0301@example.com": "\u00e9@example.com", "İ@example.com": "i̇@example.com", "!#$%&'*+/=?^_`{|}~-@example.com": "!#$%&'*+/=?^_`{|}~-@example.com",
		strings.Repeat("x", 64) + "@example.com": strings.Repeat("x", 64) + "@example.com",
	} {
		e, err := ParseEmail(in)
		if err != nil || e.Key() != key || e.String() != in || e.IsZero() {
			t.Errorf("%q is %q, %v; want %q", in, e.Key(), err, key)
		}
		if kept := KeptEmail(e.String(), e.Key()); kept != e {
			t.Errorf("%q is kept as %+v", in, kept)
		}
	}
	for _, bad := range []string{
		"", "@", "ann", "ann@", "@example.com", "ann@@example.com", "ann@b@example.com", " ann@example.com", "ann@example.com ", "ann@example.com\n", "ann @example.com",
		"a\tb@example.com", "ann\x00@example.com", "ann@exam\x00ple.com", "ann@example.com\x00", "\"ann\"@example.com", "ann@[192.0.2.1]", "ann(x)@example.com",
		"<ann@example.com>", "Ann <ann@example.com>", "ann@example.com, bea@example.com", "ann@example.com;bea@example.com", "ann\r\nBcc: x@example.com",
		".ann@example.com", "ann.@example.com", "a..b@example.com", "ann@example", "ann@.com", "ann@example.", "ann@example..com", "ann@-example.com", "ann@example-.com",
		"ann@exa_mple.com", "ann@exam ple.com", "ann@example.com/..", "ann@exämple\u200b.com\u202e", "ann\u202e@example.com", "ann\u200b@example.com", "ann\xff@example.com",
		"ann@\xff.com", "a\u0301\u0301\u200db@example.com", "ann@xn--a.example", "ann@xn--.example", "ann@" + strings.Repeat("x", 64) + ".com",
		strings.Repeat("x", 65) + "@example.com", strings.Repeat("İ", 30) + "@example.com", strings.Repeat("x", 64) + "@" + strings.Repeat("é.", 40) + "com", "ann@" + strings.Repeat("x.", 130) + "com", "\u00a0@example.com", "a＠b@example.com", "a，b@example.com", "a＜b＞@example.com", "a（b）@example.com", "a．．b@example.com", "．a@example.com", "a．@example.com",
		"a;b@example.com", "＂a＂@example.com", "ann@xℵy.example", "ann@example．", "ann@．com",
		"\ufeffann@example.com", "a\u2028b@example.com",
	} {
		if e, err := ParseEmail(bad); fault.KindOf(err) != fault.Invalid || !e.IsZero() {
			t.Errorf("%q is %q, %v; want a fault", bad, e.Key(), err)
		}
	}
}

// Of the ways to write a name, each is the account's own, or nobody's: none is a
// second key to the same account, and none is another's (LOG-002).
func TestAttackLOG002IdentifierVariants(t *testing.T) {
	const username, email = "alice", "alice@example.com"
	for in, want := range map[string]Login{
		"alice": {Username: username}, "ALICE": {Username: username}, "alice@example.com": {EmailKey: email}, "ALICE@EXAMPLE.COM": {EmailKey: email},
		"Alice@example.com": {EmailKey: email}, "alice@EXAMPLE.com": {EmailKey: email}, "ａlice@example.com": {EmailKey: email}, "alice@ｅxample.com": {EmailKey: email},
	} {
		if got, ok := ParseLogin(in); !ok || got != want {
			t.Errorf("%q is %+v, %v; want %+v", in, got, ok, want)
		}
	}
	for _, in := range []string{
		"Alice ", " alice", "alıce", "ａlice", "alice\x00", "alice\u200b", "alice\u00ad", "аlice", "alice\n", "alice\t", "alice.", "", "al%69ce", "alice\u0301",
		"alice@example.com ", " alice@example.com", "alice@example.com.", "alice@example.com\x00", "alice@\u200bexample.com", "alice@example.com\u200b", "alıce@example.com",
		"аlice@example.com", "alice@exаmple.com", "alice+x@example.com", "a.lice@example.com", "\"alice\"@example.com", "alice@[example.com]", "alice%40example.com",
		"alice@example.com@example.com", "mailto:alice@example.com", "alice\u3002", "alice@example\u3002com.",
	} {
		if got, ok := ParseLogin(in); ok && (got.Username == username || got.EmailKey == email) {
			t.Errorf("%q is %+v", in, got)
		}
	}
	// An id is not a name to sign in with: as a username it is one like any other.
	if got, ok := ParseLogin("06eadcervuvftrbeir37n0uo80"); !ok || got.Username != "06eadcervuvftrbeir37n0uo80" || got.EmailKey != "" {
		t.Errorf("an id is %+v, %v", got, ok)
	}
}

// Letters that look like others make no second account that passes for the first
// (LOG-015): in a username they are refused, in an address their key is another.
func TestAttackLOG015Homographs(t *testing.T) {
	for _, bad := range []string{"аdmin", "admіn", "ɑdmin", "admin\u0307", "ⅰ", "ａｄｍｉｎ", "admın", "aԁmin", "𝐚dmin", "ᴀdmin", "adm\u200din"} {
		if got, err := ParseUsername(bad); err == nil {
			t.Errorf("%q is the username %q", bad, got)
		}
	}
	keys := map[string]string{}
	for _, in := range []string{"admin@example.com", "аdmin@example.com", "admіn@example.com", "admın@example.com", "admin@exаmple.com", "admin@examрle.com", "admin@xn--exmple-4nf.com"} {
		e, err := ParseEmail(in)
		if err != nil {
			continue // refused is as good
		}
		if other, taken := keys[e.Key()]; taken && other != "admin@exаmple.com" { // which is the A-label above
			t.Errorf("%q and %q have the key %q", in, other, e.Key())
		}
		keys[e.Key()] = in
	}
	if len(keys) < 2 {
		t.Errorf("the keys are %q", keys)
	}
	// What only looks different is the same address.
	for _, same := range [][2]string{{"é@example.com", "e\u0301@example.com"}, {"ann@bücher.example", "ann@BÜCHER.example"}, {"ann@bücher.example", "ann@xn--bcher-kva.example"}} {
		a, errA := ParseEmail(same[0])
		b, errB := ParseEmail(same[1])
		if errA != nil || errB != nil || a.Key() != b.Key() {
			t.Errorf("%q is %q, and %q is %q; %v, %v", same[0], a.Key(), same[1], b.Key(), errA, errB)
		}
	}
}

// What is far too long is refused before anything is done with it (DOS-008).
func TestAttackDOS008LongNames(t *testing.T) {
	for name, long := range map[string]string{
		"letters": strings.Repeat("a", 10<<20), "at signs": strings.Repeat("@", 10<<20), "dots": "a@" + strings.Repeat("a.", 5<<20), "a local part": strings.Repeat("a.", 5<<20) + "@b.c",
		"marks": "a" + strings.Repeat("\u0301", 5<<20) + "@b.c", "labels": "a@" + strings.Repeat("xn--", 2<<20), "bytes": strings.Repeat("\xff", 10<<20), "signs and letters": strings.Repeat("a@", 5<<20),
	} {
		for parse, do := range map[string]func(){
			"ParseEmail":    func() { _, _ = ParseEmail(long) },
			"ParseUsername": func() { _, _ = ParseUsername(long) },
			"ParseLogin":    func() { _, _ = ParseLogin(long) },
			"searchable":    func() { _, _ = searchable(long) },
		} {
			began := time.Now()
			if do(); time.Since(began) > 500*time.Millisecond {
				t.Errorf("%s of 10 MiB of %s took %v", parse, name, time.Since(began))
			}
		}
	}
}

func TestSearchable(t *testing.T) {
	for in, want := range map[string]string{
		"An": "an", "ann@EXA": "ann@exa", "Größ": "größ", "ann@": "ann@", "ann@Bücher.example": "ann@xn--bcher-kva.example", "ann@例子.广告": "ann@xn--fsqu00a.xn--4rr70v",
		"a.": "a.", "%": "%", "a_b": "a_b", "o'": "o'",
	} {
		if got, ok := searchable(in); !ok || got != want {
			t.Errorf("%q is searched as %q, %v; want %q", in, got, ok, want)
		}
	}
	for _, nobody := range []string{"a b", "a\x00", "a\xff", "\u202ea", strings.Repeat("x", 255)} {
		if got, ok := searchable(nobody); ok {
			t.Errorf("%q is searched as %q", nobody, got)
		}
	}
}

func FuzzParseUsername(f *testing.F) {
	for _, s := range []string{"ann", "ANN", "a b", "ａnn", "", "a@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := ParseUsername(s)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if again, err := ParseUsername(name); err != nil || again != name {
			t.Errorf("%q is %q, and that is %q, %v", s, name, again, err)
		}
		if !strings.EqualFold(s, name) || len(s) != len(name) {
			t.Errorf("%q is %q", s, name)
		}
		if prefix, ok := searchable(s); !ok || prefix != name {
			t.Errorf("%q is %q, and is searched as %q, %v", s, name, prefix, ok)
		}
	})
}

func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{"ann@example.com", "GRÖSSE@Bücher.example", "a@b", "a@b@c", "İ@x.y", "ς@x.y", "ﬀ@x.y", "a@xn--a.b", "\u1fb3@x.y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseEmail(s)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid || !e.IsZero() {
				t.Errorf("%q: %+v, %v", s, e, err)
			}
			return
		}
		if e.String() != s || strings.Count(e.Key(), "@") != 1 {
			t.Errorf("%q is %+v", s, e)
		}
		// The key is an address, and its own key: an account is found however its
		// address is written.
		again, err := ParseEmail(e.Key())
		if err != nil || again.Key() != e.Key() {
			t.Errorf("%q has the key %q, and that has %q, %v", s, e.Key(), again.Key(), err)
		}
		if prefix, ok := searchable(s); !ok || prefix != e.Key() {
			t.Errorf("%q has the key %q, and is searched as %q, %v", s, e.Key(), prefix, ok)
		}
	})
}

func FuzzParseLogin(f *testing.F) {
	for _, s := range []string{"ann", "ANN", "ann@example.com", "@", "", "a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, ok := ParseLogin(s)
		if !ok {
			return
		}
		if (l.Username == "") == (l.EmailKey == "") || l.Unverified || strings.Contains(l.Username, "@") {
			t.Errorf("%q is %+v", s, l)
		}
		if again, ok := ParseLogin(l.Username + l.EmailKey); !ok || again != l {
			t.Errorf("%q is %+v, and that is %+v, %v", s, l, again, ok)
		}
	})
}
