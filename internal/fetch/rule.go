package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// rules say where requests may go.
type rules struct {
	allow    []Exception
	resolver *net.Resolver // the system's, but in tests
}

// ports are those of any place; others are exceptions.
var ports = []uint16{443, 8443}

// Check returns an error for a URL that is never asked, whatever its name means: the
// text says what to write instead.
func (r *rules) Check(place string) error {
	u, err := url.Parse(place)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return errors.New("it is not a URL with a host")
	case u.User != nil:
		return errors.New("it has a user name or a password in it")
	case strings.Contains(place, "#"):
		return errors.New("it has a fragment")
	case strings.ContainsFunc(u.Host, func(c rune) bool { return c <= ' ' || c > '~' || c == '%' }):
		return errors.New("its host is not in ASCII, or has a zone")
	}
	port, err := portOf(u)
	if err != nil {
		return err
	}
	ip, notIP := netip.ParseAddr(u.Hostname())
	switch {
	case r.host(u.Hostname(), port), notIP == nil && r.network(ip, port):
		if u.Scheme != "https" && u.Scheme != "http" {
			return errors.New("it is neither https nor http")
		}
		return nil
	case u.Scheme != "https":
		return errors.New("it is not https")
	case !slices.Contains(ports, port):
		return errors.New("its port is neither 443 nor 8443")
	case notIP == nil && special(ip):
		return errors.New("its address is not one of the public Internet")
	}
	return nil
}

func portOf(u *url.URL) (uint16, error) {
	if u.Port() == "" {
		if u.Scheme == "http" {
			return 80, nil
		}
		return 443, nil
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return 0, errors.New("its port is none")
	}
	return uint16(port), nil
}

// dial connects to an address of a URL: a host and a port. Where the host means several
// addresses, each is judged.
func (r *rules) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Control: r.control, Resolver: r.resolver}
	if r.host(host, uint16(number)) {
		d.Control = nil
	}
	return d.DialContext(ctx, network, address)
}

// control is asked with the address that a connection is about to be opened to.
func (r *rules) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	switch {
	case r.network(at.Addr(), at.Port()):
		return nil
	case special(at.Addr()):
		return fmt.Errorf("%s is not an address of the public Internet, and fetch.allow does not name it", at.Addr())
	case !slices.Contains(ports, at.Port()):
		return fmt.Errorf("the port %d is not one of %v, and fetch.allow does not name it", at.Port(), ports)
	}
	return nil
}

// host reports whether a host is an exception at a port.
func (r *rules) host(name string, port uint16) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(r.allow, func(e Exception) bool { return e.Host != "" && e.Host == name && (e.Port == 0 || e.Port == port) })
}

// network reports whether an address is in a network that is an exception.
func (r *rules) network(ip netip.Addr, port uint16) bool {
	ip = ip.Unmap()
	return slices.ContainsFunc(r.allow, func(e Exception) bool {
		return e.Host == "" && e.Network.Contains(ip) && (e.Port == 0 || e.Port == port)
	})
}

// reserved are the special-purpose addresses of the registries of IANA (RFC 6890), those
// among them that are reachable too: what stands there is nobody's site. Of IPv6 all is
// special but global unicast (RFC 4291, Section 2.4), so that these are the parts of it.
var reserved = parse(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
)

var unicast = netip.MustParsePrefix("2000::/3")

func parse(list ...string) []netip.Prefix {
	prefixes := make([]netip.Prefix, len(list))
	for i, text := range list {
		prefixes[i] = netip.MustParsePrefix(text)
	}
	return prefixes
}

// special reports whether an address is no place of the public Internet.
func special(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsValid() || ip.Zone() != "" || ip.Is6() && !unicast.Contains(ip) {
		return true
	}
	return slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(ip) })
}
