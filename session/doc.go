// Package session holds what wsfpm knows about its clients, and the words in
// which the rest of the program speaks about them. It is pure state: it does
// no I/O, starts no goroutine, reads no clock and logs nothing.
//
// Begin with [Session], one client; [Hub] finds sessions by id, user and
// channel. An [Address] names clients, a [Command] says what shall happen to
// them, a [Message] is what they are sent. Replies of PHP scripts, pushes
// through Redis and POST /push all become Commands, by the one parser in
// command.go.
//
// Reading order: address.go, message.go, command.go, decode.go, membership.go,
// session.go, hub.go.
package session
