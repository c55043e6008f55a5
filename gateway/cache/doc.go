// Package cache keeps answers of a route's script to messages and gives them to other
// clients with the same message: a shared HTTP cache (RFC 9111) of answers that say
// "Cache-Control: public, max-age=N", bounded in memory, with collapsed forwarding (request
// coalescing).
//
//	m, run, err := c.Ask(question)
//	if run == nil { … }      // m is the answer, or err: the wait was too long
//	defer run.Close()        // without an answer another client's message runs
//	…                        // PHP runs
//	run.Store(m, age, vary)  // or run.Refuse(): the answer is for one client
//
// The caller decides what an answer must be to be stored, and what a key consists of: package
// gateway. Read the files in this order: control.go (the two headers), key.go, cache.go (a
// message asks), run.go (its script has run), lru.go.
//
// It extends nothing: an answer is never served after its time, and never validated.
package cache
