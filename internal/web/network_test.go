package web

import (
	"net/http"
	"net/netip"
	"testing"
)

// Whoever has an IPv6 address has all 2^64 of its network: limits count them as
// one. What is written down is the address.
func TestAttackOneNetworkCountsAsOne(t *testing.T) {
	const proxy = "10.0.0.1:443"
	s := Site{Hosts: []string{"auth.example"}, Proxies: Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	for _, tt := range []struct{ peer, forwarded, address, network string }{
		{"[2001:db8:1:2::1]:5", "", "2001:db8:1:2::1", "2001:db8:1:2::/64"},
		{"[2001:db8:1:2:ffff:ffff:ffff:ffff]:5", "", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"},
		{"[2001:db8:1:3::1]:5", "", "2001:db8:1:3::1", "2001:db8:1:3::/64"},
		{"[fe80::1%eth0]:5", "", "fe80::1", "fe80::/64"},
		{"[::1]:5", "", "::1", "::/64"},
		{"192.0.2.7:5", "", "192.0.2.7", "192.0.2.7"},
		{"[::ffff:192.0.2.7]:5", "", "192.0.2.7", "192.0.2.7"}, // or all of IPv4 would be one
		{proxy, "2001:db8:1:2::77", "2001:db8:1:2::77", "2001:db8:1:2::/64"},
		{"[fd00::1]:443", "2001:DB8:1:2:0:0:0:78", "2001:db8:1:2::78", "2001:db8:1:2::/64"},
		{proxy, "::ffff:192.0.2.8", "192.0.2.8", "192.0.2.8"},
		{proxy, "fe80::2%a", "fe80::2", "fe80::/64"},
		{proxy, "fe80::2%b", "fe80::2", "fe80::/64"},
		{proxy, "2001:db8:1:2::/64", "10.0.0.1", "10.0.0.1"},
		{"[2001:db8:9:9::9]:5", "2001:db8:1:2::1", "2001:db8:9:9::9", "2001:db8:9:9::/64"}, // nobody trusts him
		{"@", "", "", ""},
	} {
		r := request("/")
		r.RemoteAddr = tt.peer
		if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-For", tt.forwarded)
		}
		around(s, r, func(_ http.ResponseWriter, r *http.Request) {
			if from := By(r.Context()).Origin; from.Address != tt.address || from.Network != tt.network {
				t.Errorf("%s, forwarded for %q: %q of %q, want %q of %q", tt.peer, tt.forwarded, from.Address, from.Network, tt.address, tt.network)
			}
		})
	}
}
