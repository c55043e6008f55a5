package bus

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// redisServer is a real Redis that lives as long as a test.
type redisServer struct {
	t       testing.TB
	args    []string
	url     string
	process *os.Process
	client  *redis.Client // some other program; may do everything
}

// startRedis starts a Redis on a unix socket in a folder of its own.
func startRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	args = append([]string{"--port", "0", "--unixsocket", socket, "--dir", dir}, args...)
	return startRedisAt(t, "unix://"+socket, args...)
}

// startRedisAt starts a Redis that answers at url.
func startRedisAt(t testing.TB, url string, args ...string) *redisServer {
	t.Helper()
	if os.Getenv("WSFPM_INTEGRATION") != "1" {
		t.Skip("needs redis-server: set WSFPM_INTEGRATION=1")
	}
	args = append(args, "--save", "", "--appendonly", "no", "--loglevel", "warning")
	s := &redisServer{t: t, args: args, url: url, client: newPublisher(t, url)}
	s.start()
	t.Cleanup(func() {
		s.signal(syscall.SIGCONT)
		s.kill()
	})
	return s
}

func (s *redisServer) start() {
	s.t.Helper()
	cmd := exec.Command("redis-server", s.args...)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.process = cmd.Process
	eventually(s.t, "redis answers", func() bool {
		err := s.client.Ping(context.Background()).Err()
		return err == nil || strings.Contains(err.Error(), "NOAUTH")
	})
}

func (s *redisServer) kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Kill()
	_, _ = s.process.Wait()
	s.process = nil
}

func (s *redisServer) signal(sig os.Signal) {
	if s.process != nil {
		_ = s.process.Signal(sig)
	}
}

// do runs one Redis command.
func (s *redisServer) do(args ...any) any {
	s.t.Helper()
	got, err := s.client.Do(context.Background(), args...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return got
}

// subscribers returns the number of subscribers of a channel.
func (s *redisServer) subscribers(channel string) int64 {
	s.t.Helper()
	got, err := s.client.PubSubNumSub(context.Background(), channel).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	return got[channel]
}

// freePort is a TCP port on the loopback interface that was free just now.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// startClusterNode starts a node of a Cluster that has no slots yet.
func startClusterNode(t testing.TB) (s *redisServer, port, busPort string) {
	t.Helper()
	port, busPort, dir := freePort(t), freePort(t), t.TempDir()
	s = startRedisAt(t, "redis://127.0.0.1:"+port,
		"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--cluster-enabled", "yes",
		"--cluster-config-file", filepath.Join(dir, "nodes.conf"), "--cluster-port", busPort)
	return s, port, busPort
}

// startSentinel starts a Sentinel that watches the Redis on a port as "main",
// and returns its own port.
func startSentinel(t testing.TB, redisPort string) string {
	t.Helper()
	port, dir := freePort(t), t.TempDir()
	config := filepath.Join(dir, "sentinel.conf")
	text := "bind 127.0.0.1\nport " + port + "\ndir " + dir + "\nsentinel monitor main 127.0.0.1 " + redisPort + " 1\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", config, "--sentinel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	c := newPublisher(t, "redis://127.0.0.1:"+port)
	eventually(t, "sentinel answers", func() bool { return c.Ping(context.Background()).Err() == nil })
	return port
}
