package jose_test

import (
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/doorward/doorward/internal/jose"
)

// Every signature goes through the reader of keys and the verifier. Invalid ones are
// refused, and so are the valid ones of other algorithms, and by keys that are secret.
func TestAttackJWT019Wycheproof(t *testing.T) {
	taken := 0
	for _, name := range []string{"json_web_signature_test.json", "json_web_crypto_test.json", "json_web_key_test.json"} {
		text, err := fs.ReadFile(wycheproof.TestVectors, name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			TestGroups []struct {
				Public, Private json.RawMessage
				Tests           []struct {
					TcID    int
					Comment string
					JWS     json.RawMessage
					Result  string
				}
			}
		}
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		for _, group := range file.TestGroups {
			document := group.Public
			if document == nil {
				document = group.Private
			}
			keys, _ := jose.ParseKeys(document)
			if keys == nil { // a key by itself
				keys, _ = jose.ParseKeys(set(string(document)))
			}
			for _, c := range group.Tests {
				token := string(c.JWS)
				_ = json.Unmarshal(c.JWS, &token)
				_, err := jose.Verify(token, keys, algorithms...)
				if err == nil && c.Result != "valid" {
					t.Errorf("%s %d, %s: it is taken", name, c.TcID, c.Comment)
				}
				if err == nil {
					taken++
				}
			}
		}
	}
	if taken != 19 { // as many as guard takes: those of our algorithms
		t.Errorf("%d valid ones are taken", taken)
	}
}
