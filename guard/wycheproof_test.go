package guard

import (
	"encoding/json"
	"io/fs"
	"slices"
	"testing"

	"github.com/c2sp/wycheproof"
)

// vectorFile is what the files of Wycheproof on JOSE have in common.
type vectorFile struct {
	TestGroups []struct {
		Comment         string
		Public, Private json.RawMessage
		Tests           []struct {
			TcID     int
			Comment  string
			JWS, JWE json.RawMessage
			Result   string
		}
	}
}

func vectors(t *testing.T, name string) vectorFile {
	t.Helper()
	text, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var file vectorFile
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// compact returns a token as it would arrive: text as such, JSON serialization
// as the JSON it is.
func compact(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return string(raw)
	}
	return text
}

// Every signature goes through the key reader, the parser and the verifier that
// access tokens go through. Invalid ones are refused; valid ones are taken
// where key and header name one of our algorithms, and refused elsewhere.
func TestAttackJWT019WycheproofSignatures(t *testing.T) {
	for name, want := range map[string]map[string]int{
		"json_web_signature_test.json": {"invalid": 355, "valid": 46, "taken": 16},
		"json_web_crypto_test.json":    {"invalid": 45, "valid": 4, "taken": 2},
		"json_web_key_test.json":       {"invalid": 21, "valid": 5, "taken": 1},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]int{}
			for _, group := range vectors(t, name).TestGroups {
				document, ours := keysOf(t, group.Public, group.Private)
				set, _ := parseKeySet(document)
				for _, c := range group.Tests {
					if c.JWS == nil {
						continue
					}
					token := compact(c.JWS)
					err := verifyRaw(set, token)
					j, parseErr := parseJWS(token)
					valid := c.Result == "valid" && parseErr == nil && slices.Contains(ours, j.header.alg)
					if (err == nil) != valid {
						t.Errorf("%d %s %s: %s, but the outcome is %v", c.TcID, group.Comment, c.Comment, c.Result, err)
					}
					seen[c.Result]++
					if err == nil {
						seen["taken"]++
					}
				}
			}
			for what, n := range want {
				if seen[what] != n {
					t.Errorf("%d %s, want %d", seen[what], what, n)
				}
			}
		})
	}
}

// keysOf returns the keys of a group as a JWK Set, and which of our algorithms
// they name. Where a group has no public key, its keys are secret.
func keysOf(t *testing.T, public, private json.RawMessage) (document string, ours []string) {
	t.Helper()
	raw := public
	if raw == nil {
		raw = private
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{raw}
	}
	for _, k := range set.Keys {
		var named struct{ Alg string }
		if err := json.Unmarshal(k, &named); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(supported, named.Alg) {
			ours = append(ours, named.Alg)
		}
	}
	text, err := json.Marshal(map[string]any{"keys": set.Keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text), ours
}

// verifyRaw is what a guard does to a token before it looks for claims.
func verifyRaw(set *KeySet, token string) error {
	if set == nil {
		return ErrUnavailable
	}
	j, err := parseJWS(token)
	if err != nil {
		return err
	}
	k := set.key(j.header.kid)
	if k == nil {
		return ErrUnknownKey
	}
	if err := j.verify(k); err != nil {
		return err
	}
	_, err = decode(j.payload)
	return err
}

// Encrypted tokens are refused by their form, whatever is in them.
func TestAttackJWT019WycheproofEncryption(t *testing.T) {
	n := 0
	for _, name := range []string{"json_web_encryption_test.json", "json_web_crypto_test.json"} {
		for _, group := range vectors(t, name).TestGroups {
			for _, c := range group.Tests {
				if c.JWE == nil {
					continue
				}
				n++
				if _, err := parseJWS(compact(c.JWE)); err == nil {
					t.Errorf("%s %d: a JWE is taken for a JWS", name, c.TcID)
				}
			}
		}
	}
	if n != 139+34 {
		t.Errorf("%d encrypted tokens", n)
	}
}
