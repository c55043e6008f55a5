package stack

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisOptions says how Redis shall run. It keeps nothing on disk.
type RedisOptions struct {
	TLS  *RedisTLS // nil: without TLS
	Args []string  // further arguments of redis-server, such as "--requirepass", "secret"
}

// RedisTLS makes a server speak TLS only, on its TCP port, and want no certificate of clients.
// Everything is a PEM file.
type RedisTLS struct {
	CA, Cert, Key string // CA is for the certificates of its peers
}

// settings are those of redis.conf.
func (c *RedisTLS) settings(port string) [][2]string {
	if c == nil {
		return [][2]string{{"port", port}}
	}
	return [][2]string{{"port", "0"}, {"tls-port", port}, {"tls-ca-cert-file", c.CA}, {"tls-cert-file", c.Cert}, {"tls-key-file", c.Key},
		{"tls-auth-clients", "no"}, {"tls-replication", "yes"}}
}

// RedisServer is a running Redis.
type RedisServer struct {
	Addr string // 127.0.0.1:PORT, the same after Stop and Start
	Dir  string
	opt  RedisOptions
	out  *output
	proc *process
}

// Redis starts a Redis for the test.
func Redis(t T, opt RedisOptions) *RedisServer {
	t.Helper()
	Tool(t, "redis-server", "redis-server")
	s := &RedisServer{Addr: FreeAddress(t), Dir: TempDir(t), opt: opt, out: &output{}}
	showLog(t, "redis", s.Log)
	t.Cleanup(s.Kill)
	s.Start(t)
	return s
}

// URL is the address as wsfpm's configuration wants it, without TLS.
func (s *RedisServer) URL() string { return "redis://" + s.Addr + "/0" }

// Socket is the path of the unix socket that it listens on too.
func (s *RedisServer) Socket() string { return filepath.Join(s.Dir, "redis.sock") }

// Start runs Redis again after Stop or Kill, on the same port.
func (s *RedisServer) Start(t T) {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.Addr)
	args := []string{"--bind", "127.0.0.1", "--unixsocket", s.Socket(), "--dir", s.Dir, "--save", "", "--appendonly", "no"}
	for _, each := range s.opt.TLS.settings(port) {
		args = append(args, "--"+each[0], each[1])
	}
	s.proc = startProcess(t, "redis", s.out, exec.Command("redis-server", append(args, s.opt.Args...)...))
	s.proc.await(t, "tcp", s.Addr)
}

// Renew gives Redis other files for TLS at its next Start.
func (s *RedisServer) Renew(secure *RedisTLS) { s.opt.TLS = secure }

// Stop ends Redis in good order.
func (s *RedisServer) Stop() { s.proc.end(syscall.SIGTERM, 3*time.Second) }

// Kill ends Redis with SIGKILL.
func (s *RedisServer) Kill() { s.proc.end(syscall.SIGKILL, time.Second) }

// Pause makes Redis deaf without closing a connection (SIGSTOP).
func (s *RedisServer) Pause() { s.proc.signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (s *RedisServer) Resume() { s.proc.signal(syscall.SIGCONT) }

// Log is what Redis has printed.
func (s *RedisServer) Log() string { return s.out.String() }

// open opens a client, which needs no TLS.
func (s *RedisServer) open() *redis.Client {
	if s.opt.TLS != nil {
		return redis.NewClient(&redis.Options{Network: "unix", Addr: s.Socket()})
	}
	return redis.NewClient(&redis.Options{Addr: s.Addr})
}

// Client opens a client that is closed with the test.
func (s *RedisServer) Client(t T) *redis.Client {
	t.Helper()
	c := s.open()
	t.Cleanup(func() { c.Close() })
	return c
}

// Publish sends one payload and returns the number of subscribers that Redis counted.
func (s *RedisServer) Publish(t T, channel, payload string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c := s.open()
	defer c.Close()
	n, err := c.Publish(ctx, channel, payload).Result()
	if err != nil {
		t.Fatalf("publish to %s: %v", channel, err)
	}
	return n
}

// Subscribers is what Redis answers to PUBSUB NUMSUB for one channel.
func (s *RedisServer) Subscribers(t T, channel string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c := s.open()
	defer c.Close()
	counts, err := c.PubSubNumSub(ctx, channel).Result()
	if err != nil {
		t.Fatalf("count the subscribers of %s: %v", channel, err)
	}
	return counts[channel]
}

// Do runs any one command and returns its answer as text.
func (s *RedisServer) Do(t T, args ...any) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c := s.open()
	defer c.Close()
	answer, err := c.Do(ctx, args...).Result()
	if err != nil {
		t.Fatalf("redis %v: %v", args, err)
	}
	return fmt.Sprint(answer)
}
