package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// pingCases are about control frames and their answers (RFC 6455, 5.5.2 and
// 5.5.3).
func pingCases() []testCase {
	long := strings.Repeat("\xfe", 125)
	one := func(payload string, chop int) func(*client) result {
		return script{steps: chopped(chop, frame(fin|ping, payload)), want: []item{{pong, payload}}}.run
	}
	unsolicited := frame(fin|pong, "")
	withPayload := frame(fin|pong, "unsolicited")
	return []testCase{
		{"2.1", "ping without payload", one("", 0)},
		{"2.2", "ping with text", one("Hello, world!", 0)},
		{"2.3", "ping with bytes that are no text", one("\x00\xff\xfe\xfd\xfc\xfb\x00\xff", 0)},
		{"2.4", "ping of 125 bytes", one(long, 0)},
		{"2.5", "ping of 126 bytes", script{steps: sent(frame(fin|ping, long+"\xfe")), end: fails(1002)}.run},
		{"2.6", "ping of 125 bytes, byte for byte", one(long, 1)},
		{"2.7", "unsolicited pong", script{steps: sent(unsolicited)}.run},
		{"2.8", "unsolicited pong with payload", script{steps: sent(withPayload)}.run},
		{"2.9", "unsolicited pong, then a ping", script{steps: sent(withPayload, frame(fin|ping, "ask")), want: []item{{pong, "ask"}}}.run},
		{"2.10", "ten pings", tenPings(0).run},
		{"2.11", "ten pings, byte for byte", tenPings(1).run},
	}
}

func tenPings(chop int) (s script) {
	var frames []byte
	for i := range 10 {
		payload := fmt.Sprintf("ping %d", i)
		frames = slices.Concat(frames, frame(fin|ping, payload))
		s.want = append(s.want, item{pong, payload})
	}
	s.steps = chopped(chop, frames)
	return s
}
