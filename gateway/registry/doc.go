// Package registry keeps a record of every connection in Redis, so that the other nodes
// know who is connected where, and run the disconnect events of a node that died. It
// depends on neither sockets nor PHP.
//
//	r := registry.New(registry.Config{Store: store, Prefix: "ws:", Node: "web1", …})
//	e := r.Enter(ctx, id, describe)         // with the answer to connect
//	r.Changed(e, old, next)                 // by an answer or a command
//	if d := r.Leave(ctx, e); d.Run {        // right before the disconnect event is sent
//
// # Keys
//
// After the prefix:
//
//	node:all                   ZSET: node -> its last beat, in milliseconds of Redis's clock
//	node:<node>                HASH: connection -> record; "." -> the stamp of the node's start
//	node:<node>:claimed        the tombstone: the node that claimed this one; lasts a day
//	presence:user:<name>       HASH: conn:<id> -> 1
//	presence:channel:<name>    HASH: user:<name> or conn:<id> -> its connections
//
// All changes are made by the scripts of scripts.go. They compute the difference from the
// stored record, so that a repeat after a lost reply changes nothing.
//
// # Death
//
// A node beats every 5 seconds. It is dead when its beat has not changed for 45 s of the
// observer's own monotonic clock (with the time of suspensions), during which all of the observer's beats went through.
// The observer then sets the tombstone, reads the records in parts of 100 and passes them
// to [Config.Lost]. The script unregister decides who runs a disconnect event: the one for
// whom it removed the record. A node that finds its own tombstone takes a new name.
//
// Reading order: record.go, scripts.go, slot.go, lease.go, silence.go, all of them pure; store.go,
// registry.go, leave.go, loop.go, claims.go, reconcile.go, stats.go.
package registry
