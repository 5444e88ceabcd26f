package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Exception is a place that the server may fetch from although it is not on the public
// Internet, or not https, or at another port: a host or a network, with a port or any.
type Exception struct {
	Host    string // as in a URL, IPv6 without brackets; empty for a network
	Port    uint16 // 0 for any
	Network netip.Prefix
}

// String returns the exception as an operator writes it.
func (e Exception) String() string {
	place := e.Host
	switch {
	case place != "":
	case !e.Network.IsSingleIP():
		return e.Network.String()
	case e.Network.Addr().Is6() && e.Port != 0:
		place = "[" + e.Network.Addr().String() + "]"
	default:
		place = e.Network.Addr().String()
	}
	if e.Port != 0 {
		place += ":" + strconv.Itoa(int(e.Port))
	}
	return place
}

func exceptions(field func(*Config) *[]Exception) form {
	return many("hosts and IP addresses, with a port or without, and networks, like keys.internal:8443, 10.1.2.3 or 10.1.0.0/16", field, parseException, Exception.String)
}

func parseException(s string) (Exception, error) {
	if strings.Contains(s, "/") {
		return parseAllowed(s)
	}
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" && !ip.Is4In6() {
		return Exception{Network: netip.PrefixFrom(ip, ip.BitLen())}, nil
	}
	host, port := s, ""
	if at := strings.LastIndexByte(s, ':'); at >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:at], s[at+1:]
	}
	var e Exception
	if host != s {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return e, fmt.Errorf("%s has no port behind its colon; write it like keys.internal:8443", quote(s))
		}
		e.Port = uint16(n)
	}
	if err := checkHost(host); err != nil {
		return Exception{}, err
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		e.Network = netip.PrefixFrom(ip, ip.BitLen())
	} else {
		e.Host = host
	}
	return e, nil
}

// parseAllowed parses a network. One that holds most of the world is no exception.
func parseAllowed(s string) (Exception, error) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Is4In6():
		return Exception{}, fmt.Errorf("%s is not a network; write it like 10.1.0.0/16", quote(s))
	case p.Masked() != p:
		return Exception{}, fmt.Errorf("%s has bits beyond its length; write %s", quote(s), p.Masked())
	case p.Bits() < 7:
		return Exception{}, fmt.Errorf("%s is most of all addresses; name those that the server may fetch from", quote(s))
	}
	return Exception{Network: p}, nil
}
