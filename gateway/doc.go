// Package gateway runs each WebSocket connection from its handshake to its end: every
// event becomes one FastCGI request to a PHP script, every answer becomes commands for
// this connection and others.
//
//	g, err := gateway.New(gateway.Options{Config: cfg, Bus: b, Logger: log})
//	g.Attend(server)      // counts and limits the server's sockets
//	server.Handler = g    // until
//	g.Drain(ctx)
//	g.Close(ctx)
//
// A file refers to files later in this list, with few exceptions, which test/style counts.
// The process:
//
//	gateway.go     settings and goroutines; reload
//	upkeep.go      periodic work: limits of lifetime and idle time, memory
//	drain.go       shutdown
//	snapshot.go    statistics for operators
//	lost.go        the registry, and the connections of nodes that died
//	pools.go       PHP-FPM pools, added and removed by reloads
//	single.go      one event without a client
//
// A connection, from its handshake to the disconnect event:
//
//	handshake.go   checks, the connect event, the upgrade
//	origin.go      the checks of Origin and Host
//	selftest.go    a socket of wsfpm doctor, which PHP does not see
//	serve.go       messages in order, then the end
//	relay.go       messages that need no PHP
//	handoff.go     another reader while a handler runs   pause.go  its waits, with pause_linux.go and pause_other.go
//	disconnects.go the queue of disconnect events
//	cached.go      messages that the answer of another one may answer
//	backend.go     the call of PHP and the check of its answer
//	stream.go      an answer sent line by line
//	push.go        publishing, and commands to this process's clients
//	apply.go       the effects of an answer
//
// Files that these use:
//
//	registered.go  a connection in the registry
//	durable.go     what goes through the log
//	resume.go      a client that comes back    once.go      messages that run once
//	resync.go      clients that missed relayed frames
//	envelope.go    the protocol wsfpm.v1
//	environ.go     the parameters of the handshake, and their changes
//	accepted.go    every socket, from accept to close    stranger.go  TLS and the like
//	admission.go   limits of number and rate of connections
//	observe.go     an event that is over, shown to operators
//	refuse.go      the answer to a refused handshake
//	request.go     the requirements of RFC 6455 for a handshake
//	client.go      the peer's address
//	expire.go      the end of a session, and of a client that is sent away
//	log.go         logs of panics, failed events and one-time warnings
//	connection.go  one client, and the list of all    inbox.go  its queued messages
//	trace.go       the trace context of a handshake
//	settings.go    routes
//	resolve.go     the script's real path
//	upstream.go    a route's pools: failover
//	event.go       one event's own parameters
//	errors.go, stats.go
//
// Package config holds the configuration, ws the WebSocket protocol, bus the commands
// between processes, durable the log, members and delivery memberships and fan-out, cache the stored answers, answer the parser of
// answers; phpreport finds PHP's errors in them, cookies keeps a connection's cookies, admin
// is the operators' listener. Packages session and fcgi do not depend on this one.
package gateway
