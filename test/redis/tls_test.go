package redistest

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/stack"
)

// issuer is a private CA, and makes the TLS of servers.
type issuer struct {
	*stack.Authority
	t *testing.T
}

func newIssuer(t *testing.T) issuer {
	t.Helper()
	return issuer{stack.PrivateCA(t, "private CA"), t}
}

// secure is the TLS of a server whose certificate has one name.
func (i issuer) secure(host string) *stack.RedisTLS { return i.until(time.Now().Add(time.Hour), host) }

func (i issuer) until(end time.Time, host string) *stack.RedisTLS {
	i.t.Helper()
	cert, key := i.Issue(i.t, end, host)
	return &stack.RedisTLS{CA: i.File, Cert: cert, Key: key}
}

// flags are those of redis-cli.
func (i issuer) flags() []string { return []string{"--tls", "--cacert", i.File} }

// trusted are the settings of a client of the test itself.
func (i issuer) trusted() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// port is the port of an address.
func port(address string) string { return strings.TrimPrefix(address, "127.0.0.1:") }

func TestPushesOverTLS(t *testing.T) {
	t.Parallel()
	row(t, "5.redis-url", "5.redis-tls")
	ca := newIssuer(t)
	server := stack.Redis(t, stack.RedisOptions{TLS: ca.secure("127.0.0.1")})
	url := "rediss://" + server.Addr + "/0?cacert=" + ca.File
	p := startPair(t, server, url, "")
	equal(t, "nodes at all", server.Publish(t, "ws:all", "by another program"), 2)
	p.expect("by another program")
	for _, extensions := range []bool{true, false} {
		for _, parameters := range []string{"cacert=" + ca.File, "skip_verify=true"} {
			pushPHP(t, "2 nodes", extensions, "--redis", "rediss://"+server.Addr+"?"+parameters, "all", parameters)
			p.expect(parameters)
		}
	}
	p.survive(t, url, server.Kill, func() { server.Start(t) })
}

func TestWhatIsStoredOverTLS(t *testing.T) {
	t.Parallel()
	row(t, "5.redis-url", "5.redis-tls", "3.log-gap")
	ca := newIssuer(t)
	server := stack.Redis(t, stack.RedisOptions{TLS: ca.secure("127.0.0.1")})
	s := startStored(t, "rediss://"+server.Addr+"/3?cacert="+ca.File, "ws:", redis.NewClient(&redis.Options{Network: "unix", Addr: server.Socket(), DB: 3}))
	s.checked()
	s.survive("a restart of Redis", func() {
		server.Kill()
		server.Start(t)
	})
	for name, text := range map[string]string{"check": checkText(t, s.nodes[0].Config, 0), "doctor": doctorText(t, s.nodes[0].Config)} {
		if strings.Contains(text, ca.File) || strings.Contains(text, "certificate") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestSentinelsOverTLS(t *testing.T) {
	t.Parallel()
	row(t, "5.redis-url", "5.redis-tls", "3.log-gap")
	ca := newIssuer(t)
	g := startGroupOf(t, groupOptions{sentinels: 3, flags: append(ca.flags(), "--insecure"), secure: ca.secure})
	url := fmt.Sprintf("rediss://localhost:%s,%s,%s/0?master_name=main&cacert=%s", port(g.sentinels[0].Addr), g.sentinels[1].Addr, g.sentinels[2].Addr, ca.File)
	s := startStored(t, url, "ws:", redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "main", SentinelAddrs: g.addresses(), TLSConfig: ca.trusted()}))
	s.checked()
	s.survive("a failover by hand", func() { g.failover(t) })
}

func TestAClusterOverTLS(t *testing.T) {
	t.Parallel()
	row(t, "5.redis-url", "5.redis-tls")
	ca := newIssuer(t)
	// The first server's name is known from the URL only: the Cluster gives addresses.
	servers := startClusterOf(t, append(ca.flags(), "--insecure"), [3]*stack.RedisTLS{ca.secure("localhost"), ca.secure("127.0.0.1"), ca.secure("127.0.0.1")})
	url := fmt.Sprintf("rediss://localhost:%s,%s/?cluster=true&cacert=%s", port(servers[0].Addr), servers[1].Addr, ca.File)
	keys := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{servers[0].Addr}, TLSConfig: ca.trusted()})
	s := startStored(t, url, "{ws}:", keys)
	s.checked()
	a := s.work("in a Cluster with TLS")
	for _, server := range servers {
		server.Publish(t, "{ws}:user:42", "by "+server.Addr)
		a.expect("by " + server.Addr)
	}
}

// checkText is what wsfpm check --dial prints.
func checkText(t *testing.T, config string, want int) string {
	t.Helper()
	out, code := stack.Command(t, "check", "--dial", "--config", config)
	if code != want {
		t.Errorf("wsfpm check --dial: exit code %d, want %d: %s", code, want, out)
	}
	return out
}

// doctorText is what wsfpm doctor finds out about Redis.
func doctorText(t *testing.T, config string) (all string) {
	t.Helper()
	out, _ := stack.Command(t, "doctor", "--json", "--config", config, "ws://127.0.0.1:1/ws")
	var found struct {
		Results []struct{ Check, Status, Text string }
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("wsfpm doctor: %v: %s", err, out)
	}
	for _, each := range found.Results {
		if strings.HasPrefix(each.Check, "redis") {
			all += each.Check + ": " + each.Status + ": " + each.Text + "\n"
		}
	}
	return all
}

// refusal is a Redis with TLS, and a URL that does not fit it.
type refusal struct {
	name   string
	server *stack.RedisTLS
	args   []string // of Redis
	scheme string   // default rediss
	query  string
	says   []string // that wsfpm says; none: it connects
}

func refusals(t *testing.T) []refusal {
	ca, other := newIssuer(t), newIssuer(t)
	good := ca.secure("127.0.0.1")
	cert, key := ca.Issue(t, time.Now().Add(time.Hour), "gateway")
	none := filepath.Join(t.TempDir(), "hush.pem")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	mutual := []string{"--tls-auth-clients", "yes"}
	old := append(slices.Clone(mutual), "--tls-protocols", "TLSv1.2")
	trusts := "cacert=" + ca.File
	expired, named := ca.until(time.Now().Add(-time.Hour), "127.0.0.1"), ca.secure("redis.example")
	return []refusal{
		{name: "no CA", server: good, says: []string{"unknown authority", "?cacert=/path/of/ca.pem"}},
		{name: "wrong CA", server: good, query: "cacert=" + other.File, says: []string{"unknown authority", "?cacert=/path/of/ca.pem"}},
		{name: "expired", server: expired, query: trusts, says: []string{"certificate has expired"}},
		{name: "wrong name", server: named, query: trusts, says: []string{"127.0.0.1", "a name or an address that the certificate has"}},
		{name: "no TLS there", query: trusts, says: []string{"a port without TLS needs redis://"}},
		{name: "TLS there", server: good, scheme: "redis", says: []string{"rediss://"}},
		{name: "no file", server: good, query: "cacert=" + none, says: []string{"cacert of redis.url: no such file"}},
		{name: "no certificate in the file", server: good, query: "cacert=" + empty, says: []string{"cacert of redis.url: the file has no certificate"}},
		{name: "no key", server: good, query: trusts + "&cert=" + cert + "&key=" + none, says: []string{"cert and key of redis.url: no such file"}},
		{name: "no certificate of the client", server: good, args: mutual, query: trusts, says: []string{"&key=/path/of/key.pem", "tls-auth-clients no"}},
		{name: "no certificate of the client, TLS 1.2", server: good, args: old, query: trusts, says: []string{"&key=/path/of/key.pem", "tls-auth-clients no"}},
		{name: "a certificate of the client", server: good, args: mutual, query: trusts + "&cert=" + cert + "&key=" + key},
		{name: "unverified: no CA", server: good, query: "skip_verify=true"},
		{name: "unverified: expired", server: expired, query: "skip_verify=true"},
		{name: "unverified: wrong name", server: named, query: "skip_verify=true"},
	}
}

func TestATLSThatFailsSaysWhatToChange(t *testing.T) {
	t.Parallel()
	row(t, "5.redis-tls", "5.redis-secret")
	for _, r := range refusals(t) {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			server := stack.Redis(t, stack.RedisOptions{TLS: r.server, Args: r.args})
			scheme := "rediss"
			if r.scheme != "" {
				scheme = r.scheme
			}
			n := node{stack.Gateway(t, stack.GatewayOptions{
				FPM: shared.fpm, Redis: scheme + "://" + server.Addr + "/0?" + r.query, NotReady: true, Env: []string{"GORACE=atexit_sleep_ms=0"},
				Routes: fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\n", filepath.Join(shared.dir, "who.php")),
			})}
			if r.says == nil {
				ready(t, []node{n}, true, stack.Patience)
				checkText(t, n.Config, 0)
				return
			}
			stack.Wait(t, "the reason", func() bool { return len(n.LogLines("warn", "redis not reached")) > 0 })
			equal(t, "/ready", n.Ready(), false)
			said := n.LogLines("warn", "redis not reached")[0].Text("error")
			for what, text := range map[string]string{"serve": said, "check": checkText(t, n.Config, 1), "doctor": doctorText(t, n.Config)} {
				for _, want := range r.says {
					if !strings.Contains(text, want) {
						t.Errorf("%s: got %s, want %s", what, text, want)
					}
				}
				if strings.Contains(text, ".pem") && strings.Contains(text, "hush") {
					t.Errorf("%s shows the parameters of the URL: %s", what, text)
				}
			}
		})
	}
}

// The other ways to trust a private CA: the system's, which SSL_CERT_FILE replaces.
func TestAPrivateCAOfTheSystem(t *testing.T) {
	row(t, "5.redis-tls")
	ca := newIssuer(t)
	server := stack.Redis(t, stack.RedisOptions{TLS: ca.secure("127.0.0.1")})
	t.Setenv("SSL_CERT_FILE", ca.File)
	n := startNode(t, "one", "rediss://"+server.Addr+"/0", "")
	checkText(t, n.Config, 0)
}

// A certificate of the gateway may be renewed while it runs.
func TestARenewedCertificateNeedsNoRestart(t *testing.T) {
	t.Parallel()
	row(t, "5.redis-tls")
	ca, next := newIssuer(t), newIssuer(t)
	server := stack.Redis(t, stack.RedisOptions{TLS: ca.secure("127.0.0.1")})
	file := filepath.Join(t.TempDir(), "ca.pem")
	move := func(to issuer) {
		t.Helper()
		text, err := os.ReadFile(to.File)
		if err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	move(ca)
	n := startNode(t, "one", "rediss://"+server.Addr+"/0?cacert="+file, "")
	a := n.dial(t, "WS-User: a")
	move(next)
	server.Kill()
	ready(t, []node{n}, false, failover)
	server.Renew(next.secure("127.0.0.1"))
	server.Start(t)
	ready(t, []node{n}, true, failover)
	a.do("still here")
	server.Publish(t, "ws:user:a", "with the new certificate")
	a.Expect("with the new certificate")
}
