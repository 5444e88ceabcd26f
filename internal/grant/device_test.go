package grant_test

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/grant"
)

// A code has letters of the alphabet alone, each as likely, and is read back however
// people type it.
func TestUserCode(t *testing.T) {
	t.Parallel()
	counts := map[rune]int{}
	for range 5000 {
		c := grant.NewUserCode()
		for _, r := range string(c) {
			counts[r]++
		}
		if back, ok := grant.ParseUserCode(strings.ToLower(c.String())); !ok || back != c {
			t.Fatalf("%s is read as %s", c, back)
		}
	}
	if len(counts) != 20 {
		t.Errorf("there are %d letters", len(counts))
	}
	for r, n := range counts { // 2000 are expected, with a deviation of 44
		if strings.ContainsRune("AEIOUY0123456789", r) || n < 1700 || n > 2300 {
			t.Errorf("%c comes %d times", r, n)
		}
	}
	for typed, want := range map[string]string{
		"WDJB-MJHT": "WDJBMJHT", "wdjbmjht": "WDJBMJHT", " wdjb mjht\t": "WDJBMJHT", "WDJB‐MJHT": "WDJBMJHT", "WD.JB_MJ:HT": "WDJBMJHT",
		"WDJB-MJH": "", "WDJB-MJHTT": "", "WDJB-MJHA": "", "WDJB-MJH7": "", "WDJB-MJHТ": "", "": "", strings.Repeat("-", 65) + "WDJBMJHT": "",
	} {
		if c, ok := grant.ParseUserCode(typed); ok != (want != "") || ok && string(c) != want {
			t.Errorf("%q is read as %q, %t", typed, c, ok)
		}
	}
}

// Codes of one kind are not taken for another.
func TestDeviceCode(t *testing.T) {
	t.Parallel()
	newDevice, hash := grant.NewDeviceCode()
	newCode, _ := grant.NewCode()
	device, code := newDevice.Reveal(), newCode.Reveal()
	if back, ok := grant.ParseDeviceCode(device); !ok || back != hash || !strings.HasPrefix(device, "dwd_") {
		t.Errorf("%s is no device code", device)
	}
	if _, ok := grant.ParseDeviceCode(code); ok {
		t.Error("an authorization code is a device code")
	}
	if _, ok := grant.ParseCode(device); ok {
		t.Error("a device code is an authorization code")
	}
}
