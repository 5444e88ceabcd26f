package factor

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/secret"
)

// Check returns a fault of kind Invalid if a password may not be chosen: it is
// too short or too long, common, or no more than a word of its context. The
// context is what an attacker tries first for this account: the user name, the
// address, the issuer's host; "doorward" is always part of it. There are no
// rules on which characters it is made of, and no others to satisfy
// (NIST SP 800-63B-4, Section 3.1.1.2).
func (h *Hasher) Check(password secret.Text, context ...string) error {
	p, err := normal(password)
	if err != nil {
		return err
	}
	if n := utf8.RuneCountInString(p); n < h.minLength {
		return fault.At("password", "a password has at least %d characters, and this one has %d: choose a longer one, for instance a few words", h.minLength, n)
	}
	if err := h.scheme.fits(p); err != nil {
		return err
	}
	if isCommon(p) {
		return fault.At("password", "this password is one of those that are guessed first: choose another, for instance a few words that do not belong together")
	}
	if isContext(p, append([]string{"doorward"}, context...)) {
		return fault.At("password", "this password is little more than a name that goes with the account: choose one that has nothing to do with it")
	}
	return nil
}

// fewDigits is how many digits before or after a word make no password of it: a
// date has six or eight.
const fewDigits = 8

// isContext reports whether a password is one of the words, or one and a few
// digits, in whatever case. The parts of an address or a host are words too,
// from four characters on.
func isContext(password string, context []string) bool {
	p := strings.ToLower(password)
	for _, c := range context {
		c = norm.NFC.String(strings.ToLower(c))
		words := strings.FieldsFunc(c, func(r rune) bool { return strings.ContainsRune("@.:/+", r) })
		for _, w := range words {
			if utf8.RuneCountInString(w) >= 4 && isWithDigits(p, w) {
				return true
			}
		}
		if before, _, ok := strings.Cut(c, "@"); ok && isWithDigits(p, before) {
			return true
		}
		if isWithDigits(p, c) {
			return true
		}
	}
	return false
}

func isWithDigits(password, word string) bool {
	if word == "" {
		return false
	}
	rest, ok := strings.CutPrefix(password, word)
	if !ok {
		rest, ok = strings.CutSuffix(password, word)
	}
	return ok && len(rest) <= fewDigits && strings.Trim(rest, "0123456789") == ""
}
