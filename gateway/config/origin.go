package config

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// fileOrigin is what WebViews send for a page that is a local file. Desktop browsers
// send "null".
const fileOrigin = "file://"

// schemePorts are the default ports, which an origin omits.
var schemePorts = map[string]int{"http": 80, "https": 443}

// plainOrigin returns an origin as browsers send it: in lower case and ASCII, without
// final slash and default port; or, if it is invalid, what to write instead.
func plainOrigin(origin string) (plain, why string) {
	lower := strings.ToLower(origin)
	switch lower {
	case "*", "null":
		return lower, ""
	case fileOrigin, fileOrigin + "/", "file:":
		return fileOrigin, ""
	}
	scheme, rest, found := strings.Cut(origin, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case strings.HasPrefix(lower, "file:"):
		return "", `write "file://", for every local file in a WebView, or "null", which desktop browsers send for them`
	case strings.HasPrefix(lower, "data:"), strings.HasPrefix(lower, "about:"):
		return "", `write "null", which browsers send for such pages`
	case !found:
		return "", `write the scheme too, as in "https://example.com"`
	case scheme == "ws", scheme == "wss":
		return "", fmt.Sprintf(`write the scheme of the page, as in "http%s://%s"`, strings.TrimPrefix(scheme, "ws"), clip(rest))
	case strings.Contains(rest, "*"):
		return "", `a part of it cannot vary: write each origin, or "*" for any`
	}
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Contains(rest, "%") {
		return "", `write scheme, host and port exactly, as in "https://example.com"`
	}
	host, err := originHost(u.Hostname())
	if err != nil {
		return "", fmt.Sprintf("the host %v", err)
	}
	port, err := originPort(u)
	if err != nil {
		return "", err.Error()
	}
	plain = scheme + "://" + host + port
	if u.Path != "" && u.Path != "/" || strings.ContainsAny(rest, "?#") {
		return "", fmt.Sprintf("an origin ends with host and port: write %q", clip(plain))
	}
	return plain, ""
}

// originHost is a host as it stands in an origin, a name or an address.
func originHost(host string) (string, error) {
	if !strings.Contains(host, ":") {
		return asciiHost(host)
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" {
		return "", fmt.Errorf("%q is not an IPv6 address, or has a zone", clip(host))
	}
	return "[" + addr.String() + "]", nil
}

// originPort is the port of an origin after a colon, "" for the scheme's own.
func originPort(u *url.URL) (string, error) {
	if u.Port() == "" {
		return "", nil
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		return "", fmt.Errorf("port %s: write a number from 1 to 65535", clip(u.Port()))
	}
	if int(port) == schemePorts[u.Scheme] {
		return "", nil
	}
	return fmt.Sprintf(":%d", port), nil
}

// convertible are letters that IDNA (RFC 5891) keeps as they are: small ones,
// composed, of Latin, Greek, Cyrillic, Japanese, Chinese and Korean.
var convertible = &unicode.RangeTable{R16: []unicode.Range16{
	{0xdf, 0xf6, 1}, {0xf8, 0x131, 1}, {0x134, 0x13e, 1}, {0x141, 0x148, 1}, {0x14a, 0x17e, 1}, {0x3ac, 0x3ce, 1}, {0x430, 0x45f, 1},
	{0x3041, 0x3096, 1}, {0x30a1, 0x30fa, 1}, {0x30fc, 0x30fc, 1}, {0x4e00, 0x9fff, 1}, {0xac00, 0xd7a3, 1},
}, LatinOffset: 1}

// asciiHost is a host name in lower case and in the ASCII that DNS and browsers use
// for other letters: "xn--mnchen-3ya.de" for "münchen.de". The few names whose
// letters have to be mapped first are refused, rather than to bring Unicode's
// tables in for them.
func asciiHost(host string) (string, error) {
	ascii := true
	for _, r := range host {
		switch {
		case r < utf8.RuneSelf && nodeByte(byte(r)):
		case r < utf8.RuneSelf:
			return "", fmt.Errorf("%q has %q in it, which no host name has", clip(host), r)
		case !unicode.Is(convertible, unicode.ToLower(r)), r == 'ẞ': // on which browsers differ
			return "", fmt.Errorf(`%q has letters that browsers change: write its ASCII form, "xn--...", as new URL("https://...").host says in a browser`, clip(host))
		default:
			ascii = false
		}
	}
	host = strings.ToLower(host)
	if ascii {
		return host, nil
	}
	// net/http has the encoding (RFC 3492), and applies it to the Host that it writes.
	var written strings.Builder
	request := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Host: host}
	if err := request.Write(&written); err != nil {
		return "", fmt.Errorf("%q: %w", clip(host), err)
	}
	_, rest, _ := strings.Cut(written.String(), "\r\nHost: ")
	plain, _, _ := strings.Cut(rest, "\r\n")
	return plain, nil
}
