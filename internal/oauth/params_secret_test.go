package oauth

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// What cannot be read may be a password with a percent sign in it: no error, nor
// the cause of one, quotes it.
func TestFormErrorsQuoteNothing(t *testing.T) {
	for _, body := range []string{"password=hunter%zQ7secret", "pass%zQword=x", "password=%", "a=%z&b=secret"} {
		_, err := ParseForm(body)
		for e := err; e != nil; e = errors.Unwrap(e) {
			if text := fmt.Sprintf("%v %+v", e, e); strings.Contains(text, "%z") || strings.Contains(text, "zQ") || strings.Contains(text, "secret") {
				t.Errorf("%s: %s", body, text)
			}
		}
		if err == nil {
			t.Errorf("%s is read", body)
		}
	}
}
