package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Address is where a server listens.
type Address struct {
	Host string // an IP address, "localhost", or empty for every address of the machine
	Port uint16 // 0: any that is free; never with an empty Host, which is no Address
}

// String returns the address as net.Listen takes it, like 127.0.0.1:8080.
func (a Address) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))) }

// Loopback reports whether this machine alone can reach the address.
func (a Address) Loopback() bool { return loopback(a.Host) }

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func address(field func(*Config) *Address) form {
	return one("an IP address or localhost, and a port, like 127.0.0.1:8080; :8080 is every address of the machine", field, parseAddress,
		func(a Address) string {
			if a == (Address{}) {
				return ""
			}
			return a.String()
		})
}

func parseAddress(s string) (Address, error) {
	host, port, err := net.SplitHostPort(s)
	n, badPort := strconv.ParseUint(port, 10, 16)
	if err != nil || badPort != nil {
		return Address{}, fmt.Errorf("%s is not an address with a port; write it like 127.0.0.1:8080, [::1]:8080, or :8080 for every address", quote(s))
	}
	if host == "" && n == 0 {
		return Address{}, fmt.Errorf("%s names neither an address nor a port", quote(s))
	}
	// A name could mean another address tomorrow, and with it another risk.
	if _, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" {
		return Address{}, fmt.Errorf("%s is not an IP address; a server listens on an IP address or on localhost", quote(host))
	}
	return Address{Host: host, Port: uint16(n)}, nil
}

func hosts(field func(*Config) *[]string) form {
	return many("host names without scheme and port, IPv6 addresses in brackets", field, func(s string) (string, error) {
		return s, checkHost(s)
	}, same)
}

func host(field func(*Config) *string) form {
	return one("a host name, or an IP address, IPv6 in brackets", field, func(s string) (string, error) { return s, checkHost(s) }, same)
}

// checkHost tells what is wrong with the host of a URL or of a Host header. Only
// the form that browsers send is accepted, so that hosts can be compared as text.
func checkHost(s string) error {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		if !ok || err != nil || !ip.Is6() || ip.Is4In6() || ip.Zone() != "" {
			return fmt.Errorf("%s is not an IPv6 address in brackets, like [::1]", quote(s))
		}
		if ip.String() != inner {
			return fmt.Errorf("%s is not in its normal form; write [%s]", quote(s), ip)
		}
		return nil
	}
	if ip, err := netip.ParseAddr(s); err == nil && ip.Is4() {
		return nil
	} else if err == nil {
		return fmt.Errorf("%s is an IPv6 address without brackets; write [%s]", quote(s), s)
	}
	if lower := strings.ToLower(s); lower != s {
		return fmt.Errorf("%s has capital letters; write %s", quote(s), quote(lower))
	}
	labels := strings.Split(s, ".")
	if len(s) > 253 || slices.ContainsFunc(labels, func(l string) bool { return !validLabel(l) }) {
		return fmt.Errorf("%s is not a host name; write it like auth.example.com, without scheme, port, path or *, and in its xn-- form if it is not ASCII", quote(s))
	}
	if number.MatchString(labels[len(labels)-1]) {
		return fmt.Errorf("%s ends in a number and is no IPv4 address", quote(s))
	}
	return nil
}

// number matches the last label of what browsers take for an IPv4 address
// (WHATWG URL, Section 3.5: "ends in a number").
var number = regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`)

// Public reports whether a host, in the form of a Host header, is a DNS name that
// an authority could give a certificate for.
func Public(host string) bool {
	_, err := netip.ParseAddr(host)
	return err != nil && !strings.HasPrefix(host, "[") && strings.Contains(host, ".") && checkHost(host) == nil
}

func validLabel(l string) bool {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(l, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// hostOf returns the host of a URL without its port, IPv6 in brackets.
func hostOf(u *url.URL) string { return strings.TrimSuffix(u.Host, ":"+u.Port()) }

// union adds to list what it lacks.
func union(list []string, more ...string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func prefixes(field func(*Config) *[]netip.Prefix) form {
	return many("IP addresses and networks, like 10.0.0.0/8; none wider than /8 (IPv4) or /16 (IPv6; private /7)", field, parsePrefix,
		func(p netip.Prefix) string {
			if p.IsSingleIP() {
				return p.Addr().String()
			}
			return p.String()
		})
}

// parsePrefix parses an address or a network of proxies. A network that holds
// most of the world would let anybody say where he calls from.
func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if ip, notIP := netip.ParseAddr(s); notIP == nil && ip.Zone() == "" {
		p, err = netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is not an IP address or a network; write it like 10.0.0.7 or 10.0.0.0/8", quote(s))
	}
	widest := 8
	if p.Addr().Is6() {
		widest = 16
		if p.Addr().IsPrivate() {
			widest = 7
		}
	}
	switch {
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%s is IPv4 in IPv6; write it as IPv4", quote(s))
	case p.Bits() < widest:
		return netip.Prefix{}, fmt.Errorf("%s trusts addresses that are not yours, and each could say that it is anybody; name the addresses of your proxies", quote(s))
	case p.Masked() != p:
		return netip.Prefix{}, fmt.Errorf("%s has bits beyond its length; write %s", quote(s), p.Masked())
	}
	return p, nil
}

func httpsURL(field func(*Config) *string) form {
	return one("an https URL", field, func(s string) (string, error) {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
			return "", fmt.Errorf("%s is not an https URL", quote(s))
		}
		return s, checkAuthority(u)
	}, same)
}

func origins(field func(*Config) *[]string) form {
	return many("exact origins, like https://app.example.com", field, func(s string) (string, error) { return s, checkOrigin(s) }, same)
}

// checkOrigin accepts an origin as browsers send it (RFC 6454, Section 6.2), and
// nothing that stands for several.
func checkOrigin(s string) error {
	switch {
	case s == "null":
		return errors.New(`"null" is the origin of every sandboxed page, a stranger's too; list exact origins`)
	case strings.Contains(s, "*"):
		return fmt.Errorf("%s is a pattern and lets in origins that nobody looked at; list exact origins", quote(s))
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || s != u.Scheme+"://"+u.Host {
		return errors.New("is not an origin; write scheme, host and port if it has one, like https://app.example.com, without a slash at the end")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return fmt.Errorf("%s is plain http, which anybody on the way can speak for; use https", quote(s))
	}
	return checkAuthority(u)
}

// checkAuthority tells what is wrong with the host and port of a URL.
func checkAuthority(u *url.URL) error {
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		n, err := strconv.ParseUint(port, 10, 16)
		standard := u.Scheme == "https" && n == 443 || u.Scheme == "http" && n == 80
		if err != nil || n == 0 || standard || strconv.FormatUint(n, 10) != port {
			return fmt.Errorf("the port of %s is missing, not a port, or the usual one of %s, which is left out", quote(u.Host), u.Scheme)
		}
	}
	return checkHost(hostOf(u))
}
