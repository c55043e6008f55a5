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
// A second programme (log_*_test.go) does the same with the log: clients of wsfpm.v1 and
// plain ones are cut off and return to any node with the last id that they have, while nodes
// are killed and stopped, and Redis restarts, is emptied, trimmed and cut off, and a Sentinel
// makes a replica the master that lacks the newest entries:
//
//	I9  what was stored reaches each client that it is for, in order and once (without
//	    envelopes: at least once), or the client is told that something may be missing,
//	    before any later message
//
// and its connections are in the registry, with presence:
//
//	I10 each connection that PHP let in gets one disconnect event, also when its node is
//	    killed or stopped for longer than its lease, and no event begins after it
//	I11 presence in Redis is what the nodes' hubs have, within a minute of the last fault
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
// verdict_test.go, programme_test.go (all of it together); log_test.go,
// log_group_test.go, log_client_test.go, log_check_test.go, log_journal_test.go, log_ends_test.go,
// log_presence_test.go.
package faults
