// Package session holds the state of wsfpm's clients, and the types for it that all other
// packages use. It does no I/O, starts no goroutine, reads no clock and logs nothing.
//
//	s := session.New("id", outlet) // the outlet takes messages; a transport has it
//	err := hub.Add(s, session.Membership{User: "42", Channels: []string{"news"}})
//	hello := session.Command{To: []session.Address{session.Channel("news")}, Message: session.NewMessage(false, data)}
//	for _, s := range hub.Find(hello.To) {
//		meant, err := s.Deliver(&hello)
//		s.Flush()
//	}
//
// A [Session] is one client; a [Hub] finds sessions by id, user and channel. An [Address]
// selects clients, a [Command] is an operation on them, and a [Message] is sent to them
// in the form of their transport's [Encoder]. Replies of PHP scripts, pushes through
// Redis and POST /push all become Commands, by the same parser (decode.go).
//
// Reading order: address.go, position.go, message.go, command.go, decode.go, json.go, expires.go, membership.go,
// relay.go, session.go, batch.go, hub.go, topic.go; place.go and enter.go: the log.
package session
