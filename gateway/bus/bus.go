package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"wsfpm/gateway/redis"
	"wsfpm/gateway/redisurl"
	"wsfpm/session"
)

// ErrDown is returned by [Bus.Publish] without delay while Redis is unreachable.
var ErrDown = errors.New("redis is down")

// ErrClosed is returned by methods of a Bus that was closed.
var ErrClosed = errors.New("bus is closed")

// Config configures a Bus. Zero fields take the documented defaults. Package config checks
// the prefixes, of which none may begin with another, and the relays.
type Config struct {
	// URL names the Redis that carries pushes between processes:
	//
	//	""                                            none: this process only
	//	embedded                                      a server inside this process, see Listen
	//	redis://user:password@host:6379               one Redis; rediss:// with TLS
	//	unix:///run/redis/redis.sock                  one Redis on a unix socket
	//	redis://h1:6379,h2:6379/?cluster=true         a Cluster; the hosts are seeds
	//	redis://s1:26379,s2:26379/?master_name=main   the master of a Sentinel group
	//
	// With Sentinel, user and password before the host are the Sentinels' own;
	// those of Redis follow as &username= and &password=. Further parameters are
	// those of go-redis; the Bus overrides protocol, retries, timeouts and database
	// number.
	URL string
	// Listen is the TCP address of the embedded server; default
	// "127.0.0.1:6379". Port 0 takes any, see [Bus.EmbeddedAddr].
	Listen string
	// Prefixes precede all names in Redis; default {"ws:"}. The Bus subscribes
	// under all and publishes under the first.
	Prefixes []string
	// Relays forward an application's existing messages to clients.
	Relays []Relay
	// PushLimit is the largest plain text of an address's own channel and of relays,
	// in bytes; default 1 MiB. A larger one is dropped, logged and counted.
	PushLimit int64
	// Confirm bounds the wait of Join and Publish for Redis; default 1 s.
	Confirm time.Duration
	// Logger logs problems; default none.
	Logger *zap.Logger
}

// Bus carries pushes between the processes that share a Redis, or within one
// process when there is none. All methods are safe for concurrent use.
//
// While the receiver of commands has no room, Redis is not read (back-pressure), and
// after some megabytes Redis closes the connection.
type Bus struct {
	cfg      Config
	log      *zap.Logger
	droplog  *zap.Logger      // log, at most a few lines a second
	relays   map[string]Relay // by pattern
	patterns []string         // of the relays
	fixed    []string         // Redis channels that every node subscribes to, and own
	own      string           // Redis channel of this node; "" for a single Redis, see watch
	broker   broker           // nil without Redis
	embedded *redis.Embedded

	hand   Deliver          // set by Listen
	work   chan struct{}    // holds a token if subs may have a command
	frames chan publication // see publishFrames
	end    context.CancelFunc
	ended  <-chan struct{}
	ending sync.WaitGroup // the goroutines
	counts counts
	joined atomic.Pointer[time.Time] // when a command that joins was last published; nil: never

	mu     sync.Mutex // guards what follows
	subs   *subscriptions
	status status
	reason error         // why the last connection ended or failed
	epochs uint64        // connections opened
	heard  time.Time     // of the last data from Redis
	pinged time.Time     // of the unanswered PING, else zero
	stuck  chan struct{} // closed while Redis is not read for lack of room for commands
}

// status is the state of the connection to Redis.
type status string

const (
	statusLocal      status = "local"      // no Redis is configured
	statusConnecting status = "connecting" // no attempt has failed yet
	statusUp         status = "up"
	statusDown       status = "down" // the last attempt failed
	statusClosed     status = "closed"
)

// counts are the counters of Stats that are kept by the Bus itself.
type counts struct {
	fast, command, relay, frame              atomic.Uint64
	tooLarge, notUTF8, badAddress, malformed atomic.Uint64
	published, failed, unconfirmed           atomic.Uint64
}

// New returns a Bus, which receives nothing before [Bus.Listen]. It starts the embedded
// server, if configured. The caller must call Close.
func New(cfg Config) (*Bus, error) {
	cfg = cfg.withDefaults()
	b := &Bus{
		cfg:    cfg,
		log:    cfg.Logger,
		relays: make(map[string]Relay),
		work:   make(chan struct{}, 1),
		frames: make(chan publication, mostFrames),
		end:    func() {},
		stuck:  make(chan struct{}),
		subs:   newSubscriptions(len(cfg.Prefixes)),
		status: statusLocal,
	}
	b.droplog = b.log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 5, 0)
	}))
	for _, r := range cfg.Relays {
		b.relays[r.Pattern] = r
		b.patterns = append(b.patterns, r.Pattern)
	}
	for _, p := range cfg.Prefixes {
		b.fixed = append(b.fixed, p+session.All.String(), p+commandName)
	}
	if cfg.URL == "" {
		return b, nil
	}
	b.status = statusConnecting
	if err := b.reach(); err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	return b, nil
}

// Deliver accepts a command for the clients of this process. It does not block: if
// there is no room it returns a function that waits for it until its context ends.
type Deliver = func(c *session.Command) (wait func(context.Context) error)

// Listen connects to Redis and passes received commands to deliver, in order, from one
// goroutine; without Redis, from the publishing goroutines. It does not wait for Redis:
// connecting and reconnecting happen in the background. It is called once, before any
// other method except Stats.
//
// When this process may have missed commands, after each loss of the connection and at the
// beginning, it delivers a command with Missed that purges everything, once it can miss none
// any more.
func (b *Bus) Listen(deliver Deliver) {
	run, end := context.WithCancel(context.Background())
	b.hand, b.end, b.ended = deliver, end, run.Done()
	if b.broker != nil {
		b.ending.Go(func() { b.keep(run) })
		b.ending.Go(func() { b.publishFrames(run) })
	}
}

// reach creates the client, and the embedded server if configured.
func (b *Bus) reach() error {
	url := b.cfg.URL
	if url == redisurl.Embedded {
		server, err := redis.StartEmbedded(b.cfg.Listen)
		if err != nil {
			return fmt.Errorf("embedded server: %w", err)
		}
		b.embedded = server
		url = "redis://" + server.Addr()
	}
	c, err := newRedisBroker(url, b.fixed[0])
	if err != nil {
		return err
	}
	b.broker = c
	if c.Moves() {
		b.own = ownName(b.cfg.Prefixes[0])
		b.fixed = append(b.fixed, b.own)
	}
	return nil
}

func (cfg Config) withDefaults() Config {
	cfg.Listen = cmp.Or(cfg.Listen, "127.0.0.1:6379")
	cfg.PushLimit = cmp.Or(cfg.PushLimit, 1<<20)
	cfg.Confirm = cmp.Or(cfg.Confirm, time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop())
	if len(cfg.Prefixes) == 0 {
		cfg.Prefixes = []string{"ws:"}
	}
	return cfg
}

// Publish sends a command to all processes, including this one. It returns when Redis
// has answered, after Config.Confirm, or when ctx ends; after an error the command may
// still arrive. It does not retry. c.To may be empty beside c.Purge only, and Self must be
// resolved.
// Without Redis the command is delivered synchronously, and Publish waits for room.
func (b *Bus) Publish(ctx context.Context, c session.Command) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Confirm)
	defer cancel()
	if err := b.publish(ctx, c); err != nil {
		b.counts.failed.Add(1)
		return fmt.Errorf("publish: %w", err)
	}
	b.counts.published.Add(1)
	return nil
}

func (b *Bus) publish(ctx context.Context, c session.Command) error {
	if len(c.To) == 0 && len(c.Purge) == 0 {
		return errors.New("the command names no clients")
	}
	if c.Message != nil && !c.Message.Binary() && !utf8.Valid(c.Message.Data()) {
		return errors.New("the text is not UTF-8")
	}
	switch b.currentStatus() {
	case statusClosed:
		return ErrClosed
	case statusLocal:
		if wait := b.hand(&c); wait != nil {
			return wait(ctx)
		}
		return nil
	case statusDown:
		return ErrDown
	}
	if len(c.Join) > 0 {
		now := time.Now()
		b.joined.Store(&now)
	}
	prefix := b.cfg.Prefixes[0]
	if isFrame(&c) {
		return b.publishFrame(ctx, redis.Payload{Channel: prefix + c.To[0].String(), Data: encodeFrame(&c)})
	}
	if b.fast(c) {
		_, err := b.broker.Publish(ctx, prefix+c.To[0].String(), c.Message.Data())
		return err
	}
	body, err := c.Encode()
	if err == nil {
		_, err = b.broker.Publish(ctx, prefix+commandName, body)
	}
	return err
}

// fast reports whether c can be published as plain text on its address's own channel.
// For a while after a command that joins none can: a node may not have subscribed to
// that channel yet, but always receives the channel for commands.
func (b *Bus) fast(c session.Command) bool {
	if joined := b.joined.Load(); joined != nil && time.Since(*joined) <= b.cfg.Confirm {
		return false
	}
	return len(c.To) == 1 && c.To[0].Kind != session.KindSelf &&
		len(c.Except)+len(c.Join)+len(c.Leave)+len(c.Purge) == 0 && c.Close == nil && c.Relay == nil &&
		c.Message != nil && !c.Message.Binary() && int64(len(c.Message.Data())) <= b.cfg.PushLimit
}

// EmbeddedAddr returns the embedded server's address, "" without one.
func (b *Bus) EmbeddedAddr() string {
	if b.embedded == nil {
		return ""
	}
	return b.embedded.Addr()
}

// Close ends all goroutines and every waiting Join. It takes milliseconds; while Redis
// hangs, up to 3 seconds. Later calls do nothing.
func (b *Bus) Close() error {
	b.mu.Lock()
	closed := b.status == statusClosed
	b.status = statusClosed
	b.mu.Unlock()
	if closed {
		return nil
	}
	b.end()
	b.ending.Wait()
	var err error
	if b.broker != nil {
		err = b.broker.Close()
	}
	if b.embedded != nil {
		b.embedded.Close()
	}
	return err
}
