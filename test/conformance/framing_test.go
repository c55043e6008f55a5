package conformance

import (
	"fmt"
	"strings"
)

// name is the word for a data opcode.
func name(kind byte) string {
	if kind == text {
		return "text"
	}
	return "binary"
}

// pattern is a payload of n bytes: a block whose length divides no size that a
// gateway cuts at, over and over.
func pattern(kind byte, n int) string {
	block := make([]byte, min(n, 65521))
	for i := range block {
		block[i] = byte(i*7 + i>>8)
		if kind == text {
			block[i] = '0' + byte((i+i/75)%75)
		}
	}
	return strings.Repeat(string(block), n/65521+1)[:n]
}

// echo sends one message in one frame.
func echo(kind byte, n, chop int) script {
	payload := pattern(kind, n)
	return script{steps: chopped(chop, frame(fin|kind, payload)), want: []item{{kind, payload}}}
}

// framingCases send messages in one frame, around the sizes where the form of
// the length changes (RFC 6455, 5.2).
func framingCases() (cases []testCase) {
	for g, kind := range []byte{text, binaryData} {
		for i, size := range []struct{ n, chop int }{{0, 0}, {125, 0}, {126, 0}, {127, 0}, {128, 0}, {65535, 0}, {65536, 0}, {65536, 997}} {
			about := fmt.Sprintf("%s message of %d bytes", name(kind), size.n)
			if size.chop > 0 {
				about += fmt.Sprintf(" in writes of %d", size.chop)
			}
			cases = append(cases, testCase{fmt.Sprintf("1.%d.%d", g+1, i+1), about, echo(kind, size.n, size.chop).run})
		}
	}
	return cases
}
