package gateway

import (
	"wsfpm/gateway/envelope"
	"wsfpm/session"
)

// wraps reports whether the connection speaks wsfpm.v1: then each of its text messages is
// an envelope around the payload.
func (c *connection) wraps() bool { return c.protocol == envelope.Protocol }

// unwrap takes the payload of a text message out of its envelope, and sets c.re. It returns
// false after it has closed a connection whose message is no envelope.
func (c *connection) unwrap(e *event) bool {
	c.re = ""
	if e.binary || !c.wraps() {
		return true
	}
	in, err := envelope.Parse(e.body)
	if err != nil {
		c.close(session.Close{Code: badEnvelope, Reason: session.CutReason(err.Error())})
		return false
	}
	e.body, c.re = in.Body, in.ID
	return true
}

// uncount notes that the current message gets its reply, before that is sent: the client may
// answer it with a further message at once.
func (c *connection) uncount() {
	if c.counted {
		c.counted = false
		c.flight.Add(-1)
	}
}

// inReply makes messages replies to the current message, which has an id. The last of them
// ends the answer: there is always one.
func (c *connection) inReply(messages []*session.Message, unkept bool) []*session.Message {
	c.uncount()
	if len(messages) == 0 {
		return append(messages, envelope.Reply{To: c.re, Unkept: unkept}.Message())
	}
	for i, m := range messages {
		last := i == len(messages)-1
		messages[i] = envelope.Reply{To: c.re, More: !last, Data: m, Unkept: unkept && last}.Message()
	}
	return messages
}

// replyFailed informs the client that the event of its message has failed: by a reply, if the
// message has an id, which holds the word for what happened and the text, else by the text
// alone, if there is one.
func (c *connection) replyFailed(word, text string) {
	var m *session.Message
	if text != "" {
		m = session.NewMessage(false, []byte(text))
	}
	if c.re != "" {
		m = envelope.Reply{To: c.re, Error: word, Data: m}.Message()
	}
	c.uncount()
	if m != nil {
		_ = c.session.Reply(m) // a client that left needs no message
	}
}
