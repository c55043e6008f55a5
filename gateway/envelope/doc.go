// Package envelope reads and writes the JSON texts of the WebSocket subprotocol wsfpm.v1
// (docs/contract.md, 6): each message between a page and the gateway is an object around
// its payload.
//
//	b := envelope.Append(nil, m)         // {"id":"…","data":…}
//	in, err := envelope.Parse(text)      // {"id":"k7","data":…}
//	m := envelope.Reply{To: in.ID}.Message() // {"re":"k7"}
//
// It depends on neither sockets nor routes. Its functions are safe for concurrent use.
package envelope

// Protocol is the name of the subprotocol.
const Protocol = "wsfpm.v1"
