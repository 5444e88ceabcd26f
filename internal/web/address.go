package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the addresses whose word about a request's origin is taken.
type Proxies []netip.Prefix

// Trust reports whether a is one of them.
func (p Proxies) Trust(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// Client returns the address that a request came from: the peer of the
// connection, or, where that is trusted, the last address of X-Forwarded-For
// that is not. A header that cannot be read names nobody: the peer counts.
func (p Proxies) Client(r *http.Request) netip.Addr {
	peer := peerOf(r)
	if !p.Trust(peer) {
		return peer
	}
	var hops []string
	for _, line := range r.Header.Values("X-Forwarded-For") {
		hops = append(hops, strings.Split(line, ",")...)
	}
	client := peer
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return peer
		}
		client = hop.Unmap().WithZone("")
		if !p.Trust(client) {
			break
		}
	}
	return client
}

// Secure reports whether the request came over HTTPS: as a trusted proxy says,
// also one that speaks TLS here for a client that did not; else by its connection.
func (p Proxies) Secure(r *http.Request) bool {
	if said := r.Header.Values("X-Forwarded-Proto"); len(said) > 0 && p.Trust(peerOf(r)) {
		return len(said) == 1 && said[0] == "https"
	}
	return r.TLS != nil
}

// network returns what limits count an address by. Whoever has an IPv6 address
// has the 2^64 of its network (RFC 6177, Section 2).
func network(a netip.Addr) string {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return text(a)
}

func peerOf(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}
