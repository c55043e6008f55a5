package durable

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

// begun makes a reader that has read up to 5-0 on its line, of the history tagA.
func begun(t *testing.T) *reader {
	t.Helper()
	r := &reader{own: session.NoTag}
	r.line()
	if j := r.judge(redis.Round{Entries: []redis.Entry{raw("5-0", "all", "x")}, Info: info(tagA, true)}); j.verdict != verdictUse {
		t.Fatalf("got %+v", j)
	}
	return r
}

// without removes a line from the section of INFO.
func without(section, name string) (left string) {
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, name+":") {
			left += line
		}
	}
	return left
}

func TestTheReaderJudgesEachRound(t *testing.T) {
	next := []redis.Entry{raw("5-1", "all", "y")}
	for _, tt := range []struct {
		name    string
		round   redis.Round
		newLine bool
		want    judgement
	}{
		{"more", redis.Round{Entries: next, Present: true, Info: info(tagA, true)}, false, judgement{verdict: verdictUse}},
		{"more on a new line", redis.Round{Entries: next, Present: true, Info: info(tagA, true)}, true, judgement{verdict: verdictUse}},
		{"nothing", redis.Round{Present: true, Info: info(tagA, true)}, false, judgement{verdict: verdictUse}},
		{"the last entry is gone", redis.Round{Entries: next, Info: info(tagA, true)}, false, judgement{verdict: verdictGap, gap: gapTrimmed}},
		{"gone, and nothing follows", redis.Round{Info: info(tagA, true)}, false, judgement{verdict: verdictGap, gap: gapTrimmed}},
		{"a new history on a new line", redis.Round{Present: true, Info: info(tagB, true)}, true, judgement{verdict: verdictGap, gap: gapHistory}},
		{"REPLICAOF on this line", redis.Round{Present: true, Info: info(tagB, false)}, false, judgement{verdict: verdictGap, gap: gapHistory}},
		{"a new name of this history", redis.Round{Entries: next, Present: true, Info: info(tagB, true)}, false, judgement{verdict: verdictUse, renamed: true}},
		{"a new name, and trimmed", redis.Round{Entries: next, Info: info(tagB, true)}, false, judgement{verdict: verdictGap, gap: gapTrimmed}},
		{"a new name without a role", redis.Round{Present: true, Info: without(info(tagB, true), "role")}, false, judgement{verdict: verdictGap, gap: gapHistory}},
		{"no name", redis.Round{Present: true, Info: without(info(tagB, true), "master_replid")}, false, judgement{verdict: verdictGap, gap: gapHistory}},
		{"a name that is too short", redis.Round{Present: true, Info: without(info(tagB, true), "master_replid") + "master_replid:0\r\n"}, false, judgement{verdict: verdictGap, gap: gapHistory}},
		{"a new name, and the former one is empty", redis.Round{Present: true, Info: without(info(tagB, true), "master_replid2") + "master_replid2:\r\n"}, false, judgement{verdict: verdictGap, gap: gapHistory}},
		{"the right to INFO is lost", redis.Round{Present: true, Refused: errors.New("NOPERM")}, false, judgement{verdict: verdictGap, gap: gapHistory}},
	} {
		r := begun(t)
		if tt.newLine {
			r.line()
		}
		if got := r.judge(tt.round); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
		if used := tt.want.verdict == verdictUse && len(tt.round.Entries) > 0; (r.after() == "5-1") != used {
			t.Errorf("%s: the reader is at %s", tt.name, r.after())
		}
	}
}

func TestTheReaderLeavesALineThatIsOfNoUse(t *testing.T) {
	for name, tt := range map[string]struct {
		round redis.Round
		want  string
	}{
		"replica": {redis.Round{Present: true, Info: strings.Replace(info(tagA, true), "master\r", "slave\r", 1)}, "slave"},
		"order":   {redis.Round{Present: true, Entries: []redis.Entry{raw("5-0", "all", "x")}, Info: info(tagA, true)}, "5-0 after 5-0"},
		"id":      {redis.Round{Present: true, Entries: []redis.Entry{raw("six", "all", "x")}, Info: info(tagA, true)}, "six"},
	} {
		r := begun(t)
		if j := r.judge(tt.round); j.verdict != verdictLeave || !strings.Contains(j.err.Error(), tt.want) || r.after() != "5-0" {
			t.Errorf("%s: got %+v, at %s", name, j, r.after())
		}
	}
}

func TestWithoutATagTheLastEntryDecidesAlone(t *testing.T) {
	for _, r := range []*reader{{own: session.NoTag}, {own: session.NoTag, ignoring: true}, {own: tagB}} {
		r.line()
		r.judge(redis.Round{Entries: []redis.Entry{raw("5-0", "all", "x")}})
		section := ""
		if r.ignoring { // a proxy
			section = info(tagA, false)
		}
		r.line()
		if j := r.judge(redis.Round{Present: true, Info: section}); j.verdict != verdictUse || r.tag != r.own {
			t.Errorf("got %+v, tag %v", j, r.tag)
		}
		if j := r.judge(redis.Round{Info: section}); j.verdict != verdictGap {
			t.Errorf("got %+v, want a gap", j)
		}
	}
}

func TestARightThatComesLaterIsNoNewName(t *testing.T) {
	r := &reader{own: session.NoTag}
	r.line()
	r.judge(redis.Round{Entries: []redis.Entry{raw("5-0", "all", "x")}})
	if j := r.judge(redis.Round{Present: true, Info: info(tagA, true)}); j.verdict != verdictGap {
		t.Errorf("got %+v: what was before is unknown", j)
	}
}

func TestRoundsAreAimedAtFourMegabytes(t *testing.T) {
	r := &reader{own: session.NoTag}
	if r.count() != firstCount {
		t.Errorf("got %d at first", r.count())
	}
	ids := []string{"1-0", "2-0", "3-0", "4-0"}
	for i, tt := range []struct{ bytes, least, most int }{
		{1 << 20, 3, 4}, // a large entry counts at once
		{100, 4, 5},     // a small one slowly
		{4 << 10, 4, 6}, //
		{8 << 20, 1, 1}, // at least one
	} {
		r.judge(redis.Round{Present: true, Entries: []redis.Entry{raw(ids[i], "all", strings.Repeat("x", tt.bytes))}})
		if n := r.count(); n < tt.least || n > tt.most {
			t.Errorf("got %d entries after one of %d bytes, want %d to %d", n, tt.bytes, tt.least, tt.most)
		}
	}
	r = &reader{own: session.NoTag}
	r.judge(redis.Round{Entries: []redis.Entry{raw("1-0", "all", "x")}})
	if r.count() != mostCount {
		t.Errorf("got %d small entries", r.count())
	}
}

func TestThePauseGrowsWithTheEntriesOfARound(t *testing.T) {
	for _, tt := range []struct {
		got  int
		want time.Duration
	}{
		{0, pace}, {many - 1, pace}, {many, manyPace}, {mostCount / 2, manyPace},
		{mostCount/2 + 1, pace}, {mostCount, pace}, // more may wait
	} {
		r := &reader{own: session.NoTag}
		var list []redis.Entry
		for i := range tt.got {
			list = append(list, raw(fmt.Sprint(i+1, "-0"), "all", "x"))
		}
		r.judge(redis.Round{Entries: list})
		if got := r.pause(); got != tt.want {
			t.Errorf("after %d entries: got %v, want %v", tt.got, got, tt.want)
		}
	}
}

func TestOnlyAFullWindowTrims(t *testing.T) {
	t0 := time.Unix(1000, 0)
	trim := trimmer{memory: 800}
	for i, tt := range []struct {
		after  time.Duration
		read   int64
		full   bool
		oldest uint64
		want   string
	}{
		{0, 1000, false, 1, ""},
		{time.Hour, 1000, false, 1, ""},
		{time.Hour, 0, true, 1, "1-0"}, // the interval is over
		{time.Hour + time.Second, 99, true, 2, ""},
		{time.Hour + time.Second, 1, true, 2, "2-0"}, // an eighth of the memory was read
		{2 * time.Hour, 1000, true, 2, ""},           // nothing to trim
		{2 * time.Hour, 0, true, 3, "3-0"},
	} {
		trim.read += tt.read
		if got := trim.due(t0.Add(tt.after), tt.full, pos(tt.oldest, 0, tagA)); got != tt.want {
			t.Errorf("step %d: got %q, want %q", i, got, tt.want)
		}
	}
}
