// Package session holds what wsfpm knows about its clients, and the words in
// which the rest of the program speaks about them. It is pure state: it does
// no I/O, starts no goroutine, reads no clock and logs nothing.
//
//	s := session.New("id", outlet) // the outlet takes messages; a transport has it
//	err := hub.Add(s, session.Membership{User: "42", Channels: []string{"news"}})
//	hello := session.Command{To: []session.Address{session.Channel("news")}, Message: session.NewMessage(false, data)}
//	for _, s := range hub.Find(hello.To) {
//		meant, err := s.Deliver(&hello)
//		s.Flush()
//	}
//
// Begin with [Session], one client; [Hub] finds sessions by id, user and
// channel. An [Address] names clients, a [Command] says what shall happen to
// them, a [Message] is what they are sent, in the encoding of their transport's
// [Encoder]. Replies of PHP scripts, pushes
// through Redis and POST /push all become Commands, by the one parser in
// command.go.
//
// Reading order: address.go, message.go, command.go, decode.go, json.go, membership.go,
// session.go, batch.go, hub.go, topic.go.
package session
