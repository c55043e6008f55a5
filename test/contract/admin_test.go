package contract

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// adminStatus asks an admin listener, with the headers that are given only.
func adminStatus(t *testing.T, network, address, path string, headers ...string) int {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(stack.Patience))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nConnection: close\r\n%s\r\n\r\n", path, strings.Join(headers, "\r\n"))
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	return r.StatusCode
}

func TestAPageThatRebindsDNSReadsNothing(t *testing.T) {
	listen, socket := stack.FreeAddress(t), filepath.Join(stack.TempDir(t), "admin.sock")
	Row(t, "5.admin-hosts", "5.admin-browser", "5.admin-token")
	stack.Integration(t)
	dir := stack.Scripts(t, nil)
	stack.Gateway(t, stack.GatewayOptions{Listen: listen, NotReady: true, File: fmt.Sprintf(
		"listen = %q\nadmin = \"unix:%s\"\nadmin_hosts = \"Wsfpm.internal\"\n[fpm.default]\naddress = %q\n[[route]]\npath = \"/ws\"\nscript = %q\n", listen, socket, shared.fpm.Address, dir+"/echo.php")})
	for _, path := range []string{"/live", "/ready", "/metrics", "/connections", "/debug/pprof/", "/debug/pprof/cmdline"} {
		ask := func(headers ...string) int { return adminStatus(t, "unix", socket, path, headers...) }
		for _, host := range []string{"localhost", "127.0.0.1:8081", "[::1]:8081", "wsfpm.internal"} {
			equal(t, path+" of "+host, ask("Host: "+host), 200)
		}
		equal(t, path+" of another name", ask("Host: evil.example:8081"), 403)
		equal(t, path+" for a page", ask("Host: localhost", "Origin: http://evil.example"), 403)
		equal(t, path+" for a browser", ask("Host: localhost", "Sec-Fetch-Site: none"), 403)
	}
}

func TestAdminOverTCPByName(t *testing.T) {
	w := start(t, setup{script: "echo.php"}, "5.admin", "5.admin-hosts", "5.admin-browser", "5.admin-token")
	address := strings.TrimPrefix(w.Admin, "http://")
	const token = "Authorization: Bearer " + stack.AdminToken
	for _, path := range []string{"/live", "/ready", "/metrics"} {
		equal(t, path+" by address", adminStatus(t, "tcp", address, path, "Host: "+address), 200)
		equal(t, path+" by name", adminStatus(t, "tcp", address, path, "Host: evil.example"), 403)
		equal(t, path+" for a browser", adminStatus(t, "tcp", address, path, "Host: localhost", "Sec-Fetch-Mode: navigate"), 401)
		equal(t, path+" for a browser with the token", adminStatus(t, "tcp", address, path, "Host: localhost", "Sec-Fetch-Mode: navigate", token), 200)
	}
	equal(t, "/connections by name", adminStatus(t, "tcp", address, "/connections", "Host: evil.example"), 403)
	equal(t, "/connections by name, with the token", adminStatus(t, "tcp", address, "/connections", "Host: wsfpm.internal", token), 200)
}

func TestForeignPagesCannotAct(t *testing.T) {
	w := start(t, setup{script: "echo.php"}, "5.page-csrf", "5.admin-hosts")
	address := strings.TrimPrefix(w.Admin, "http://")
	const token = "Authorization: Bearer " + stack.AdminToken
	look := func(headers ...string) int {
		return adminStatus(t, "tcp", address, "/page/find?of=user:42", append(headers, "Host: "+address, token)...)
	}
	equal(t, "a look-up of the page", look("Sec-Fetch-Site: same-origin"), 200)
	equal(t, "one with its Origin", look("Sec-Fetch-Site: same-origin", "Origin: http://"+address), 200)
	equal(t, "one of another page", look("Sec-Fetch-Site: cross-site", "Origin: http://evil.example"), 403)
	equal(t, "one with another Origin", look("Sec-Fetch-Site: same-origin", "Origin: http://evil.example"), 403)
	equal(t, "one of another port of this host", look("Sec-Fetch-Site: same-site"), 403)
	equal(t, "one of a browser that does not say", look(), 403)
	equal(t, "the page", adminStatus(t, "tcp", address, "/", "Host: "+address, "Sec-Fetch-Mode: navigate"), 200)
	equal(t, "the page by a foreign name", adminStatus(t, "tcp", address, "/", "Host: evil.example", "Sec-Fetch-Mode: navigate"), 403)
}
