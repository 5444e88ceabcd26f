package session

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/secret"
)

// Device is a browser that signed in before, as its cookie says: its own id, and
// a MAC for each account that signed in on it. It lets nobody in; it only tells
// the owner's browser from a stranger's, who may have locked the account for
// himself (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
//
// The cookie names no account: which ones it knows can only be asked by who has
// the key.
type Device struct {
	ID   string   // 22 characters of base64url
	macs []string // the newest last
}

const (
	deviceSize   = 16
	mostAccounts = 5 // that one browser is remembered for
)

// NewDevice returns a device that knows nobody.
func NewDevice() Device {
	return Device{ID: strict.EncodeToString(secret.Random(deviceSize))}
}

// ParseDevice reads what Cookie writes under one of the peppers, and returns which. It
// returns false for anything else.
func ParseDevice(cookie string, peppers secret.Peppers) (Device, secret.Pepper, bool) {
	if len(cookie) > 512 {
		return Device{}, secret.Pepper{}, false
	}
	parts := strings.Split(cookie, ".")
	if len(parts) < 3 || len(parts) > 2+mostAccounts {
		return Device{}, secret.Pepper{}, false
	}
	version, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil || strconv.FormatInt(version, 10) != parts[0] {
		return Device{}, secret.Pepper{}, false
	}
	for _, p := range parts[1:] {
		if raw, err := strict.DecodeString(p); err != nil || len(raw) != deviceSize || len(p) != strict.EncodedLen(deviceSize) {
			return Device{}, secret.Pepper{}, false
		}
	}
	p, ok := peppers.Version(version)
	if !ok {
		return Device{}, secret.Pepper{}, false
	}
	return Device{ID: parts[1], macs: parts[2:]}, p, true
}

// Knows reports whether user signed in on d, as a key that made its MACs says.
func (d Device) Knows(user string, p secret.Pepper) bool {
	want := secret.From(d.mac(user, p))
	known := false
	for _, m := range d.macs { // all of them, so that the time does not tell which
		known = secret.From(m).Equal(want) || known
	}
	return known
}

// With returns d as a device that knows user too. The account that it has known
// for longest without a sign-in makes way.
func (d Device) With(user string, p secret.Pepper) Device {
	m := d.mac(user, p)
	macs := slices.DeleteFunc(slices.Clone(d.macs), func(o string) bool { return o == m })
	macs = append(macs, m)
	d.macs = macs[max(0, len(macs)-mostAccounts):]
	return d
}

// Cookie returns the value of the cookie: version.id.mac…
func (d Device) Cookie(p secret.Pepper) secret.Text {
	return secret.From(strings.Join(append([]string{strconv.FormatInt(p.Version, 10), d.ID}, d.macs...), "."))
}

func (d Device) mac(user string, p secret.Pepper) string {
	h := secret.MAC(p.Key, "doorward device", []byte(d.ID), []byte(user))
	return base64.RawURLEncoding.EncodeToString(h[:deviceSize])
}
