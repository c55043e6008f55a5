package config

import "time"

// DefaultPool is the name of the pool of routes without one.
const DefaultPool = "default"

// Default returns a new default configuration, without a route.
func Default() *Config {
	return &Config{
		Listen:          []string{"127.0.0.1:8080"},
		ListenMode:      0o660,
		Drain:           Duration(30 * time.Second),
		DisconnectRetry: Duration(60 * time.Second),
		TrustedProxies:  []string{"127.0.0.1/32", "::1/128", "unix"},
		FPM:             map[string]*FPM{},
		Redis: Redis{
			Listen:    "127.0.0.1:6379",
			Prefix:    []string{"ws:"},
			Confirm:   Duration(time.Second),
			PushLimit: 1 << 20,
		},
		Durable: Durable{Keep: Duration(time.Hour), Memory: 64 << 20, Tag: TagAuto, Replay: 1000},
		Limits:  defaultLimits(),
		Log:     Log{Level: "info", Format: "auto"},
	}
}

func defaultLimits() Limits {
	return Limits{
		Connections:           100_000,
		ConnectionsPerAddress: 100,
		AcceptRate:            5000,
		AcceptBurst:           10_000,
		Channels:              64,
		MessagesPerSecond:     10,
		Burst:                 30,
		RelayPerSecond:        50,
		RelayFrame:            4 << 10,
		Queue:                 1 << 20,
		QueueMessages:         10_000,
		WriteTimeout:          Duration(10 * time.Second),
		InboundMemory:         256 << 20,
		OutboundMemory:        256 << 20,
		Backlog:               32,
		BacklogBytes:          256 << 10,
		PingInterval:          Duration(25 * time.Second),
		PongTimeout:           Duration(20 * time.Second),
		HandshakeTimeout:      Duration(10 * time.Second),
		HandshakeHeaders:      32 << 10,
		HandshakeHeaderCount:  64,
		MaxFragments:          1024,
		AssemblyTimeout:       Duration(60 * time.Second),
		ControlRate:           10,
		ControlBurst:          20,
	}
}

// NewFPM returns a pool with defaults.
func NewFPM(name, address string) *FPM {
	return &FPM{
		Name:           name,
		Address:        address,
		MaxConnections: 3,
		MaxIdle:        1,
		IdleTimeout:    Duration(2 * time.Second),
		QueueWait:      Duration(10 * time.Second),
		DialTimeout:    Duration(time.Second),
		PoolShare:      0.5,
	}
}

// NewRoute returns a route with defaults.
func NewRoute(path, script string) *Route {
	return &Route{
		Path:            path,
		Script:          script,
		ResolveRoot:     true,
		DetectPHPErrors: true,
		Events:          []string{EventConnect, EventMessage, EventDisconnect},
		ContentType:     "text/plain; charset=utf-8",
		OnError:         OnErrorKeep,
		ExpireCode:      4401,
		SlowCode:        4408,
		Accept:          Accept2xx,
		MessageLimit:    64 << 10,
		AnswerLimit:     16 << 20,
		ResumeAge:       Duration(10 * time.Minute),
		Timeout:         Duration(30 * time.Second),
		StreamTimeout:   Duration(10 * time.Minute),
		OnceAnswer:      16 << 10,
		CacheKey:        []string{CacheUser, CacheState, CacheChannels},
		CacheMaxAge:     Duration(time.Minute),
	}
}
