package gateway

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"wsfpm/gateway/config"
)

// maxHops bounds X-Forwarded-For.
const maxHops = 16

// client is who sends a handshake, as far as it can be known.
type client struct {
	addr    netip.Addr
	port    string // "0" when the address was forwarded
	known   bool   // addr is the client's own; else it is a proxy that did not say whose
	trusted bool   // the peer is a trusted proxy
	secure  bool   // the client speaks TLS to the proxy
	unix    bool   // the peer came by a unix socket
}

// clientOf works out who sends r. From a trusted peer X-Forwarded-For is read
// from the right: trusted hops are passed over, the first other address is the
// client's. Nothing left of it is believed.
func clientOf(r *http.Request, trust config.Trusted) (client, error) {
	c := client{port: "0", known: true}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.addr = peer.Addr().Unmap().WithZone("")
		c.port = portText(peer.Port())
		c.trusted = trust.Contains(c.addr)
	} else {
		c.addr, c.unix = netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
		c.known, c.trusted = false, trust.Unix
	}
	if !c.trusted {
		return c, nil
	}
	proto := strings.ToLower(strings.TrimSpace(r.Header.Get("X-Forwarded-Proto")))
	c.secure = proto == "https" || proto == "wss"
	forwarded, found, err := forwardedFor(r.Header.Values("X-Forwarded-For"), trust)
	if err != nil {
		return c, err
	}
	if c.known = found; found {
		c.addr, c.port = forwarded, "0"
	}
	return c, nil
}

// forwardedFor finds the client in X-Forwarded-For.
func forwardedFor(lines []string, trust config.Trusted) (addr netip.Addr, found bool, err error) {
	if len(lines) == 0 {
		return addr, false, nil
	}
	hops := strings.Split(strings.Join(lines, ","), ",")
	if len(hops) > maxHops {
		return addr, false, errors.New("X-Forwarded-For has too many addresses")
	}
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := parseHop(strings.TrimSpace(hops[i]))
		if err != nil {
			return addr, found, nil // what stands further left cannot be believed
		}
		addr, found = hop, true
		if !trust.Contains(hop) {
			break
		}
	}
	return addr, found, nil
}

// parseHop reads an address, with or without a port.
func parseHop(s string) (netip.Addr, error) {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return addr.Unmap().WithZone(""), err
}

// limitKey is what the limit per address counts: the address, for IPv6 its
// /64, since one subscriber has all of it.
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
