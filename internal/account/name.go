package account

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"

	"github.com/doorward/doorward/internal/fault"
)

// ParseUsername returns the canonical form of a username: ASCII letters in
// lower case, digits, dot, underscore and hyphen, 1 to 64 of them. Nothing else
// is folded or trimmed: a letter that only looks like another is refused.
func ParseUsername(s string) (string, error) {
	if s == "" || len(s) > 64 {
		return "", fault.At("username", "a username has 1 to 64 characters")
	}
	b := []byte(s)
	for i, c := range b {
		switch {
		case c >= 'A' && c <= 'Z':
			b[i] = c + ('a' - 'A')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return "", fault.At("username", "a username is made of the letters a to z, digits, dot, underscore and hyphen")
		}
	}
	return string(b), nil
}

// Email is an address as its owner wrote it, and the key by which two ways of
// writing one address are known for the same.
type Email struct{ text, key string }

// String returns the address as it was written.
func (e Email) String() string { return e.text }

// Key returns the canonical form: the local part by the PRECIS profile
// UsernameCaseMapped (RFC 8265, Section 3.3), the domain in A-labels (RFC 5891,
// Section 4).
func (e Email) Key() string { return e.key }

// IsZero reports whether there is no address.
func (e Email) IsZero() bool { return e.key == "" }

// KeptEmail returns an address that was parsed before it was kept.
func KeptEmail(text, key string) Email { return Email{text, key} }

var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true), idna.Transitional(false))

const (
	longestEmail = 254 // bytes, as it is written and as it is folded
	longestLocal = 64
)

// ParseEmail reads an address of the form local@domain, at most 254 bytes (RFC
// 5321, Section 4.5.3.1). Quoted local parts and address literals are refused:
// no mail system that people use gives them out, and parsers disagree on them.
func ParseEmail(s string) (Email, error) {
	bad := func(why string) (Email, error) { return Email{}, fault.At("email", "%s", why) }
	if len(s) > longestEmail {
		return bad("an email address has at most 254 bytes")
	}
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || domain == "" || strings.Contains(domain, "@") {
		return bad("an email address has the form name@domain")
	}
	key, err := precis.UsernameCaseMapped.String(local)
	if len(local) > longestLocal || len(key) > longestLocal {
		return bad("the part before the @ has at most 64 bytes")
	}
	if err != nil || !utf8.ValidString(s) || !dotAtom(key) { // as it is folded: a wide ＠ becomes an @
		return bad("the part before the @ holds a character that is not allowed in it")
	}
	ascii, ok := hostName(domain)
	if !ok {
		return bad("the part after the @ is not a domain name")
	}
	if key += "@" + ascii; len(key) > longestEmail {
		return bad("an email address has at most 254 bytes")
	}
	return Email{text: s, key: key}, nil
}

// hostName returns a domain in A-labels.
func hostName(s string) (string, bool) {
	ascii, err := domains.ToASCII(s)
	if err != nil || strings.ContainsFunc(s, invisible) || !strings.Contains(ascii, ".") && ascii != "localhost" || strings.HasSuffix(ascii, ".") {
		return "", false
	}
	again, err := domains.ToASCII(ascii) // the rules are held against what was written, not what became of it
	return ascii, err == nil && again == ascii
}

// invisible reports whether nobody sees r. The mapping of domains drops some of
// these without a word, and leaves them in the address that is kept.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// dotAtom reports whether s is a dot-atom (RFC 5322, Section 3.2.3), where
// characters beyond ASCII are allowed (RFC 6531, Section 3.3).
func dotAtom(s string) bool {
	if strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
		return false
	}
	for _, r := range s {
		ok := r > unicode.MaxASCII || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune(".!#$%&'*+/=?^_`{|}~-", r)
		if !ok {
			return false
		}
	}
	return true
}

// Login is a name to sign in with, parsed: a username or an email. The two
// cannot be confused, since a username never holds an @.
type Login struct {
	Username   string
	EmailKey   string
	Unverified bool // an email that was not proved counts too
}

// ParseLogin reads what was typed as a name. It reports false for what can be
// nobody's name.
func ParseLogin(s string) (Login, bool) {
	if strings.Contains(s, "@") {
		e, err := ParseEmail(s)
		return Login{EmailKey: e.Key()}, err == nil
	}
	name, err := ParseUsername(s)
	return Login{Username: name}, err == nil
}

// searchable folds the beginning of a name or an address as the whole is
// folded. It reports false for what begins none.
func searchable(s string) (string, bool) {
	if len(s) > longestEmail || !utf8.ValidString(s) {
		return "", false
	}
	if e, err := ParseEmail(s); err == nil {
		return e.Key(), true
	}
	local, domain, at := strings.Cut(s, "@")
	key, err := precis.UsernameCaseMapped.String(local)
	if err != nil {
		return "", false
	}
	if at {
		key += "@" + strings.ToLower(domain)
	}
	return key, true
}

// Profile is what OpenID Connect can tell of a person (OpenID Connect Core 1.0,
// Section 5.1), but for the name and the email, which stand in the User.
type Profile struct {
	GivenName  string `json:"given_name,omitempty"`
	FamilyName string `json:"family_name,omitempty"`
	MiddleName string `json:"middle_name,omitempty"`
	Nickname   string `json:"nickname,omitempty"`
	Website    string `json:"website,omitempty"`
	Picture    string `json:"picture,omitempty"`
	Gender     string `json:"gender,omitempty"`
	Birthdate  string `json:"birthdate,omitempty"`
	Zoneinfo   string `json:"zoneinfo,omitempty"`
	Locale     string `json:"locale,omitempty"`
}

// The bounds of what is kept of a person.
const (
	longestText       = 256
	largestAttributes = 16 << 10
)

// check holds the bounds of what a person or an administrator wrote.
func (u User) check() error {
	p := u.Profile
	for _, f := range []struct{ field, text string }{
		{"name", u.Name},
		{"profile.given_name", p.GivenName},
		{"profile.family_name", p.FamilyName},
		{"profile.middle_name", p.MiddleName},
		{"profile.nickname", p.Nickname},
		{"profile.website", p.Website},
		{"profile.picture", p.Picture},
		{"profile.gender", p.Gender},
		{"profile.birthdate", p.Birthdate},
		{"profile.zoneinfo", p.Zoneinfo},
		{"profile.locale", p.Locale},
	} {
		if len(f.text) > longestText || !utf8.ValidString(f.text) || strings.ContainsFunc(f.text, unicode.IsControl) {
			return fault.At(f.field, "it has at most %d bytes of text, without control characters", longestText)
		}
	}
	for field, link := range map[string]string{"profile.website": p.Website, "profile.picture": p.Picture} {
		if link != "" && !strings.HasPrefix(link, "https://") && !strings.HasPrefix(link, "http://") {
			return fault.At(field, "it begins with https:// or http://")
		}
	}
	if u.Status != Active && u.Status != Disabled {
		return fault.At("status", "it is active or disabled")
	}
	if len(u.Attributes) > largestAttributes {
		return fault.At("attributes", "they have at most %d bytes", largestAttributes)
	}
	if len(u.Attributes) > 0 {
		var object map[string]any
		if err := json.Unmarshal(u.Attributes, &object); err != nil || object == nil || !utf8.Valid(u.Attributes) {
			return fault.At("attributes", "they are a JSON object").Because(err)
		}
	}
	return nil
}
