// Package gateway walks each WebSocket connection from its handshake to its end:
// every event becomes one FastCGI request to a PHP script, every answer becomes
// commands for this connection and others.
//
//	g, err := gateway.New(gateway.Options{Config: cfg, Bus: b, Logger: log})
//	g.Attend(server)      // counts and bounds the server's sockets
//	server.Handler = g    // until
//	g.Drain(ctx)
//	g.Close(ctx)
//
// A file calls those after it in this list, and hardly ever one before it: test/style
// counts the exceptions. What runs the process:
//
//	gateway.go     settings and goroutines; reload
//	upkeep.go      what happens by the clock: connections that last or rest too long
//	drain.go       the end
//	snapshot.go    what operators see
//	pools.go       PHP-FPM pools, as reloads bring and take them
//
// The walk, from a handshake to the disconnect event:
//
//	handshake.go   who asks, for which route, may they; PHP; the upgrade
//	origin.go      no foreign pages and hosts
//	serve.go       messages, one after another, then the end
//	handoff.go     who reads on while a handler runs    pause.go  its clock
//	disconnects.go the disconnect events that wait
//	backend.go     the call of PHP, and whether its answer counts
//	stream.go      an answer that is sent on line by line
//	push.go        what is published, and what others' commands do to this process's clients
//	apply.go       what an answer does
//
// What its stations use:
//
//	environ.go     what PHP is told of the handshake, and when that changes
//	accepted.go    every socket, from accept to close    stranger.go  TLS and the like
//	admission.go   how many, how fast
//	refuse.go      the answer to a handshake that is refused
//	request.go     what RFC 6455 asks of a handshake
//	client.go      the peer's address
//	log.go         what is logged once, or of bugs and failed events
//	connection.go  one client, and the list of all    inbox.go  its messages that wait
//	settings.go    routes
//	resolve.go     the script's real path
//	upstream.go    a route's pools: the first that takes an event, then its spares
//	event.go       one event's own parameters
//	errors.go, stats.go
//
// Package config holds the configuration, ws the socket, bus the way to other
// processes, members and delivery what reaches which client, answer reads answers,
// phpreport finds PHP's errors in them, cookies keeps a connection's cookies, admin is
// the operators' listener; packages session and fcgi know nothing of this one.
package gateway
