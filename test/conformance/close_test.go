package conformance

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// answered is the server's answer to a Close frame of the client.
func answered(code int, reason string) ending {
	return ending{code: code, answer: true, reason: reason}
}

// closeCases are about the end of a connection (RFC 6455, 5.5.1 and 7).
func closeCases() []testCase {
	return slices.Concat(afterCloseCases(), closePayloadCases(), validCodes(), invalidCodes(), unknownCodes())
}

func afterCloseCases() []testCase {
	hello := frame(fin|text, "Hello, world!")
	bye := frame(fin|closing, closePayload(1000, ""))
	late := frame(fin|ping, "late")
	end := answered(1000, "")
	return []testCase{
		{"7.1.1", "text, then close", script{steps: sent(hello, bye), want: []item{{text, "Hello, world!"}}, end: end}.run},
		{"7.1.2", "close twice", script{steps: sent(bye, bye), end: end}.run},
		{"7.1.3", "ping after close", script{steps: sent(bye, late), end: end}.run},
		{"7.1.4", "text after close", script{steps: sent(bye, hello), end: end}.run},
		{"7.1.5", "close within a fragmented text", script{
			steps: sent(frame(text, "fragment 1"), bye, frame(fin|continuation, "fragment 2")), end: end}.run},
		{"7.1.6", "256 KiB of text, then close, then a ping", script{
			steps: sent(frame(fin|text, pattern(text, 256<<10)), bye, late), end: end, choice: true}.run},
	}
}

func closePayloadCases() []testCase {
	said := func(payload string, end ending) func(*client) result {
		return script{steps: sent(frame(fin|closing, payload)), end: end}.run
	}
	longest := strings.Repeat("*", 123)
	return []testCase{
		{"7.3.1", "close without payload", said("", answered(1005, ""))},
		{"7.3.2", "close with one byte", said("\x03", fails(1002))},
		{"7.3.3", "close with a code", said(closePayload(1000, ""), answered(1000, ""))},
		{"7.3.4", "close with a code and a reason", said(closePayload(1000, "Hello, world!"), answered(1000, "Hello, world!"))},
		{"7.3.5", "close with the longest reason", said(closePayload(1000, longest), answered(1000, longest))},
		{"7.3.6", "close with a reason that is too long", said(closePayload(1000, longest+"*"), fails(1002))},
		{"7.5.1", "close with a reason that is not UTF-8", said(closePayload(1000, kosme+"\xed\xa0\x80edited"), fails(1007))},
	}
}

func validCodes() (cases []testCase) {
	for i, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		s := script{steps: sent(frame(fin|closing, closePayload(code, ""))), end: answered(code, "")}
		cases = append(cases, testCase{fmt.Sprintf("7.7.%d", i+1), fmt.Sprintf("close code %d", code), s.run})
	}
	return cases
}

func invalidCodes() (cases []testCase) {
	for i, code := range []int{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		s := script{steps: sent(frame(fin|closing, closePayload(code, ""))), end: fails(1002)}
		cases = append(cases, testCase{fmt.Sprintf("7.9.%d", i+1), fmt.Sprintf("close code %d, not allowed", code), s.run})
	}
	return cases
}

// unknownCodes are above every range that RFC 6455, 7.4.2 knows.
func unknownCodes() []testCase {
	beyond := string(binary.BigEndian.AppendUint32(nil, 65536))
	return []testCase{
		{"7.13.1", "close code 5000", script{steps: sent(frame(fin|closing, closePayload(5000, ""))), choice: true, end: fails(1002)}.run},
		{"7.13.2", "close code 65536 in four bytes", script{steps: sent(frame(fin|closing, beyond)), choice: true, end: fails(1002)}.run},
	}
}
