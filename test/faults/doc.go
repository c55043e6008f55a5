// Package faults runs real parts together, two wsfpm nodes, PHP-FPM and Redis,
// lets several hundred clients talk, breaks one thing after another, and holds
// what came of it against a list of invariants:
//
//	I1  an answer belongs to its asker
//	I2  no event runs twice, and what was answered has run
//	I3  order: of a connection's events and answers, of a publisher's pushes
//	I4  one disconnect for every connection that was let in
//	I5  a push reaches its addressees, and no other client, once
//	I6  everything that was taken is given back, and nothing panics
//	I7  every client gets an answer, an error or an end of the connection
//	I8  a node works below its limit of workers for 2 % of the time at most
//
// Which faults come, in which order, on which node and for how long is drawn
// from a seed, and each has the number of events after which it comes: the same
// seed is the same plan. When exactly a fault meets an event is left to chance,
// as in life.
//
// A short programme runs with the other tests that need real servers
// (WSFPM_INTEGRATION=1); `make faults` runs a long one and writes
// build/faults.md. What checks has tests of its own, which need no server.
//
// Reading order: plan_test.go (what will happen), world_test.go and
// link_test.go (where), fault_*_test.go (how), client_test.go and
// publish_test.go (who talks), session_test.go and ledger_test.go (who checks),
// verdict_test.go, programme_test.go (all of it together).
package faults
