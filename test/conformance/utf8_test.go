package conformance

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// kosme is a Greek word of eleven bytes; hello has characters of one to two bytes.
const (
	kosme = "\u03ba\u1f79\u03c3\u03bc\u03b5"
	hello = "Hello-µ@ßöäüàá-UTF-8!!"
)

// utf8Cases are about text that must be UTF-8 (RFC 6455, 5.6 and 8.1).
func utf8Cases() []testCase {
	return slices.Concat(emptyFragments(), splitText(), brokenText(), failFast(), wholeTexts())
}

func emptyFragments() []testCase {
	none := frame(fin|continuation, "")
	return []testCase{
		{"6.1.1", "empty text", script{steps: sent(frame(fin|text, "")), want: []item{{text, ""}}}.run},
		{"6.1.2", "three empty fragments", script{steps: sent(frame(text, ""), frame(continuation, ""), none), want: []item{{text, ""}}}.run},
		{"6.1.3", "three fragments, the first and last empty", script{steps: sent(frame(text, ""), frame(continuation, hello), none), want: []item{{text, hello}}}.run},
	}
}

// octets is a text in fragments of one byte.
func octets(s string) (frames [][]byte) {
	for i := range len(s) {
		first := byte(continuation)
		if i == 0 {
			first = text
		}
		if i == len(s)-1 {
			first |= fin
		}
		frames = append(frames, frame(first, s[i:i+1]))
	}
	return frames
}

func splitText() []testCase {
	at := strings.Index(hello, "ö")
	two := [][]byte{frame(text, hello[:at]), frame(fin|continuation, hello[at:])}
	return []testCase{
		{"6.2.1", "text of several bytes a character", script{steps: sent(frame(fin|text, hello)), want: []item{{text, hello}}}.run},
		{"6.2.2", "text cut between characters", script{steps: sent(two...), want: []item{{text, hello}}}.run},
		{"6.2.3", "text in fragments of one byte", script{steps: sent(octets(hello)...), want: []item{{text, hello}}}.run},
		{"6.2.4", "a Greek word in fragments of one byte", script{steps: sent(octets(kosme)...), want: []item{{text, kosme}}}.run},
	}
}

func brokenText() []testCase {
	const broken = kosme + "\xed\xa0\x80edited"
	return []testCase{
		{"6.3.1", "text with a surrogate", script{steps: sent(frame(fin|text, broken)), end: fails(1007)}.run},
		{"6.3.2", "text with a surrogate, in fragments of one byte", script{steps: sent(octets(broken)...), end: fails(1007)}.run},
	}
}

// failFast sends a text that cannot become right any more, but is not whole
// yet: the best answer comes at once.
func failFast() []testCase {
	const bad = "\xf4\x90\x80\x80"
	fragments := func(parts ...string) script {
		s := script{steps: sent(frame(text, parts[0]), frame(continuation, parts[1]), frame(fin|continuation, parts[2])), end: fails(1007)}
		s.steps[1].fast = true
		return s
	}
	within := func(cut int) script {
		f := frame(fin|text, kosme+bad+"edited")
		at := 6 + len(kosme) + cut
		s := script{steps: sent(f[:6+len(kosme)], f[6+len(kosme):at], f[at:]), end: fails(1007)}
		s.steps[1].fast = true
		return s
	}
	return []testCase{
		{"6.4.1", "fail fast: the second of three fragments is above U+10FFFF", fragments(kosme, bad, "edited").run},
		{"6.4.2", "fail fast: a character is cut where it becomes wrong", fragments(kosme+bad[:1], bad[1:2], bad[2:]+"edited").run},
		{"6.4.3", "fail fast: one frame, the wrong character has come", within(4).run},
		{"6.4.4", "fail fast: one frame, the first wrong byte has come", within(2).run},
	}
}

// textGroup is a series of whole texts.
type textGroup struct {
	about string
	texts []string
}

// wholeTexts sends each text in one frame. Whether it is UTF-8 is for the
// standard library to say; TestTextsAreAsExpected counts.
func wholeTexts() (cases []testCase) {
	for g, group := range textGroups() {
		for i, s := range group.texts {
			play := script{steps: sent(frame(fin|text, s)), end: fails(1007)}
			about := group.about + ", not UTF-8"
			if utf8.ValidString(s) {
				play, about = script{steps: sent(frame(fin|text, s)), want: []item{{text, s}}}, group.about+", UTF-8"
			}
			cases = append(cases, testCase{fmt.Sprintf("6.%d.%d", g+5, i+1), fmt.Sprintf("%s: %.12x", about, s), play.run})
		}
	}
	return cases
}
