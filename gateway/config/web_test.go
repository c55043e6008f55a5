package config

import (
	"strings"
	"testing"
)

func TestPagesAreServedUnderKnownHostsOnly(t *testing.T) {
	c, err := load(Source{Web: "/srv/public", WebHosts: []string{"Box.lan", "dev.example."}},
		[]byte("[[route]]\npath = \"/ws\"\nhost = [\"chat.example\"]\nscript = \"/srv/ws.php\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "app.localhost": true, "127.0.0.1": true, "127.1.2.3": true, "::1": true, "192.168.1.5": true, "fe80::1": true,
		"box.lan": true, "BOX.lan": true, "dev.example": true, "chat.example": true,
		"": false, "evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "evillocalhost": false,
		"x.box.lan": false, "box": false, "1.2.3": false, "0x7f.1": false,
	} {
		if got := c.ServesHost(host); got != want {
			t.Errorf("host %q: got %v, want %v", host, got, want)
		}
	}
}

func TestWebHostsAreNames(t *testing.T) {
	for _, bad := range []string{"http://box.lan", "box.lan:8080", "*.box.lan", "", "."} {
		if _, err := load(Source{Web: "/srv", WebHosts: []string{bad}}, []byte(route)); err == nil || !strings.Contains(err.Error(), "--web-host: ") {
			t.Errorf("%q: got %v, want a word about it", bad, err)
		}
	}
	c, err := load(Source{WebHosts: []string{"box.lan"}}, []byte(route))
	if err != nil || !strings.Contains(strings.Join(c.Warnings(), "\n"), "--web-host has no effect") {
		t.Errorf("without --web: got %v and warnings %q", err, c.Warnings())
	}
}
