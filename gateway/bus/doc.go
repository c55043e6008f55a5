// Package bus carries pushes between the processes of wsfpm, through Redis
// pub/sub. It knows names and commands, but neither sockets nor PHP.
//
//	b, err := bus.New(ctx, bus.Config{URL: "redis://127.0.0.1:6379"})
//	b.Listen(fanout.Deliver) // what this process hears, its own pushes included
//
// A gateway calls [Bus.Join] for the names of its clients before it answers them
// and [Bus.Leave] when they go; [Bus.Publish] sends a command to every process that
// hears its addresses. Without Redis the same calls work within the process.
//
// # Names in Redis
//
// Behind the prefix ("ws:") stand the names of the fast door, conn:<id>,
// user:<name>, channel:<name> and all, and command, which carries JSON. Names
// that begin with log, node: and presence: are reserved. A node subscribes to
// conn:, user: and channel: names only while they have members here, so the
// count that Redis answers to PUBLISH is true. With Sentinels and in a Cluster
// a node hears node:<random> too, by which it finds out, once a second, that
// its line has stayed behind on a Redis that is not the one to publish to.
//
// # Permissions
//
// A Redis user needs the commands PING, SUBSCRIBE, UNSUBSCRIBE and PUBLISH,
// PSUBSCRIBE if there are relays, and the channels of the prefixes:
//
//	ACL SETUSER wsfpm on >secret resetchannels &ws:* -@all +ping +subscribe +unsubscribe +psubscribe +publish
//
// and for each relay its pattern, letter for letter, as a channel. HELLO may
// be refused. A Cluster needs CLUSTER SLOTS in addition; Sentinels are asked by
// a user of their own, see [Config.URL].
//
// # How subscriptions are kept
//
// Each connection to Redis is an epoch. One goroutine receives and, for each
// epoch, one sends; the state of every name is in the roster, which is pure.
// A connection that breaks is never mended: the next epoch begins with a fresh
// one, on which every wanted name is subscribed again.
//
// Reading order: bus.go, manager.go, moved.go, roster.go, deliver.go, relay.go,
// redis.go, embedded.go, stats.go; send.go, for those that only
// push.
package bus
