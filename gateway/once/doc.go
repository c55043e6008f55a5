// Package once runs a client's message at most once for its id, over all processes that
// share a Redis: a client may send a message again when its connection broke before the
// reply came.
//
//	guard := once.New(once.Config{Store: redis, Nodes: beats, Patience: time.Second})
//	run, v := guard.Ask(ctx, once.Request{Key: once.Key("ws:", "42", "k7"), Hash: once.Hash(script, data), …})
//	if run == nil {
//		return v // the answer of an earlier run, or why the message cannot run
//	}
//	ready := run.Ready(ctx)              // right before the request is written
//	kept, err := run.End(ctx, once.Answered, messages)
//
// One key of the store holds what is known of one id, see [Store] and value.go:
//
//	absent ──claim──► run ──answer──► kept, done      PHP does not run again
//	   ▲               │ ╲──cut, timed out──► unknown ──► run, second attempt
//	   └──nothing sent─╯  ╲──its node died──► run, second attempt
//	      or PHP refused
//
// What holds: a request that says first attempt is never sent to PHP when an earlier one
// may have run; after an answer was kept none is sent at all. It does not hold when the
// store loses its data, or when a process is stopped between [Run.Ready] and the write for
// longer than other processes take to count it as dead.
//
// A lost reply of the store leaves open whether its command was executed, or will be later.
// Each run has a token of its own, so that a late command never changes the state of
// another run.
//
// The package knows neither sockets nor PHP nor Redis. Reading order: value.go, store.go,
// machine.go, a pure state machine, guard.go and run.go, which carry out its steps, stats.go.
package once
