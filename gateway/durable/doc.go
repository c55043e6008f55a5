// Package durable is the log of durable messages: a stream of Redis that every process
// reads whole, at a pace, and keeps a window of in memory. A client that returns to any
// process gets what it has missed out of the window, or is told of a gap.
//
//	l := durable.New(durable.Config{Store: durable.NewStore(client, "ws:log")})
//	hub.SetWindow(l)
//	l.Listen(fanout)
//	at, err := l.Append(ctx, commands)
//
// Without Redis the same log lives in the process. It depends on neither sockets nor PHP.
//
// Reading order: entry.go (the form of an entry), window.go, reader.go (a pure state
// machine: what a round of reading is worth), trim.go, store.go, local.go, log.go, loop.go,
// append.go, survey.go, stats.go.
package durable
