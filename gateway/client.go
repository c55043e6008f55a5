package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"wsfpm/gateway/config"
)

// maxHops is the maximum length of the list in a forwarding header.
const maxHops = 16

// client is the sender of a handshake, as far as it is known.
type client struct {
	addr    netip.Addr
	port    uint16 // 0 if the address was forwarded
	known   bool   // addr is the client's own; else that of a proxy that did not forward one
	trusted bool   // the peer is a trusted proxy
	secure  bool   // the client speaks TLS to the proxy
	unix    bool   // the peer is connected by a unix socket
}

// clientOf determines the sender of r. X-Forwarded-For is used only from a trusted peer,
// and read from the right: trusted hops are skipped, the first other address is the
// client's. The rest is ignored, because a client can forge it.
func clientOf(r *http.Request, trust config.Trusted) (client, error) {
	c := client{known: true}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.addr = peer.Addr().Unmap().WithZone("")
		c.port = peer.Port()
		c.trusted = trust.Contains(c.addr)
	} else {
		c.addr, c.unix = netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
		c.known, c.trusted = false, trust.Unix
	}
	if !c.trusted {
		return c, nil
	}
	hops, err := forwarded(r, "X-Forwarded-For")
	if err != nil {
		return c, err
	}
	protos, err := forwarded(r, "X-Forwarded-Proto")
	if err != nil {
		return c, err
	}
	c.secure = slices.ContainsFunc(protos, isSecure)
	addr, found := forwardedFor(hops, trust)
	if c.known = found; found {
		c.addr, c.port = addr, 0
	}
	return c, nil
}

// forwarded returns the list in a forwarding header: all its lines in order, split at
// commas, without spaces and empty elements (RFC 9110, 5.6.1).
func forwarded(r *http.Request, name string) (list []string, err error) {
	for _, line := range r.Header.Values(name) {
		for element := range strings.SplitSeq(line, ",") {
			if element = strings.TrimSpace(element); element != "" {
				list = append(list, element)
			}
		}
	}
	if len(list) > maxHops {
		return nil, fmt.Errorf("%s has %d elements, at most %d are allowed", name, len(list), maxHops)
	}
	return list, nil
}

// isSecure reports whether a hop was encrypted. One such hop enables the stricter check of
// the origin: proxies append to the list or replace it, so the client's own hop may be
// anywhere in it.
func isSecure(proto string) bool {
	return strings.EqualFold(proto, "https") || strings.EqualFold(proto, "wss")
}

// forwardedFor returns the client's address in X-Forwarded-For.
func forwardedFor(hops []string, trust config.Trusted) (addr netip.Addr, found bool) {
	for _, text := range slices.Backward(hops) {
		hop, err := parseHop(text)
		if err != nil {
			return addr, found // elements further left are not trustworthy
		}
		addr, found = hop, true
		if !trust.Contains(hop) {
			break
		}
	}
	return addr, found
}

// parseHop parses an address, with or without a port.
func parseHop(s string) (netip.Addr, error) {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return addr.Unmap().WithZone(""), err
}

// limitKey is the key of the limit per address: the address, or the /64 prefix for IPv6,
// since one subscriber has all of it.
func (c *client) limitKey() netip.Addr {
	if c.addr.Is4() {
		return c.addr
	}
	prefix, err := c.addr.Prefix(64)
	if err != nil {
		return c.addr
	}
	return prefix.Addr()
}

func portText(port uint16) string { return strconv.FormatUint(uint64(port), 10) }
