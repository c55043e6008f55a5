package config

// Limits bounds the resources of clients. 0 is no limit unless documented otherwise. A
// reload (SIGHUP) applies all of it except the two handshake keys.
type Limits struct {
	// Connections is the number of clients of this process. Default: 100000.
	// Each one needs a file descriptor.
	Connections int `toml:"connections"`

	// ConnectionsPerAddress is the number of clients of one address, for IPv6
	// of one /64. Default: 100.
	ConnectionsPerAddress int `toml:"connections_per_address"`

	// ConnectionsPerUser is the number of clients of one user on this process.
	// Default: 0.
	ConnectionsPerUser int `toml:"connections_per_user"`

	// AcceptRate is how many handshakes per second go on to PHP; beyond it the
	// answer is 503 with Retry-After. Default: 5000. It is there for the storm in
	// which all clients come back at once: each one costs a connect event. Lower
	// it to what the connect script and its database can do.
	AcceptRate float64 `toml:"accept_rate"`

	// AcceptBurst is how many of them may come at once after a silence. Default:
	// 10000. At least 1.
	AcceptBurst int `toml:"accept_burst"`

	// Channels is the number of channels that one client may be in. Default:
	// 64.
	Channels int `toml:"channels"`

	// MessagesPerSecond is how many messages of one client are handled.
	// Default: 10. Further ones wait (back-pressure), they are not dropped.
	MessagesPerSecond float64 `toml:"messages_per_second"`

	// Burst is how many messages may be handled at once after a silence.
	// Default: 30. At least 1.
	Burst int `toml:"burst"`

	// RelayPerSecond is how many frames of one client are relayed without a script (WS-Relay),
	// and how many at once after a silence. Default: 50. Further ones wait, as with
	// MessagesPerSecond, which does not count them.
	RelayPerSecond float64 `toml:"relay_per_second"`

	// RelayFrame is the largest of these frames; a larger one is dropped. Default: 4KiB. With
	// redis.url, at most redis.push_limit less 1KiB; a smaller push_limit lowers the default.
	// 0: only route.message_limit and redis.push_limit apply.
	RelayFrame Size `toml:"relay_frame"`

	// Queue is the size of the pushes that may wait for one client; beyond it
	// the client is closed with 4408. Default: 1MiB.
	Queue Size `toml:"queue"`

	// QueueMessages is how many pushes may wait for one client; beyond it the
	// client is closed with 4408. Default: 10000. Small pushes reach this before
	// [Limits.Queue]: each one costs some 40 bytes of memory beside its own.
	QueueMessages int `toml:"queue_messages"`

	// WriteTimeout is how long a client may take nothing of what waits for it
	// before it is closed with 4408. What its system acknowledges is taken.
	// Default: 10s.
	WriteTimeout Duration `toml:"write_timeout"`

	// InboundMemory bounds the messages that are being received or waiting, of
	// all clients together; a quarter is for messages up to 16 KiB. When it is
	// full, clients are read more slowly, and messages that make no progress are
	// closed with 1013. Default: 256MiB.
	InboundMemory Size `toml:"inbound_memory"`

	// OutboundMemory bounds what waits for clients that do not keep up, of all of
	// them together; a push that many wait for counts once. When it is full, the
	// client that has taken nothing for longest is closed with 4408. Default:
	// 256MiB.
	OutboundMemory Size `toml:"outbound_memory"`

	// Backlog is how many messages of one client are read ahead while a handler
	// runs. Default: 32. At least 1.
	Backlog int `toml:"backlog"`

	// BacklogBytes is the size of these messages; one message always fits.
	// Default: 256KiB.
	BacklogBytes Size `toml:"backlog_bytes"`

	// PingInterval is the time between pings, ± 10 %. Default: 25s. It must be
	// below the read timeout of every proxy in front, which is 60 s in a plain
	// nginx. 0: no pings.
	PingInterval Duration `toml:"ping_interval"`

	// PongTimeout is how long a client may take to answer a ping, from when it
	// has taken what was sent before. Default: 20s.
	// Longer than PingInterval makes little sense.
	PongTimeout Duration `toml:"pong_timeout"`

	// HandshakeTimeout bounds the reading of the handshake's headers. Default:
	// 10s. A change needs a restart.
	HandshakeTimeout Duration `toml:"handshake_timeout"`

	// HandshakeHeaders is the size of the handshake's headers; beyond it the
	// answer is 431. Default: 32KiB, at least 8KiB. A change needs a restart.
	HandshakeHeaders Size `toml:"handshake_headers"`

	// HandshakeHeaderCount is how many headers a handshake may have; beyond it
	// the answer is 431. Default: 64. A browser behind a CDN sends about 30.
	HandshakeHeaderCount int `toml:"handshake_header_count"`

	// MaxFragments is the number of frames of less than 1 KiB that one message
	// may come in; beyond it the client is closed with 1008. Default: 1024.
	MaxFragments int `toml:"max_fragments"`

	// AssemblyTimeout is how long one message may take to arrive, waits for
	// InboundMemory aside; beyond it the client is closed with 1008. Default: 60s.
	AssemblyTimeout Duration `toml:"assembly_timeout"`

	// ControlRate is how many pings and pongs per second one client may send;
	// beyond it the client is closed with 1008. Default: 10.
	ControlRate float64 `toml:"control_rate"`

	// ControlBurst is how many of them may come at once. Default: 20. At least
	// 1.
	ControlBurst int `toml:"control_burst"`

	// Lifetime is how long a connection may last, ± 10 %; then it is closed
	// with 1012 and the client comes back. Default: 0.
	Lifetime Duration `toml:"lifetime"`

	// Idle is how long a connection may go without a message in either
	// direction while no handler runs; then it is closed with 1001. Default: 0.
	Idle Duration `toml:"idle"`
}
