package ws

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAnAnswerThatIsOwedComesBeforeTheLastClose(t *testing.T) {
	for _, test := range []struct {
		name  string
		last  []byte
		code  int
		clean bool
	}{
		{"the client closes", masked(0x88, closePayload(1000, "")), 1000, true},
		{"the client breaks a rule", masked(0x83, "reserved"), 1002, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, p := pair(t, "tcp", Limits{})
			p.say(t, masked(0x81, "first"), masked(0x81, "second"), test.last)
			for range 2 {
				if _, err := c.Read(); err != nil {
					t.Fatal(err)
				}
				c.BeginReply()
			}
			if _, err := c.Read(); err == nil {
				t.Fatal("got a message")
			}
			for _, answer := range []string{"1", "2"} {
				if err := c.QueueReply(text(answer)); err != nil {
					t.Fatal(err)
				}
				c.Flush()
				c.EndReply(Message{})
				p.want(t, 0x81, answer)
			}
			p.wantClose(t, test.code)
			p.wantEnd(t)
			p.Close()
			within(t, "the end", c.Ended())
			wantCause(t, c, test.code, test.clean)
		})
	}
}

func TestTheLastCloseDoesNotWaitLongForAnAnswer(t *testing.T) {
	for _, last := range [][]byte{masked(0x88, closePayload(1000, "")), masked(0x83, "reserved")} {
		synctest.Test(t, func(t *testing.T) {
			c, p := piped(t, Limits{})
			c.BeginReply()
			start := time.Now()
			go p.Write(last)
			if _, err := c.Read(); err == nil {
				t.Fatal("got a message")
			}
			code, _, _ := c.Cause()
			p.wantClose(t, code)
			if took := time.Since(start); took < answerWait || took > answerWait+2*tick {
				t.Errorf("the Close frame came after %v, want %v", took, answerWait)
			}
			p.Close()
			c.EndReply(Message{})
			<-c.Ended()
		})
	}
}

func TestTheOwnersCloseStandsBeforeTheLateOne(t *testing.T) {
	for _, last := range [][]byte{masked(0x88, closePayload(1000, "")), masked(0x83, "reserved")} {
		c, p := pair(t, "tcp", Limits{})
		c.BeginReply()
		p.say(t, last)
		if _, err := c.Read(); err == nil {
			t.Fatal("got a message")
		}
		c.Close(1011, "handler error")
		p.wantClose(t, 1011)
		c.EndReply(Message{})
		p.wantEnd(t)
		p.Close()
		within(t, "the end", c.Ended())
	}
}

func TestAClientThatLeavesIsNotOwedAnything(t *testing.T) {
	c, p := pair(t, "tcp", Limits{})
	c.BeginReply()
	p.say(t, masked(0x88, ""))
	if _, err := c.Read(); err == nil {
		t.Fatal("got a message")
	}
	c.CloseNow()
	within(t, "the end", c.Ended())
	if err := c.QueueReply(text("too late")); err == nil {
		t.Error("a reply was accepted behind the end")
	}
	c.EndReply(Message{})
	p.wantEnd(t)
}
