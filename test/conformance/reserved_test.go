package conformance

import (
	"fmt"
	"slices"
)

// spoilt sends a good text, then a frame that breaks a rule, then a ping that
// must not be answered. The text's echo may be lost, but need not.
func spoilt(bad []byte, chop int) script {
	const hello = "Hello, world!"
	frames := [][]byte{frame(fin|text, hello), bad, frame(fin|ping, "")}
	s := script{want: []item{{text, hello}}, lax: [][]item{nil}, end: fails(1002)}
	switch chop {
	case 0:
		s.steps = sent(frames...)
	default:
		s.steps = chopped(chop, slices.Concat(frames...))
	}
	return s
}

// reservedBitCases set bits that only extensions give a meaning (RFC 6455,
// 5.2).
func reservedBitCases() []testCase {
	rsv := func(n byte, kind byte, payload string) []byte { return frame(fin|n<<4|kind, payload) }
	return []testCase{
		{"3.1", "text with RSV 1", script{steps: sent(rsv(1, text, "Hello")), end: fails(1002)}.run},
		{"3.2", "text, then text with RSV 2", spoilt(rsv(2, text, "Hello"), 0).run},
		{"3.3", "text, then text with RSV 3, in one write", together3(rsv(3, text, "Hello")).run},
		{"3.4", "text, then text with RSV 4, byte for byte", spoilt(rsv(4, text, "Hello"), 1).run},
		{"3.5", "binary with RSV 5", script{steps: sent(rsv(5, binaryData, "\x00\xff\xfe")), end: fails(1002)}.run},
		{"3.6", "ping with RSV 6", script{steps: sent(rsv(6, ping, "Hello")), end: fails(1002)}.run},
		{"3.7", "close with RSV 7", script{steps: sent(rsv(7, closing, closePayload(1000, ""))), end: fails(1002)}.run},
	}
}

// together3 is spoilt in one write.
func together3(bad []byte) script {
	s := spoilt(bad, 0)
	s.steps = together(s.steps[0].send, s.steps[1].send, s.steps[2].send)
	return s
}

// opcodeCases use opcodes that have no meaning (RFC 6455, 5.2).
func opcodeCases() (cases []testCase) {
	for g, first := range []byte{3, 11} {
		for i := range byte(5) {
			bare, laden := frame(fin|first+i, ""), frame(fin|first+i, "payload")
			s, about := script{}, ""
			switch i {
			case 0:
				s, about = script{steps: sent(bare), end: fails(1002)}, "without payload"
			case 1:
				s, about = script{steps: sent(laden), end: fails(1002)}, "with payload"
			case 2:
				s, about = spoilt(bare, 0), "after a text"
			case 3:
				s, about = spoilt(laden, 0), "with payload after a text"
			case 4:
				s, about = spoilt(laden, 1), "after a text, byte for byte"
			}
			cases = append(cases, testCase{fmt.Sprintf("4.%d.%d", g+1, i+1), fmt.Sprintf("opcode %d %s", first+i, about), s.run})
		}
	}
	return cases
}
