package config_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/config"
)

func readAllowed(list string) (config.Config, error) {
	return config.Read(config.Sources{Mode: config.Dev, Flags: map[string]string{"--set fetch.allow": list}})
}

func TestExceptions(t *testing.T) {
	for text, want := range map[string]config.Exception{
		"keys.internal":      {Host: "keys.internal"},
		"localhost":          {Host: "localhost"},
		"keys.internal:8443": {Host: "keys.internal", Port: 8443},
		"10.1.2.3":           {Network: netip.MustParsePrefix("10.1.2.3/32")},
		"10.1.2.3:9000":      {Network: netip.MustParsePrefix("10.1.2.3/32"), Port: 9000},
		"10.1.0.0/16":        {Network: netip.MustParsePrefix("10.1.0.0/16")},
		"fd00::1":            {Network: netip.MustParsePrefix("fd00::1/128")},
		"[fd00::1]:443":      {Network: netip.MustParsePrefix("fd00::1/128"), Port: 443},
		"fd00::/8":           {Network: netip.MustParsePrefix("fd00::/8")},
	} {
		c, err := readAllowed(text)
		if err != nil || len(c.Fetch.Allow) != 1 || c.Fetch.Allow[0] != want {
			t.Errorf("%s: %+v, %v", text, c.Fetch.Allow, err)
		} else if got := c.Fetch.Allow[0].String(); got != text {
			t.Errorf("%s is written as %s", text, got)
		}
	}
	if c, err := readAllowed("a.example,10.0.0.0/8"); err != nil || len(c.Fetch.Allow) != 2 {
		t.Errorf("two: %+v, %v", c.Fetch.Allow, err)
	}
}

func TestAttackSSRF001ExceptionsThatAreNone(t *testing.T) {
	for _, text := range []string{
		"*", "*.example.com", "https://keys.internal", "keys.internal/path", "Keys.Internal", "keys.internal:", "keys.internal:0", "keys.internal:65536", "keys.internal:0443",
		"keys.internal:80:80", ":443", "0.0.0.0/0", "::/0", "10.0.0.0/6", "10.1.2.3/8", "10.0.0.0/33", "10.0.0.0/8:443", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "fe80::1%lo",
		"[fd00::1]:", "fd00::1:443:x", "127.1", "0x7f000001", "127.0.0.1.", "user@keys.internal", "keys internal",
	} {
		if c, err := readAllowed(text); err == nil {
			t.Errorf("%q is taken for %+v", text, c.Fetch.Allow)
		} else if !strings.Contains(err.Error(), "fetch.allow") {
			t.Errorf("%q: the error does not name the setting: %v", text, err)
		}
	}
}
