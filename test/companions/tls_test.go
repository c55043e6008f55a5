package companions

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// A connection of its own to a Redis with TLS has the parameters of the gateway's redis.url.
func TestClientSpeaksTLSWithRedis(t *testing.T) {
	stack.Integration(t)
	ca, other := stack.PrivateCA(t, "private CA"), stack.PrivateCA(t, "another")
	cert, key := ca.Issue(t, time.Now().Add(time.Hour), "127.0.0.1")
	own, ownKey := ca.Issue(t, time.Now().Add(time.Hour), "site")
	redis := stack.Redis(t, stack.RedisOptions{TLS: &stack.RedisTLS{CA: ca.File, Cert: cert, Key: key}})
	url := "rediss://" + redis.Addr + "?"
	php := startClient(t, "own", url+"cacert="+ca.File)
	php.want(`["push","all","x"]`, "0")

	// More than one record of TLS, and than PHP reads at a time.
	php.want(fmt.Sprintf(`["push","all",%q]`, strings.Repeat("x", 900_000)), "0")
	const users = 20_000
	fields := make([]any, 0, 2+2*users)
	fields = append(fields, "HSET", "ws:presence:channel:big")
	for i := range users {
		fields = append(fields, fmt.Sprintf("user:%d", i), 1)
	}
	redis.Do(t, fields...)
	php.want(`["count","big"]`, fmt.Sprint(users))
	if members := php.call(`["members","big"]`); strings.Count(members, ",") != users-1 {
		t.Errorf("got %.100s with %d commas, want %d members", members, strings.Count(members, ","), users)
	}
	redis.Kill()
	php.fails(`["push","all","x"]`, "Failed", "cannot be reached")
	redis.Start(t)
	php.want(`["push","all","x"]`, "0")

	startClient(t, "own", url+"skip_verify=true").want(`["push","all","x"]`, "0")
	for _, parameters := range []string{"", "cacert=" + other.File} {
		startClient(t, "own", url+parameters).fails(`["push","all","x"]`, "Failed", "certificate verify failed")
	}
	startClient(t, "own", strings.Replace(url, "rediss", "redis", 1)).fails(`["push","all","x"]`, "Failed", "")
	none := filepath.Join(t.TempDir(), "none.pem")
	if line, err := startClient(t, "own", url+"cacert="+none).Next(); err != nil || !strings.Contains(line, "cacert of the URL") || strings.Contains(line, none) {
		t.Errorf("PHP printed %s, %v", line, err)
	}

	mutual := stack.Redis(t, stack.RedisOptions{TLS: &stack.RedisTLS{CA: ca.File, Cert: cert, Key: key}, Args: []string{"--tls-auth-clients", "yes"}})
	url = "rediss://" + mutual.Addr + "?cacert=" + ca.File
	startClient(t, "own", url+"&cert="+own+"&key="+ownKey).want(`["push","all","x"]`, "0")
	startClient(t, "own", url).fails(`["push","all","x"]`, "Failed", "")
}
