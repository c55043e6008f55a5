package config

import (
	"strings"
	"testing"
)

func TestOriginsAreWrittenAsBrowsersDo(t *testing.T) {
	for origin, want := range map[string]string{
		"*": "*", "null": "null", "NULL": "null", "file://": "file://", "File:///": "file://", "file:": "file://",
		"https://example.com": "https://example.com", "HTTPS://Example.COM/": "https://example.com", "https://example.com.": "https://example.com.",
		"https://example.com:443": "https://example.com", "http://example.com:80/": "http://example.com", "https://example.com:0443": "https://example.com",
		"https://example.com:": "https://example.com", "http://example.com:443": "http://example.com:443", "https://example.com:08443": "https://example.com:8443",
		"https://münchen.de": "https://xn--mnchen-3ya.de", "https://MÜNCHEN.de:8443/": "https://xn--mnchen-3ya.de:8443", "https://straße.example": "https://xn--strae-oqa.example", "https://日本語.jp": "https://xn--wgv71a119e.jp", "https://xn--mnchen-3ya.de": "https://xn--mnchen-3ya.de", "https://пример.рф": "https://xn--e1afmkfd.xn--p1ai",
		"http://[::1]:80": "http://[::1]", "https://[2001:DB8:0:0::1]:8443": "https://[2001:db8::1]:8443", "http://127.0.0.1:3000": "http://127.0.0.1:3000",
		"http://localhost:5173": "http://localhost:5173", "capacitor://localhost": "capacitor://localhost", "app://obsidian.md": "app://obsidian.md",
		"chrome-extension://abcdefgh": "chrome-extension://abcdefgh", "https://a_b.example.com": "https://a_b.example.com",
	} {
		got, why := plainOrigin(origin)
		if got != want || why != "" {
			t.Errorf("%q: got %q, %q, want %q", origin, got, why, want)
		}
		if again, why := plainOrigin(got); again != got || why != "" {
			t.Errorf("%q: written again it is %q, %q", got, again, why)
		}
	}
}

func TestOtherOriginsAreRefusedWithTheWordToWrite(t *testing.T) {
	for origin, want := range map[string]string{
		"":                            `write the scheme too`,
		"example.com":                 `write the scheme too, as in "https://example.com"`,
		"localhost:3000":              `write the scheme too`,
		"//example.com":               `write the scheme too`,
		"wss://example.com":           `write the scheme of the page, as in "https://example.com"`,
		"ws://localhost:3000":         `write the scheme of the page, as in "http://localhost:3000"`,
		"https://*.example.com":       `write each origin, or "*" for any`,
		"https://example.com/app":     `write "https://example.com"`,
		"https://Example.com:443/app": `write "https://example.com"`,
		"https://example.com?a=b":     `write "https://example.com"`,
		"https://example.com/?":       `write "https://example.com"`,
		"https://example.com#":        `write "https://example.com"`,
		"https://münchen.de/x":        `write "https://xn--mnchen-3ya.de"`,
		"file:///home/ann/page.html":  `write "file://"`,
		"file://host":                 `write "file://"`,
		"data:text/html,x":            `write "null"`,
		"about:blank":                 `write "null"`,
		"https://user@example.com":    `write scheme, host and port exactly`,
		"https://":                    `write scheme, host and port exactly`,
		"https://:443":                `write scheme, host and port exactly`,
		"https://exam ple.com":        `write scheme, host and port exactly`,
		" https://example.com":        `write scheme, host and port exactly`,
		"https://example%2ecom":       `write scheme, host and port exactly`,
		"https://example.com:99999":   `port 99999: write a number from 1 to 65535`,
		"https://example.com:0":       `port 0: write a number`,
		"https://[fe80::1]x":          `write scheme, host and port exactly`,
		"https://a\u0130b.example":    `write its ASCII form`, "https://\u212aa.example": `write its ASCII form`, "https://\u1e9ea.example": `write its ASCII form`,
		"https://a\u200e.example":  `write its ASCII form, "xn--..."`,
		"https://mu\u0308nchen.de": `write its ASCII form, "xn--..."`, "https://日本語。jp": `write its ASCII form`,
		"https://\uff45xample.com": `write its ASCII form`, "https://[fe80::1%25eth0]": `write scheme, host`,
		"https://xn--mnchen-3ya.de/\xff": `write "https://xn--mnchen-3ya.de"`,
	} {
		if got, why := plainOrigin(origin); got != "" || !strings.Contains(why, want) {
			t.Errorf("%q: got %q, %q, want %q", origin, got, why, want)
		}
	}
}

func TestHostsOfRoutesAreInASCII(t *testing.T) {
	for host, want := range map[string]string{"Example.COM.": "example.com", "MÜNCHEN.de": "xn--mnchen-3ya.de", "a_b.example": "a_b.example"} {
		c := minimal()
		c.Routes[0].Host = []string{host}
		if err := c.Check(); err != nil || c.Routes[0].Host[0] != want {
			t.Errorf("%q: got %q, %v, want %q", host, c.Routes[0].Host[0], err, want)
		}
	}
}

// FuzzOriginList checks that an origin in a list is one that a browser can send:
// ASCII, and the same when it is written again.
func FuzzOriginList(f *testing.F) {
	for _, origin := range []string{"https://münchen.de", "HTTP://[::1]:80/", "file:///", "https://a.b:0443", "https://ex\u0430mple.com"} {
		f.Add(origin)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		plain, why := plainOrigin(origin)
		if (plain == "") == (why == "") {
			t.Fatalf("%q: got %q, %q", origin, plain, why)
		}
		if why != "" {
			return
		}
		if again, why := plainOrigin(plain); again != plain || strings.Trim(plain, asciiVisible) != "" {
			t.Fatalf("%q is %q, and that is %q, %q", origin, plain, again, why)
		}
	})
}

// asciiVisible are the characters that an origin may have.
const asciiVisible = "!\"#$&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
