package conformance

import "slices"

// fragmentCases cut messages into frames (RFC 6455, 5.4).
func fragmentCases() []testCase {
	return slices.Concat(fragmentedControl(), fragmentedText(), continuationOfNothing(), messageWithin(), pingsWithin())
}

func fragmentedControl() []testCase {
	two := func(kind byte) func(*client) result {
		return script{steps: sent(frame(kind, "fragment 1"), frame(fin|continuation, "fragment 2")), end: fails(1002)}.run
	}
	return []testCase{
		{"5.1", "ping in two fragments", two(ping)},
		{"5.2", "pong in two fragments", two(pong)},
	}
}

func fragmentedText() []testCase {
	one, two := frame(text, "fragment 1, "), frame(fin|continuation, "fragment 2")
	between := frame(fin|ping, "between")
	want := []item{{text, "fragment 1, fragment 2"}}
	wantBoth := []item{{pong, "between"}, want[0]}
	return []testCase{
		{"5.3", "text in two fragments", script{steps: together(one, two), want: want}.run},
		{"5.4", "text in two fragments, a write each", script{steps: sent(one, two), want: want}.run},
		{"5.5", "text in two fragments, byte for byte", script{steps: chopped(1, one, two), want: want}.run},
		{"5.6", "text in two fragments, a ping between", script{steps: together(one, between, two), want: wantBoth}.run},
		{"5.7", "text in two fragments, a ping between, a write each", script{steps: sent(one, between, two), want: wantBoth}.run},
		{"5.8", "text in two fragments, a ping between, byte for byte", script{steps: chopped(1, one, between, two), want: wantBoth}.run},
	}
}

// continuationOfNothing begins with a continuation: 5.9 to 5.11 with a last
// one, 5.12 to 5.14 with one that would go on.
func continuationOfNothing() (cases []testCase) {
	whole := frame(fin|text, "Hello, world!")
	for i, id := range []string{"5.9", "5.10", "5.11", "5.12", "5.13", "5.14"} {
		orphan, about := frame(fin|continuation, "orphan"), "last continuation of nothing, then text"
		if i >= 3 {
			orphan, about = frame(continuation, "orphan"), "continuation of nothing, then text"
		}
		s := script{end: fails(1002)}
		switch i % 3 {
		case 0:
			s.steps = together(orphan, whole)
		case 1:
			s.steps, about = sent(orphan, whole), about+", a write each"
		case 2:
			s.steps, about = chopped(1, orphan, whole), about+", byte for byte"
		}
		cases = append(cases, testCase{id, about, s.run})
	}
	return cases
}

func messageWithin() []testCase {
	one, two := frame(text, "fragment 1, "), frame(fin|continuation, "fragment 2")
	open, last := frame(continuation, "fragment"), frame(fin|continuation, "fragment")
	whole := frame(fin|text, "Hello, world!")
	return []testCase{
		{"5.15", "text in two fragments, then a continuation of nothing, then text", script{
			steps: together(one, two, open, whole),
			want:  []item{{text, "fragment 1, fragment 2"}}, lax: [][]item{nil}, end: fails(1002)}.run},
		{"5.16", "twice: continuation of nothing, text in two fragments", script{
			steps: together(open, one, last, open, one, last), end: fails(1002)}.run},
		{"5.17", "twice: last continuation of nothing, text in two fragments", script{
			steps: together(last, one, last, last, one, last), end: fails(1002)}.run},
		{"5.18", "text within a text that has begun", script{
			steps: together(one, whole), end: fails(1002)}.run},
	}
}

// pingsWithin are answered before the message that they interrupt is whole.
func pingsWithin() []testCase {
	first := [][]byte{frame(text, "fragment 1, "), frame(continuation, "fragment 2, "), frame(fin|ping, "ping 1")}
	second := [][]byte{frame(continuation, "fragment 3, "), frame(continuation, "fragment 4, "), frame(fin|ping, "ping 2")}
	last := frame(fin|continuation, "fragment 5")
	want := []item{{pong, "ping 1"}, {pong, "ping 2"}, {text, "fragment 1, fragment 2, fragment 3, fragment 4, fragment 5"}}
	one := slices.Concat(together(first...), together(second...), sent(last))
	one[0].wait, one[1].wait = true, true
	each := slices.Concat(sent(first...), sent(second...), sent(last))
	each[2].wait, each[5].wait = true, true
	return []testCase{
		{"5.19", "text in five fragments, two pings between that are answered at once", script{steps: one, want: want}.run},
		{"5.20", "the same, a write for each frame", script{steps: each, want: want}.run},
	}
}
