package redis

import (
	"crypto/tls"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"wsfpm/gateway/redisurl"
	"wsfpm/test/stack"
)

// secureRedis starts a Redis with TLS, and returns the URL for its certificate.
func secureRedis(t *testing.T) (server *stack.RedisServer, url string) {
	t.Helper()
	stack.Integration(t)
	ca := stack.PrivateCA(t, "private CA")
	cert, key := ca.Issue(t, time.Now().Add(time.Hour), "127.0.0.1")
	server = stack.Redis(t, stack.RedisOptions{TLS: &stack.RedisTLS{CA: ca.File, Cert: cert, Key: key}})
	return server, "rediss://" + server.Addr + "/0?cacert=" + ca.File
}

// A restart of Redis closes all idle connections. A command must not find that out: it is sent
// once.
func TestIdleConnectionsThatTheServerClosedAreNotUsed(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) (*stack.RedisServer, string){
		"TLS": secureRedis,
		"plain": func(t *testing.T) (*stack.RedisServer, string) {
			stack.Integration(t)
			server := stack.Redis(t, stack.RedisOptions{})
			return server, server.URL()
		},
	} {
		for how, end := range map[string]func(*stack.RedisServer){"killed": (*stack.RedisServer).Kill, "stopped": (*stack.RedisServer).Stop} {
			t.Run(name+", "+how, func(t *testing.T) {
				server, url := start(t)
				c := newStore(t, url)
				var idle []*goredis.Conn
				for range 5 {
					conn := c.single.Conn()
					if err := conn.Ping(t.Context()).Err(); err != nil {
						t.Fatal(err)
					}
					idle = append(idle, conn)
				}
				for _, conn := range idle {
					_ = conn.Close() // into the pool
				}
				if n := c.single.PoolStats().IdleConns; n != 5 {
					t.Fatalf("got %d idle connections, want 5", n)
				}
				end(server)
				server.Start(t)
				for i := range 5 {
					if _, err := c.Do(t.Context(), "ping"); err != nil {
						t.Errorf("command %d: %v", i+1, err)
					}
				}
			})
		}
	}
}

func TestAHandshakeThatFailedHasSentNothing(t *testing.T) {
	_, url := secureRedis(t)
	url, _, _ = strings.Cut(url, "?")
	_, err := newStore(t, url).Append(t.Context(), "ws:log", []string{"to", "all", "data", "x"})
	if !NotSent(err) || !strings.Contains(err.Error(), "?cacert=/path/of/ca.pem") {
		t.Errorf("got %v", err)
	}
	var verification *tls.CertificateVerificationError
	if !errors.As(err, &verification) {
		t.Errorf("got %T, want an error of the certificate", err)
	}
}

// The names that a certificate may have, and the name that a server is asked for (SNI).
func TestNamesOfServers(t *testing.T) {
	stack.Integration(t)
	for _, test := range []struct {
		addr, url, certificate string
		sni                    string
		fine                   bool
	}{
		{"a.example:1", "rediss://a.example", "a.example", "a.example", true},
		{"b.example:1", "rediss://a.example:1?master_name=m", "b.example", "b.example", true},
		{"b.example:1", "rediss://a.example:1,c.example:1?master_name=m", "c.example", "b.example", true},
		{"192.0.2.1:1", "rediss://a.example:1?cluster=true", "a.example", "a.example", true},
		{"192.0.2.1:1", "rediss://a.example:1?cluster=true", "192.0.2.1", "a.example", true},
		{"[2001:db8::1]:1", "rediss://[2001:db8::2]:1?cluster=true", "2001:db8::1", "2001:db8::2", true},
		{"192.0.2.1:1", "rediss://a.example:1?cluster=true", "192.0.2.2", "a.example", false},
		{"a.example:1", "rediss://a.example", "b.example", "a.example", false},
		{"a.example:1", "rediss://a.example?skip_verify=true", "b.example", "a.example", true},
	} {
		u, err := redisurl.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		ca := stack.PrivateCA(t, "private CA")
		cert, key := ca.Issue(t, time.Now().Add(time.Hour), test.certificate)
		secure := u.TLS()
		secure.CA = ca.File
		config, err := tlsConfig(secure, test.addr)
		if err != nil {
			t.Fatal(err)
		}
		if config.ServerName != test.sni {
			t.Errorf("%+v: the server is asked for %s", test, config.ServerName)
		}
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := handshake(t, config, &tls.Config{Certificates: []tls.Certificate{pair}}); (err == nil) != test.fine {
			t.Errorf("%+v: got %v", test, err)
		}
	}
}

// handshake returns the client's error.
func handshake(t *testing.T, client, server *tls.Config) error {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer listener.Close()
	serving.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return // the client has not come
		}
		defer conn.Close()
		_ = conn.(*tls.Conn).HandshakeContext(t.Context()) // the client's is judged
	})
	conn, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err == nil {
		conn.Close()
	}
	return err
}
