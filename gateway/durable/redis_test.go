package durable

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"wsfpm/gateway/redis"
	"wsfpm/session"
	"wsfpm/test/stack"
)

// realEar is a listener on the real clock.
type realEar struct {
	mu    sync.Mutex
	texts []string // and "gap", "renamed"
	room  chan struct{}
}

func (e *realEar) hear(text string) func(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.texts = append(e.texts, text)
	room := e.room
	if room == nil {
		return nil
	}
	return func(ctx context.Context) error {
		select {
		case <-room:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *realEar) Deliver(c *session.Command) func(context.Context) error {
	return e.hear(string(c.Message.Data()))
}

func (e *realEar) Reached(session.Position) func(context.Context) error { return nil }

func (e *realEar) Gap(_ session.Position, lost bool) func(context.Context) error {
	if !lost {
		return e.hear("renamed")
	}
	return e.hear("gap")
}

// full takes the room away until the returned function is called.
func (e *realEar) full() (free func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	room := make(chan struct{})
	e.room = room
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.room = nil
		close(room)
	}
}

// await waits until a text is heard, and returns everything up to it.
func (e *realEar) await(t *testing.T, text string) string {
	t.Helper()
	var got string
	stack.Wait(t, "heard "+text, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		got = strings.Join(e.texts, " ")
		for i, each := range e.texts {
			if each == text {
				got, e.texts = strings.Join(e.texts[:i+1], " "), e.texts[i+1:]
				return true
			}
		}
		return false
	})
	return got
}

// onRedis starts a log at a URL that ends with the test, and waits until it is loaded.
func onRedis(t *testing.T, url string, cfg Config) (*Log, *realEar, *observer.ObservedLogs) {
	t.Helper()
	client, err := redis.NewStore(url)
	if err != nil {
		t.Fatal(err)
	}
	core, logged := observer.New(zap.DebugLevel)
	cfg.Store, cfg.Logger = NewStore(client, "ws:log"), zap.New(core)
	cfg.Confirm = stack.Patience
	l := New(cfg)
	e := &realEar{}
	l.Listen(e)
	t.Cleanup(func() {
		l.Close()
		_ = client.Close()
	})
	e.await(t, "gap")
	return l, e, logged
}

func startRedis(t *testing.T) *stack.RedisServer {
	t.Helper()
	stack.Integration(t)
	return stack.Redis(t, stack.RedisOptions{Args: []string{"--repl-diskless-sync-delay", "0"}})
}

func add(t *testing.T, s *stack.RedisServer, data string) {
	t.Helper()
	s.Do(t, "xadd", "ws:log", "*", "to", "all", "data", data)
}

func TestEntriesOfRealRedisAreDelivered(t *testing.T) {
	s := startRedis(t)
	l, e, _ := onRedis(t, s.URL(), Config{})
	add(t, s, "a")
	at, err := l.Append(t.Context(), []session.Command{text("b"), text("c")})
	if err != nil || len(at) != 2 {
		t.Fatalf("got %v, %v", at, err)
	}
	if got := e.await(t, "c"); got != "a b c" {
		t.Errorf("heard %q", got)
	}
	if list, _, known := l.Since(at[0], []session.Address{session.All}, 10, nil); !known || len(list) != 1 {
		t.Errorf("behind %v: got %v, %v", at[0], texts(list), known)
	}
	if id := s.Do(t, "info", "replication"); !strings.Contains(id, "master_replid:"+at[0].Tag.String()) {
		t.Errorf("the tag of %v is not that of %q", at[0], id)
	}
}

func TestTrimmedPastASlowNodeIsAGap(t *testing.T) {
	s := startRedis(t)
	l, e, _ := onRedis(t, s.URL(), Config{})
	free := e.full()
	add(t, s, "a")
	e.await(t, "a") // and no room for more
	add(t, s, "lost")
	add(t, s, "left")
	s.Do(t, "xtrim", "ws:log", "maxlen", 1)
	free()
	if got := e.await(t, "gap"); got != "gap" || l.Stats().Gaps[gapTrimmed] != 1 {
		t.Errorf("heard %q, %+v", got, l.Stats())
	}
	add(t, s, "b")
	e.await(t, "b")
}

func TestFlushAllIsAGap(t *testing.T) {
	s := startRedis(t)
	l, e, _ := onRedis(t, s.URL(), Config{})
	add(t, s, "a")
	e.await(t, "a")
	s.Do(t, "flushall")
	if got := e.await(t, "gap"); got != "gap" || l.Stats().Gaps[gapTrimmed] != 1 {
		t.Errorf("heard %q, %+v", got, l.Stats())
	}
	add(t, s, "b")
	e.await(t, "b")
}

func TestARestartOfRedisIsAGap(t *testing.T) {
	s := startRedis(t)
	l, e, _ := onRedis(t, s.URL(), Config{})
	add(t, s, "a")
	e.await(t, "a")
	s.Kill()
	stack.Wait(t, "the loss is noticed", func() bool { return l.Stats().State == "down" })
	s.Start(t)
	if got := e.await(t, "gap"); got != "gap" || l.Stats().Gaps[gapHistory] != 1 {
		t.Errorf("heard %q, %+v", got, l.Stats())
	}
	add(t, s, "b")
	e.await(t, "b")
}

func TestReplicaOfIsAGapAndAReplicaIsNotRead(t *testing.T) {
	s, other := startRedis(t), startRedis(t)
	l, e, _ := onRedis(t, s.URL(), Config{})
	add(t, s, "a")
	e.await(t, "a")
	add(t, other, "of the other")
	host, port, _ := strings.Cut(other.Addr, ":")
	s.Do(t, "replicaof", host, port)
	stack.Wait(t, "the line is left", func() bool { return l.Stats().State == "down" })
	stack.Wait(t, "the replica has the log", func() bool {
		return strings.Contains(s.Do(t, "xrange", "ws:log", "-", "+"), "of the other")
	})
	s.Do(t, "replicaof", "no", "one")
	if got := e.await(t, "gap"); got != "gap" || l.Stats().Gaps[gapHistory] != 1 {
		t.Errorf("heard %q, %+v", got, l.Stats())
	}
	add(t, s, "b")
	e.await(t, "b")
}

// Redis gives its history another name when its first replica comes.
func TestTheFirstReplicaIsNoGap(t *testing.T) {
	s, other := startRedis(t), startRedis(t)
	l, e, _ := onRedis(t, s.URL(), Config{})
	add(t, s, "a")
	e.await(t, "a")
	before := l.Newest()
	host, port, _ := strings.Cut(s.Addr, ":")
	other.Do(t, "replicaof", host, port)
	e.await(t, "renamed")
	add(t, s, "b")
	if got := e.await(t, "b"); got != "b" {
		t.Errorf("heard %q", got)
	}
	if list, through, known := l.Since(before, []session.Address{session.All}, 10, nil); !known || len(list) != 1 || through.Tag == before.Tag {
		t.Errorf("behind %v: got %v, %v, %v", before, texts(list), through, known)
	}
}

func TestAFailoverBySentinelIsAGap(t *testing.T) {
	master, replica := startRedis(t), startRedis(t)
	host, port, _ := strings.Cut(master.Addr, ":")
	replica.Do(t, "replicaof", host, port)
	stack.Wait(t, "the replica is in step", func() bool {
		return strings.Contains(replica.Do(t, "info", "replication"), "master_link_status:up")
	})
	sentinel := startSentinel(t, host, port)
	l, e, _ := onRedis(t, fmt.Sprintf("redis://%s/0?master_name=main", sentinel), Config{})
	add(t, master, "a")
	e.await(t, "a")
	stack.Wait(t, "the replica has the entry", func() bool { return replica.Do(t, "xlen", "ws:log") == master.Do(t, "xlen", "ws:log") })
	before := l.Newest()
	master.Kill()
	e.await(t, "gap")
	if _, _, known := l.Since(before, nil, 1, nil); known {
		t.Errorf("%v of the former history is known", before)
	}
	stack.Wait(t, "appended to the new master", func() bool {
		_, err := l.Append(context.Background(), []session.Command{text("b")})
		return err == nil
	})
	e.await(t, "b")
}

// startSentinel starts a Sentinel that takes a Redis for lost after a second.
func startSentinel(t *testing.T, host, port string) (address string) {
	t.Helper()
	own := strconv.Itoa(stack.FreePort(t))
	dir := stack.TempDir(t)
	file := filepath.Join(dir, "sentinel.conf")
	config := "bind 127.0.0.1\nport " + own + "\ndir " + dir + "\nsentinel monitor main " + host + " " + port + " 1\n" +
		"sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", file, "--sentinel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	client, err := redis.NewStore("redis://127.0.0.1:" + own)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	stack.Wait(t, "the Sentinel knows the replica", func() bool {
		list, err := client.Do(context.Background(), "sentinel", "replicas", "main")
		found, _ := list.([]any)
		return err == nil && len(found) == 1
	})
	return "127.0.0.1:" + own
}

func TestMissingRightsShutTheLog(t *testing.T) {
	s := startRedis(t)
	s.Do(t, "acl", "setuser", "ws", "on", ">secret", "resetchannels", "&ws:*", "-@all", "+ping", "+subscribe", "+unsubscribe", "+publish")
	client, err := redis.NewStore(strings.Replace(s.URL(), "redis://", "redis://ws:secret@", 1))
	if err != nil {
		t.Fatal(err)
	}
	core, logged := observer.New(zap.WarnLevel)
	l := New(Config{Store: NewStore(client, "ws:log"), Logger: zap.New(core)})
	l.Listen(&realEar{})
	defer func() {
		l.Close()
		_ = client.Close()
	}()
	stack.Wait(t, "it is shut", func() bool { return l.Stats().State == "shut" })
	if err := l.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
	if got := logged.All(); len(got) != 1 || got[0].ContextMap()["rights"] != "+xread +xrange +xadd +xtrim +multi +exec" {
		t.Errorf("got %v", got)
	}
	if _, err := l.Append(t.Context(), []session.Command{text("x")}); !errors.Is(err, ErrNotLoaded) {
		t.Errorf("append: %v", err)
	}
}

func TestTheRightsOfTheDocumentationAreEnough(t *testing.T) {
	s := startRedis(t)
	s.Do(t, "acl", "setuser", "ws", "on", ">secret", "-@all", "+xadd", "+xread", "+xrange", "+xtrim", "+info", "+multi", "+exec", "~ws:log")
	l, e, logged := onRedis(t, strings.Replace(s.URL(), "redis://", "redis://ws:secret@", 1), Config{Keep: time.Millisecond})
	if _, err := l.Append(t.Context(), []session.Command{text("a"), text("b")}); err != nil {
		t.Fatal(err)
	}
	e.await(t, "b")
	if got := logged.FilterLevelExact(zap.WarnLevel).All(); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

func TestTheEmbeddedServerIsReadLikeARealOne(t *testing.T) {
	server, err := redis.StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	l, e, logged := onRedis(t, "redis://"+server.Addr(), Config{Embedded: true})
	at, err := l.Append(t.Context(), []session.Command{text("a"), text("b")})
	if err != nil || at[0].Tag == session.NoTag {
		t.Fatalf("got %v, %v", at, err)
	}
	if got := e.await(t, "b"); got != "a b" {
		t.Errorf("heard %q", got)
	}
	if got := logged.FilterLevelExact(zap.WarnLevel).All(); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

func TestALogInACluster(t *testing.T) {
	stack.Integration(t)
	bus := strconv.Itoa(stack.FreePort(t))
	s := stack.Redis(t, stack.RedisOptions{Args: []string{"--cluster-enabled", "yes", "--cluster-port", bus}})
	s.Do(t, "cluster", "addslotsrange", 0, 16383)
	stack.Wait(t, "the cluster is up", func() bool { return strings.Contains(s.Do(t, "cluster", "info"), "cluster_state:ok") })
	l, e, _ := onRedis(t, "redis://"+s.Addr+"/?cluster=true", Config{})
	if _, err := l.Append(t.Context(), []session.Command{text("a"), text("b")}); err != nil {
		t.Fatal(err)
	}
	if got := e.await(t, "b"); got != "a b" {
		t.Errorf("heard %q", got)
	}
}
