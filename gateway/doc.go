// Package gateway walks each WebSocket connection from its handshake to its
// end: every event becomes one FastCGI request to a PHP script, every answer
// becomes commands for this connection and others.
//
// The walk goes through the files in one direction:
//
//	handshake.go  who asks, for which route, may they; the upgrade
//	admission.go  how many, how fast    handshake_size.go
//	accepted.go   every socket, from accept to close    stranger.go  TLS and the like
//	settings.go   routes and pools      letgo.go  what a reload took away
//	client.go, origin.go  the peer
//	resolve.go    the script's real path
//	environ.go    what PHP is told of the handshake
//	serve.go      a connection's life: messages, then the end
//	farewell.go   the disconnect events that wait
//	inbox.go      what waits behind a running handler   relief.go  who reads meanwhile
//	event.go      one event's own parameters
//	backend.go    the call of PHP, and whether its answer counts
//	stream.go     an answer that is sent on line by line
//	apply.go      what the answer does
//	fanout.go     what others' commands do to this process's clients, by packages delivery and members
//	age.go        connections that last or rest too long
//	tidy.go       memory that handshakes leave behind
//	drain.go      the end of the process
//
// Begin with [Gateway.ServeHTTP] and connection.serve. Package config holds
// the configuration, ws the socket, bus the way to other processes, members and
// delivery what reaches which client, answer reads answers, phpreport finds PHP's errors, cookies keeps a connection's cookies, admin the operators' listener; packages session and fcgi know nothing of this one.
package gateway
