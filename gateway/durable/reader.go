package durable

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"wsfpm/gateway/excerpt"
	"wsfpm/gateway/redis"
	"wsfpm/session"
)

// reader decides what a round of reading is worth. It is a pure state machine: it does no
// I/O and reads no clock. Nothing of a round may be used before it is judged.
//
// XREAD from an id that was trimmed returns what is left and no error; REPLICAOF leaves a
// connection that does not wait as it is; and after a failover Redis gives ids again. So
// each round also asks whether the entry read last is still there, and for the role and
// the replication id of the server: the tag, which identifies the log's history.
type reader struct {
	own      session.Tag // in place of a tag that Redis does not show
	ignoring bool        // durable.tag = "none": Redis is not asked for its tag

	last  session.Position // of the entry read last; zero: at the beginning of the stream
	tag   session.Tag      // of the history that last belongs to; 0: none yet
	fresh bool             // no round of this line has been judged
	got   int              // entries of the last round that was used
	mean  int64            // size of an entry, in bytes; 0: unknown
	limit int              // entries of a round since one failed; 0: none
}

// verdict is what a round is worth.
type verdict uint8

const (
	verdictUse   verdict = iota + 1 // its entries follow the last one
	verdictGap                      // entries may be missing: read from the beginning again
	verdictLeave                    // the line is useless
)

// Reasons for a gap, as labels of a metric.
const (
	gapTrimmed = "trimmed" // the entry read last is gone: trimmed, evicted, or FLUSHALL
	gapHistory = "history" // Redis has another history: a restart or a failover
)

// gapReasons are all of them.
var gapReasons = []string{gapTrimmed, gapHistory}

const (
	// roundBytes is the size of a round that is aimed at. Redis holds an answer in
	// memory until it is sent.
	roundBytes = 4 << 20
	// firstCount and mostCount bound the entries of a round: the first, and any.
	firstCount, mostCount = 64, 1000
	// pace is the pause between two rounds. It bounds the rounds that Redis answers: ten
	// nodes that are woken by each entry would cost it more than the entries.
	pace = 10 * time.Millisecond
	// manyPace is the pause after a round of many entries, if it was not full: ten nodes
	// that read 5,000 a second then cost Redis a fifth less.
	many, manyPace = 32, 25 * time.Millisecond
)

// errNotMaster is the error of a line whose server does not take appends.
var errNotMaster = errors.New("the server is not a master")

// line begins a new line. Its server may have another history.
func (r *reader) line() { r.fresh = true }

// restart makes the next round read from the beginning of the stream, in any history.
func (r *reader) restart() { r.last, r.tag = session.Position{}, 0 }

// after is the id to read from, "" for the beginning.
func (r *reader) after() string {
	if r.last.IsZero() {
		return ""
	}
	return r.last.ID()
}

// count is the number of entries to ask for.
func (r *reader) count() int {
	n := firstCount
	if r.mean > 0 {
		n = int(min(max(roundBytes/r.mean, 1), mostCount))
	}
	if r.limit > 0 {
		n = min(n, r.limit)
	}
	return n
}

// failed notes a round without an answer. It may have been larger than the network carries in
// time: entries may be larger than those before them. Asked for again as it was, it would fail
// for ever.
func (r *reader) failed() { r.limit = max(r.count()/4, 1) }

// succeeded lets rounds grow again after one that failed.
func (r *reader) succeeded() {
	if r.limit *= 2; r.limit > mostCount {
		r.limit = 0
	}
}

// pause is the pause before the next round.
func (r *reader) pause() time.Duration {
	if r.got < many || 2*r.got > r.count() {
		return pace
	}
	return manyPace
}

// judge returns what a round that began at after is worth, for verdictGap with its reason
// and for verdictLeave with an error. The reader moves on when the round may be used.
func (r *reader) judge(round redis.Round) judgement {
	rep := parseReplication(round.Info)
	if r.ignoring {
		rep = replication{}
	}
	if rep.role != "" && rep.role != "master" {
		return judgement{verdict: verdictLeave, err: fmt.Errorf("%w: its role is %s", errNotMaster, excerpt.Of(rep.role))}
	}
	tag := rep.tag
	if tag == 0 {
		tag = r.own
	}
	renamed := r.tag != 0 && tag != r.tag
	switch {
	case renamed && !r.renames(rep):
		return judgement{verdict: verdictGap, gap: gapHistory}
	case !r.last.IsZero() && !round.Present:
		return judgement{verdict: verdictGap, gap: gapTrimmed}
	}
	last, err := ascending(r.last, tag, round.Entries)
	if err != nil {
		return judgement{verdict: verdictLeave, err: err}
	}
	r.last, r.tag, r.fresh, r.got = last, tag, false, len(round.Entries)
	r.weigh(round.Entries)
	r.succeeded()
	return judgement{verdict: verdictUse, renamed: renamed}
}

// judgement is a verdict with its reason.
type judgement struct {
	verdict verdict
	gap     string // of verdictGap
	renamed bool   // of verdictUse: the history has another tag from this round on
	err     error  // of verdictLeave
}

// renames reports whether a master has given its own history another name. It does so when
// its first replica comes, and after its last one has been away for repl-backlog-ttl. A
// server that has taken over the history of another one keeps that one's name beside its own.
func (r *reader) renames(rep replication) bool {
	return !r.fresh && r.tag != r.own && rep.tag != 0 && rep.role == "master" && rep.alone
}

// ascending checks that entries follow last in order, and returns the position of the last
// of them.
func ascending(last session.Position, tag session.Tag, list []redis.Entry) (session.Position, error) {
	for _, e := range list {
		at, err := parseID(e.ID, tag)
		if err != nil {
			return last, err
		}
		if !at.After(last) {
			return last, fmt.Errorf("redis returned the entry %s after %s", excerpt.Of(e.ID), last.ID())
		}
		last = at
	}
	return last, nil
}

// weigh learns the size of entries: a larger one at once, a smaller one slowly.
func (r *reader) weigh(list []redis.Entry) {
	if len(list) == 0 {
		return
	}
	mean := roundSize(list) / int64(len(list))
	if mean < r.mean {
		mean = (7*r.mean + mean) / 8
	}
	r.mean = max(mean, 1)
}

// roundSize is the size of entries as Redis sends them, in bytes.
func roundSize(list []redis.Entry) (n int64) {
	const overhead = 32
	for _, e := range list {
		n += overhead
		for _, f := range e.Fields {
			n += int64(len(f)) + 8
		}
	}
	return n
}

// replication is what INFO replication says. Zero fields are missing.
type replication struct {
	role  string
	tag   session.Tag
	alone bool // master_replid2 is all zeros: the history is the server's own
}

// parseReplication parses the section; a user without the right gets none.
func parseReplication(info string) (rep replication) {
	for line := range strings.Lines(info) {
		name, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if !found {
			continue
		}
		switch name {
		case "role":
			rep.role = value
		case "master_replid":
			if tag, err := session.ParseTag(value[:min(6, len(value))]); err == nil && len(value) >= 6 {
				rep.tag = tag
			}
		case "master_replid2":
			rep.alone = value != "" && strings.Trim(value, "0") == ""
		}
	}
	return rep
}
