// Package bus carries pushes between the processes of wsfpm with Redis pub/sub. It
// depends on neither sockets nor PHP.
//
//	b, err := bus.New(bus.Config{URL: "redis://127.0.0.1:6379"})
//	b.Listen(fanout.Deliver) // receives all pushes, including those of this process
//	confirmed := b.Join(ctx, []session.Address{session.Channel("news")})
//	err = b.Publish(ctx, session.Command{To: names, Message: message})
//
// A gateway calls [Bus.Join] for the names of its clients before it answers them,
// and [Bus.Leave] when they disconnect; [Bus.Publish] sends a command to every process
// that has subscribed to its addresses. Without Redis the same calls work within the
// process.
//
// # Names in Redis
//
// After the prefix ("ws:") come the channels of addresses, conn:<id>, user:<name>,
// channel:<name> and all, which carry plain text, and command, which carries JSON. Names
// that begin with log, node: and presence: are reserved. A node subscribes to conn:,
// user: and channel: names only while they have members, so the count that Redis returns
// for PUBLISH is meaningful. With Sentinels and in a Cluster a node also subscribes to
// node:<random>, to detect, once a second, that its connection leads to another Redis
// than its publishes.
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
// Each connection to Redis is an epoch. One goroutine receives and, for each epoch, one
// sends; the state of every name is in subscriptions, a pure state machine. After a
// connection is lost the next epoch begins, in which every wanted name is subscribed
// again.
//
// Reading order: bus.go, manager.go, moved.go, subscriptions.go, deliver.go, frame.go, relay.go,
// laravel.go, broker.go, stats.go; send.go, for programs that only push. Package redis is the client.
package bus
