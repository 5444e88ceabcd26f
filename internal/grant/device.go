package grant

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/secret"
)

// Device is a device that waits for a person to let it act (RFC 8628).
type Device struct {
	Hash     secret.Hash // of the device code
	UserCode UserCode
	Given           // but for the client and the audience, empty until a person allowed it; Scope is what was asked for
	Address  string // where the device is. Personal data
	Agent    string // what it calls itself
	Created  time.Time
	Expires  time.Time
	Interval time.Duration // between two questions
	Decision Decision
	Used     time.Time // zero: it was not
	Family   string    // what came of it
}

const (
	// DeviceLasts is how long a person has to find another device and type the code.
	DeviceLasts = 10 * time.Minute
	// DeviceInterval is how long a device waits between two questions, and by how much
	// longer each time that it did not (RFC 8628, Sections 3.2 and 3.5).
	DeviceInterval = 5 * time.Second
	// DeviceLeeway is how much too early a question may come: what was sent in time may
	// overtake what was sent before it.
	DeviceLeeway = time.Second

	devicePrefix = "dwd_"
)

// Lives is as that of a Code.
func (d Device) Lives(now time.Time) bool {
	return now.Before(d.Expires) && now.After(d.Created.Add(-DeviceLasts))
}

// NewDeviceCode is NewCode for device codes, which begin with "dwd_".
func NewDeviceCode() (secret.Text, secret.Hash) { return secret.NewToken(devicePrefix) }

// ParseDeviceCode is ParseCode for device codes.
func ParseDeviceCode(text string) (secret.Hash, bool) { return secret.ParseToken(devicePrefix, text) }

// UserCode is what a person types, without its hyphen. No words can come of its letters,
// and none of them is taken for another (RFC 8628, Section 6.1).
type UserCode string

const (
	userLetters  = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeSize = 8 // 20^8 codes: 34.6 bits
)

// NewUserCode returns a random code.
func NewUserCode() UserCode {
	code := make([]byte, 0, userCodeSize)
	var b [2 * userCodeSize]byte
	for len(code) < userCodeSize {
		rand.Read(b[:]) // it never fails: the program ends before
		for _, n := range b {
			if n < 240 && len(code) < userCodeSize { // 240 is the largest multiple of 20: each letter is as likely
				code = append(code, userLetters[n%20])
			}
		}
	}
	return UserCode(code)
}

// ParseUserCode reads a code as people type it: in small letters too, and with anything
// between that is no letter or digit. ok is false for what was never one.
func ParseUserCode(text string) (c UserCode, ok bool) {
	if len(text) > 64 {
		return "", false
	}
	var code []byte
	for _, r := range strings.ToUpper(text) {
		switch {
		case strings.ContainsRune(userLetters, r):
			code = append(code, byte(r))
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 0x80 && r != '‐' && r != '–' && r != '\u00a0':
			return "", false
		}
	}
	return UserCode(code), len(code) == userCodeSize
}

// String returns the code as it is shown: XXXX-XXXX.
func (c UserCode) String() string {
	if len(c) != userCodeSize {
		return string(c)
	}
	return string(c[:4]) + "-" + string(c[4:])
}
