package conformance

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// textGroups are the series 6.5 to 6.23: what a decoder of UTF-8 may get
// wrong (RFC 3629), in the order in which it is usually asked.
func textGroups() []textGroup {
	return []textGroup{
		{"characters of one to four bytes", []string{"hello$world", "hello¢world", "hello€world", "hello𤭢world", kosme}},
		{"beginning of a word", beginnings(kosme)},
		{"first character of its length", []string{"\x00", "\u0080", "\u0800", "\U00010000"}},
		{"first sequence of five and six bytes", []string{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"}},
		{"last character of its length", []string{"\x7f", "\u07ff", "\uffff", "\U0010ffff"}},
		{"last sequence of four to six bytes", []string{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"}},
		{"border", []string{"\ud7ff", "\ue000", "\ufffd", "\U0010ffff", "\xf4\x90\x80\x80"}},
		{"continuation bytes alone", loneContinuations()},
		{"first bytes alone", loneFirsts()},
		{"last byte missing", lastMissing()},
		{"last byte missing, all in a row", []string{strings.Join(lastMissing(), "")}},
		{"impossible bytes", []string{"\xfe", "\xff", "\xfe\xfe\xff\xff"}},
		{"overlong slash", overlong(0x2f, 0x2f, 0x2f, 0x2f, 0x2f)},
		{"longest overlong", overlong(0x7f, 0x7ff, 0xffff, 0x1fffff, 0x3ffffff)},
		{"overlong NUL", overlong(0, 0, 0, 0, 0)},
		{"surrogate", surrogates(0xd800, 0xdb7f, 0xdb80, 0xdbff, 0xdc00, 0xdf80, 0xdfff)},
		{"pair of surrogates", surrogatePairs()},
		{"non-character", nonCharacters()},
		{"special", []string{"\ufff9", "\ufffa", "\ufffb", "\ufffc", "\ufffd", "\ufffe", "\uffff"}},
	}
}

// beginnings are the first byte of s, the first two, and so on.
func beginnings(s string) (all []string) {
	for i := range len(s) {
		all = append(all, s[:i+1])
	}
	return all
}

// encode makes a sequence of n bytes of a number, by the scheme that UTF-8
// had before its limits.
func encode(number, n int) string {
	if n == 1 {
		return string([]byte{byte(number)})
	}
	b := make([]byte, n)
	for i := n - 1; i > 0; i-- {
		b[i] = 0x80 | byte(number&0x3f)
		number >>= 6
	}
	b[0] = ^byte(0xff>>n) | byte(number)
	return string(b)
}

func loneContinuations() []string {
	all := []string{"\x80", "\xbf"}
	for n := 2; n <= 6; n++ {
		all = append(all, strings.Repeat("\x80\xbf", 3)[:n])
	}
	every := make([]byte, 64)
	for i := range every {
		every[i] = 0x80 + byte(i)
	}
	return append(all, string(every))
}

// loneFirsts are all first bytes of two, three, four, five and six bytes, each
// with a space after it.
func loneFirsts() (all []string) {
	for from, to := 0xc0, 0xe0; from < 0xfe; from, to = to, to+(to-from)/2 {
		var b []byte
		for first := from; first < to; first++ {
			b = append(b, byte(first), ' ')
		}
		all = append(all, string(b))
	}
	return all
}

// lastMissing are the lowest and highest sequences of two to six bytes but
// their last.
func lastMissing() (all []string) {
	for n := 2; n <= 6; n++ {
		all = append(all, encode(0, n)[:n-1])
	}
	for n := 2; n <= 6; n++ {
		most := 1<<(5*n+1) - 1
		all = append(all, encode(most, n)[:n-1])
	}
	return all
}

// overlong encodes numbers in two to six bytes, more than each needs.
func overlong(numbers ...int) (all []string) {
	for i, number := range numbers {
		all = append(all, encode(number, i+2))
	}
	return all
}

func surrogates(numbers ...int) (all []string) {
	for _, number := range numbers {
		all = append(all, encode(number, 3))
	}
	return all
}

func surrogatePairs() (all []string) {
	for _, high := range []int{0xd800, 0xdb7f, 0xdb80, 0xdbff} {
		for _, low := range []int{0xdc00, 0xdfff} {
			all = append(all, encode(high, 3)+encode(low, 3))
		}
	}
	return all
}

// nonCharacters are the last two code points of each plane: they stand for
// nothing, and are valid all the same.
func nonCharacters() (all []string) {
	for plane := rune(0); plane <= 0x10; plane++ {
		all = append(all, string(plane<<16|0xfffe), string(plane<<16|0xffff))
	}
	return all
}

// TestTextsAreAsExpected holds the series against what is known of them, so
// that a slip in making them does not make cases agree with anything.
func TestTextsAreAsExpected(t *testing.T) {
	want := []struct{ valid, invalid int }{
		{5, 0}, {5, 6}, {4, 0}, {0, 2}, {4, 0}, {0, 3}, {4, 1}, {0, 8}, {0, 5}, {0, 10}, {0, 1}, {0, 3},
		{0, 5}, {0, 5}, {0, 5}, {0, 7}, {0, 8}, {34, 0}, {7, 0},
	}
	for g, group := range textGroups() {
		valid := 0
		for _, s := range group.texts {
			if utf8.ValidString(s) {
				valid++
			}
		}
		if valid != want[g].valid || len(group.texts)-valid != want[g].invalid {
			t.Errorf("6.%d %s: got %d valid of %d, want %v", g+5, group.about, valid, len(group.texts), want[g])
		}
	}
	for got, hex := range map[string]string{
		overlong(0x2f, 0x2f, 0x2f, 0x2f, 0x2f)[4]: "\xfc\x80\x80\x80\x80\xaf",
		loneFirsts()[4]:     "\xfc \xfd ",
		lastMissing()[9]:    "\xfd\xbf\xbf\xbf\xbf",
		lastMissing()[3]:    "\xf8\x80\x80\x80",
		surrogatePairs()[7]: "\xed\xaf\xbf\xed\xbf\xbf",
		overlong(0x7f, 0x7ff, 0xffff, 0x1fffff, 0x3ffffff)[3]: "\xf8\x87\xbf\xbf\xbf",
	} {
		if got != hex {
			t.Errorf("got %x, want %x", got, hex)
		}
	}
}
