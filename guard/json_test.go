package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// skipAll reads an object without looking at it.
func skipAll(text string) error {
	return readObject(text, func(s *scanner, _ string) { s.skip() })
}

func TestReadObject(t *testing.T) {
	nest := func(n int) string { return strings.Repeat(`{"a":`, n-1) + `{}` + strings.Repeat(`}`, n-1) }
	array := func(n int) string { return `{"a":` + strings.Repeat(`[`, n-1) + strings.Repeat(`]`, n-1) + `}` }
	many := func(n int, last string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"n%d":0,`, i)
		}
		return "{" + b.String() + `"` + last + `":0}`
	}
	for _, c := range []struct {
		text string
		want error
	}{
		{`{}`, nil},
		{" \t\r\n{ \"a\" : [ 1 , -0.5e+3 , true , false , null , \"\" , { } , [ ] ] } \n", nil},
		{`{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\u0000"}`, nil},
		{`{"":0," ":0}`, nil},
		{`{"a":1,"A":2}`, nil},
		{`{"a":{"a":{"a":1}}}`, nil},
		{`{"a":[{"b":1},{"b":1}]}`, nil},
		{`{"a":"é😀` + "\u2028\ufffd" + `"}`, nil},
		{nest(32), nil},
		{array(32), nil},
		{many(100, "n100"), nil},

		{nest(33), errDepth},
		{array(33), errDepth},
		{strings.Repeat(`{"a":`, 10000), errDepth},
		{strings.Repeat(`[`, 10000), errForm},
		{many(100, "n0"), errDuplicate},
		{many(100, "n99"), errDuplicate},
		{many(10, `n\u0039`), errDuplicate},
		{`{"a":1,"a":1}`, errDuplicate},
		{`{"é":1,"\u00e9":1}`, errDuplicate},
		{`{"a":{"b":1,"b":2}}`, errDuplicate},
		{`{"":0,"":0}`, errDuplicate},
		{"{\"a\":\"\xff\"}", errUTF8},
		{"{\"\xc3\":1}", errUTF8},
		{"{}\xff", errUTF8},
		{"{\"a\":\"\xed\xa0\x80\"}", errUTF8},
		{`{"a":"\ud800"}`, errUTF8},
		{`{"a":"\ud800x"}`, errUTF8},
		{`{"a":"\ud800\n"}`, errUTF8},
		{`{"a":"\ud800\ud800"}`, errUTF8},
		{`{"a":"\udc00\ud800"}`, errUTF8},
		{``, errForm},
		{`[]`, errForm},
		{`"a"`, errForm},
		{`null`, errForm},
		{"\ufeff{}", errForm},
		{`{`, errForm},
		{`{,}`, errForm},
		{`{a:1}`, errForm},
		{`{'a':1}`, errForm},
		{`{1:1}`, errForm},
		{`{"a"}`, errJSON},
		{`{"a":}`, errJSON},
		{`{"a":1,}`, errForm},
		{`{"a":1 "b":2}`, errJSON},
		{`{"a":1}}`, errJSON},
		{`{"a":1]`, errJSON},
		{`{"a":[1}`, errJSON},
		{`{"a":[1,]}`, errJSON},
		{`{"a":[,1]}`, errJSON},
		{`{"a":1}{}`, errJSON},
		{"{}\x00", errJSON},
		{`{"a":"`, errJSON},
		{`{"a":"\`, errJSON},
		{`{"a":"\u`, errJSON},
		{`{"a":"\u12`, errJSON},
		{`{"a":"\u12g4"}`, errJSON},
		{`{"a":"\u+123"}`, errJSON},
		{`{"a":"\U0041"}`, errJSON},
		{`{"a":"\x"}`, errJSON},
		{`{"a":"\ud83d\u"}`, errJSON},
		{"{\"a\":\"\t\"}", errJSON},
		{"{\"a\":\"\\t\x01\"}", errJSON},
		{"{\"a\":1\v}", errJSON},
		{`{"a":tru}`, errJSON},
		{`{"a":True}`, errJSON},
		{`{"a":nullx}`, errJSON},
		{`{"a":NaN}`, errJSON},
		{`{"a":Infinity}`, errJSON},
		{`{"a":+1}`, errJSON},
		{`{"a":-}`, errForm},
		{`{"a":01}`, errJSON},
		{`{"a":-01}`, errJSON},
		{`{"a":1.}`, errJSON},
		{`{"a":.1}`, errJSON},
		{`{"a":1e}`, errJSON},
		{`{"a":1e+}`, errJSON},
		{`{"a":1E-}`, errJSON},
		{`{"a":0x1}`, errJSON},
		{`{"a":1_0}`, errJSON},
		{`{"a":1/**/}`, errJSON},
	} {
		if err := skipAll(c.text); err != c.want {
			t.Errorf("%.60q: %v, want %v", c.text, err, c.want)
		}
		if c.want == nil && !json.Valid([]byte(c.text)) {
			t.Errorf("%.60q: is not JSON to encoding/json", c.text)
		}
	}
}

func TestScannerValues(t *testing.T) {
	const text = `{"s":"a\u00e9\ud83d\ude00\n","l":["x","y"],"one":"x","none":[],"d":1.5e3,"i":-12,"raw": {"a":[1, "}"]} }`
	got := map[string]string{}
	err := readObject(text, func(s *scanner, name string) {
		switch name {
		case "s":
			got[name] = s.str()
		case "l", "none":
			got[name] = fmt.Sprintf("%q", s.strs())
		case "one":
			got[name] = fmt.Sprintf("%q", s.oneOrMore())
		case "d":
			got[name] = fmt.Sprint(s.date())
		case "i":
			got[name] = fmt.Sprint(s.integer())
		case "raw":
			got[name] = s.skip()
		}
	})
	want := map[string]string{"s": "aé😀\n", "l": `["x" "y"]`, "one": `["x"]`, "none": `[]`, "d": "1500", "i": "-12", "raw": `{"a":[1, "}"]}`}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v %v\nwant %v", got, err, want)
	}
}

// FuzzReadObject compares the scanner with encoding/json: it takes what that
// takes, but for what it is here to refuse.
func FuzzReadObject(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"a":[1,-0.5e+3,true,false,null,"x",{}]}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ud800"}`,
		"{\"a\":\"\xff\"}", `{"a":1}x`, `[]`, strings.Repeat(`{"a":`, 33) + "0" + strings.Repeat("}", 33), `{"a":01}`, " {\n} ",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := skipAll(text)
		if again := skipAll(text); again != err {
			t.Fatalf("%v, then %v", err, again)
		}
		want := oracle(text)
		if (err == nil) != (want == nil) {
			t.Fatalf("the scanner says %v, the oracle %v", err, want)
		}
	})
}

// oracle decides with encoding/json what readObject should say.
func oracle(text string) error {
	if !utf8.ValidString(text) || !json.Valid([]byte(text)) {
		return errJSON
	}
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		return errForm
	}
	if loneSurrogate(text) {
		return errUTF8
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	type level struct {
		object bool
		names  map[string]bool
		value  bool // a value comes next
	}
	var stack []*level
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if len(stack) > 0 {
			if top := stack[len(stack)-1]; top.object && !top.value {
				name := token.(string)
				if top.names[name] {
					return errDuplicate
				}
				top.names[name], top.value = true, true
				continue
			} else {
				top.value = false
			}
		}
		if delim, ok := token.(json.Delim); ok {
			if stack = append(stack, &level{delim == '{', map[string]bool{}, false}); len(stack) > maxDepth {
				return errDepth
			}
		}
	}
}

// loneSurrogate finds half a pair among the escapes of a valid JSON text.
func loneSurrogate(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		if text[i] != 'u' {
			continue
		}
		half := strings.ToLower(text[i+1 : i+5])
		i += 4
		switch {
		case half >= "dc00" && half <= "dfff":
			return true
		case half >= "d800" && half <= "dbff":
			if i+6 >= len(text) || text[i+1] != '\\' || text[i+2] != 'u' {
				return true
			}
			if low := strings.ToLower(text[i+3 : i+7]); low < "dc00" || low > "dfff" {
				return true
			}
			i += 6
		}
	}
	return false
}
