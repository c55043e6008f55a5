package conformance

import (
	"fmt"
	"slices"
	"time"
)

func failure(format string, args ...any) result {
	return result{failed, fmt.Sprintf(format, args...)}
}

// script is a conversation whose course is known before it begins, and what
// may come of it.
type script struct {
	steps []step
	want  []item   // what must come, in this order, before the Close frame
	lax   [][]item // what may come instead, but is not strict
	end   ending
	// choice says that the RFC leaves the outcome to the server, as long as
	// the connection ends.
	choice bool
}

// step is one thing that the client does.
type step struct {
	send []byte
	chop int  // bytes a write, 0: all in one
	wait bool // the next item must come before the next step
	fast bool // the server must close the connection now; else it is not strict
}

// ending is how the connection must end.
type ending struct {
	code   int    // of the server's Close frame; 0: the client closes with 1000
	answer bool   // the client has sent a Close frame: this is the answer to it
	reason string // of the answer
}

// fails is the end of a connection whose client broke a rule.
func fails(code int) ending { return ending{code: code} }

// sent is a step for each of some frames, all in one write each.
func sent(frames ...[]byte) []step {
	steps := make([]step, len(frames))
	for i, f := range frames {
		steps[i].send = f
	}
	return steps
}

// together is one step for some frames in one write.
func together(frames ...[]byte) []step { return []step{{send: slices.Concat(frames...)}} }

// chopped is one step for some frames in writes of n bytes.
func chopped(n int, frames ...[]byte) []step {
	return []step{{send: slices.Concat(frames...), chop: n}}
}

// run plays the script.
func (s script) run(c *client) result {
	var got []item
	late := false
	for i, st := range s.steps {
		if err := c.write(st); err != nil && s.end.code == 0 {
			return failure("write: %v", err)
		}
		if st.fast {
			if c.closedWithin(fastClose) {
				return s.judge(c, got, late)
			}
			late = true
		}
		if !st.wait {
			continue
		}
		next, err := c.next()
		if err != nil {
			return failure("nothing arrived after step %d: %v", i+1, err)
		}
		got = append(got, next)
	}
	return s.judge(c, got, late)
}

// fastClose is how long a server may take to notice what cannot become right.
const fastClose = 2 * time.Second

// closedWithin waits for the beginning of a frame.
func (c *client) closedWithin(d time.Duration) bool {
	c.SetReadDeadline(time.Now().Add(d))
	defer c.SetReadDeadline(time.Now().Add(patience))
	_, err := c.in.Peek(1)
	return err == nil
}

// write sends a step's bytes. Not all of them may be wanted: an error matters
// only where the connection should still be open.
func (c *client) write(st step) error {
	size := st.chop
	if size == 0 {
		size = max(len(st.send), 1)
	}
	for part := range slices.Chunk(st.send, size) {
		if err := c.send(part); err != nil {
			return err
		}
	}
	return nil
}

// judge reads what is still to come, and the end.
func (s script) judge(c *client, got []item, late bool) result {
	if s.end.code == 0 {
		for len(got) < len(s.want) {
			next, err := c.next()
			if err != nil {
				return failure("got %v, then %v, want %v", got, err, s.want)
			}
			got = append(got, next)
		}
		_ = c.send(frame(fin|closing, closePayload(1000, ""))) // when it fails, no answer comes
	}
	farewell, err := item{}, error(nil)
	for {
		if farewell, err = c.next(); err != nil || farewell.kind == closing {
			break
		}
		got = append(got, farewell)
	}
	if err == nil {
		err = c.over()
	}
	switch {
	case s.choice:
		return result{informational, fmt.Sprintf("got %v %v", got, farewell)}
	case err != nil:
		return failure("got %v, then %v", got, err)
	}
	r := s.order(got)
	if why := s.end.differs(farewell); why != "" {
		return failure("%s", why)
	}
	if late && r.verdict == ok {
		return result{nonStrict, "closed only when the whole message was there"}
	}
	return r
}

// order compares what came with what should.
func (s script) order(got []item) result {
	if slices.Equal(got, s.want) {
		return result{}
	}
	for _, lax := range s.lax {
		if slices.Equal(got, lax) {
			return result{nonStrict, fmt.Sprintf("got %v, want %v", got, s.want)}
		}
	}
	return failure("got %v, want %v", got, s.want)
}

// differs says what is wrong with the server's Close frame.
func (e ending) differs(farewell item) string {
	switch {
	case e.code == 0 && farewell.payload != closePayload(1000, ""):
		return fmt.Sprintf("Close 1000 was answered with %v", farewell)
	case e.code != 0 && farewell.code() != e.code:
		return fmt.Sprintf("got %v, want close code %d", farewell, e.code)
	case e.answer && e.code != 1005 && farewell.payload[2:] != e.reason:
		return fmt.Sprintf("got %v, want reason %q", farewell, e.reason)
	}
	return ""
}
