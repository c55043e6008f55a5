package conformance

import (
	"fmt"
	"slices"
	"time"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// sizeCases send much, in whole messages, many fragments, many small writes
// and many messages. Payloads are made when a case runs: all of them together
// would take half a gigabyte.
func sizeCases() (cases []testCase) {
	add := func(g, i int, about string, s func() script) {
		run := func(c *client) result {
			play := s()
			if err := c.SetDeadline(time.Now().Add(patienceForMuch)); err != nil {
				return failure("%v", err)
			}
			return play.run(c)
		}
		cases = append(cases, testCase{fmt.Sprintf("9.%d.%d", g, i+1), about, run})
	}
	for k, kind := range []byte{text, binaryData} {
		for i, n := range []int{64 * kib, 256 * kib, mib, 4 * mib, 8 * mib, 16 * mib} {
			add(1+k, i, fmt.Sprintf("%s message of %d KiB", name(kind), n/kib), func() script { return echo(kind, n, 0) })
		}
		for i, n := range []int{64, 256, kib, 4 * kib, 16 * kib, 64 * kib, 256 * kib, mib, 4 * mib} {
			add(3+k, i, fmt.Sprintf("%s message of 4 MiB in fragments of %d bytes", name(kind), n), func() script { return fragmented(kind, 4*mib, n) })
		}
		for i, n := range []int{64, 128, 256, 512, kib, 2 * kib} {
			add(5+k, i, fmt.Sprintf("%s message of 1 MiB in writes of %d bytes", name(kind), n), func() script { return echo(kind, mib, n) })
		}
		for i, n := range []int{0, 16, 64, kib, 4 * kib, 16 * kib} {
			add(7+k, i, fmt.Sprintf("1,000 %s messages of %d bytes, one after another", name(kind), n), func() script { return manyEchoes(kind, n) })
		}
	}
	return cases
}

// fragmented is one message in frames of size bytes.
func fragmented(kind byte, n, size int) script {
	payload := pattern(kind, n)
	var frames [][]byte
	for at := 0; at < n; at += size {
		first := byte(continuation)
		if at == 0 {
			first = kind
		}
		if at+size >= n {
			first |= fin
		}
		frames = append(frames, frame(first, payload[at:min(at+size, n)]))
	}
	return script{steps: together(frames...), want: []item{{kind, payload}}}
}

// manyEchoes sends each message when the one before has come back.
func manyEchoes(kind byte, n int) script {
	const many = 1000
	payload := pattern(kind, n)
	return script{
		steps: slices.Repeat([]step{{send: frame(fin|kind, payload), wait: true}}, many),
		want:  slices.Repeat([]item{{kind, payload}}, many),
	}
}

// autoFragmentCases is a message in frames of a size that divides nothing.
func autoFragmentCases() []testCase {
	return []testCase{{"10.1.1", "text message of 64 KiB in fragments of 1,300 bytes", fragmented(text, 64*kib, 1300).run}}
}
