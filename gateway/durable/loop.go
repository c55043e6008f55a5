package durable

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"go.uber.org/zap"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

const (
	// block is how long a round waits for an entry.
	block = time.Second
	// Bounds of the exponential backoff between attempts to connect.
	firstWait, longestWait = 50 * time.Millisecond, time.Second
	// shutWait is the time after which a log without rights is tried again.
	shutWait = 30 * time.Second
	// startSpread and gapSpread bound the random delay before the log is loaded: many
	// nodes may start, or see a gap, at the same time.
	startSpread, gapSpread = 100 * time.Millisecond, time.Second
	// surveyTime bounds the look for what is wrong in Redis.
	surveyTime = 10 * time.Second
)

// errShut ends a line whose user lacks a right.
var errShut = errors.New("a right is missing")

// keep maintains a line until ctx ends.
func (l *Log) keep(ctx context.Context) {
	if l.loading {
		rest(ctx, rand.N(startSpread))
	}
	wait := firstWait
	for ctx.Err() == nil {
		used, err := l.epoch(ctx)
		if ctx.Err() != nil {
			return
		}
		if used {
			wait = firstWait
		}
		if errors.Is(err, errShut) {
			rest(ctx, shutWait)
			continue
		}
		l.lost(err)
		rest(ctx, wait/2+rand.N(wait/2))
		wait = min(2*wait, longestWait)
	}
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// lost records the end of a line. The first after a round is logged as a warning.
func (l *Log) lost(err error) {
	l.mu.Lock()
	first := l.state != stateDown
	l.mu.Unlock()
	l.set(stateDown, err)
	level := zap.DebugLevel
	if first {
		level = zap.WarnLevel
	}
	l.log.Log(level, "reading the log was interrupted", zap.Error(err))
}

// epoch reads on one line until it ends. It reports whether a round was used.
func (l *Log) epoch(ctx context.Context) (used bool, err error) {
	line, err := l.store.Open(ctx)
	if err != nil {
		return false, err
	}
	defer line.Close()
	stop := context.AfterFunc(ctx, line.Close) // wakes Round
	defer stop()
	if err := l.mayUse(ctx, line); err != nil {
		return false, err
	}
	if err := l.setClock(ctx, line); err != nil {
		return false, err
	}
	l.look(ctx)
	l.reader.line()
	for {
		if err := l.round(ctx, line); err != nil {
			return used, err
		}
		used = true
		if _, own := line.(*local); !own {
			rest(ctx, l.reader.pause())
		}
		if err := ctx.Err(); err != nil {
			return used, err
		}
	}
}

// setClock takes the time from Redis. Without the right this machine's clock counts.
func (l *Log) setClock(ctx context.Context, line Line) error {
	now, err := line.Time(ctx)
	switch {
	case err == nil:
		l.window.set(now)
	case !redis.Refused(err):
		return err
	}
	return nil
}

// mayUse shuts the log if Redis refuses a command that it needs. The warning is logged once.
func (l *Log) mayUse(ctx context.Context, line Line) error {
	rights, err := line.Missing(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	was := l.state
	l.mu.Unlock()
	if len(rights) == 0 {
		if was == stateShut {
			l.log.Info("the log is open: Redis grants the rights now")
			l.set(stateLoading, nil)
		}
		return nil
	}
	l.window.clear()
	l.move(0)
	l.reader.restart()
	l.loading = true
	l.set(stateShut, errShut)
	if was != stateShut {
		l.log.Warn("durable messages are off: the Redis user lacks rights; grant them, or set durable.keep = \"0s\"",
			zap.String("rights", strings.Join(rights, " ")))
	}
	return errShut
}

// round reads once, and uses the answer if the reader allows it.
func (l *Log) round(ctx context.Context, line Line) error {
	wait := block
	if l.loading {
		wait = 0
	}
	count := l.reader.count()
	answer, err := line.Round(ctx, l.reader.after(), count, wait, !l.reader.ignoring)
	if err != nil {
		l.reader.failed()
		return err
	}
	last := l.reader.last
	switch j := l.reader.judge(answer); j.verdict {
	case verdictLeave:
		return j.err
	case verdictGap:
		l.gap(ctx, j.gap)
		return nil
	default:
		return l.use(ctx, line, answer, j.renamed, last, count)
	}
}

// gap empties the window: what follows is not contiguous with it. It is loaded again, and
// then clients are told.
func (l *Log) gap(ctx context.Context, why string) {
	l.counts.gaps[why].Add(1)
	l.log.Warn("entries of the log may be missing: clients are told of a gap", zap.String("reason", why), zap.Stringer("after", l.reader.last))
	l.window.clear()
	l.move(0)
	l.set(stateLoading, nil)
	l.reader.restart()
	l.loading = true
	rest(ctx, rand.N(gapSpread))
}

// use puts entries into the window, and then delivers them. Last is the position before
// them.
func (l *Log) use(ctx context.Context, line Line, answer redis.Round, renamed bool, last session.Position, count int) error {
	l.warnOfNoTag(answer.Refused)
	list := l.convert(answer.Entries)
	l.counts.read.Add(uint64(len(list)))
	l.window.append(l.reader.tag, list)
	l.trimmer.read += roundSize(answer.Entries)
	if l.loading {
		return l.load(ctx, len(list), count)
	}
	l.observe(list)
	l.mu.Lock()
	back := l.state != stateLive
	l.mu.Unlock()
	if back {
		l.set(stateLive, nil)
		l.log.Info("reading the log", zap.Stringer("position", l.reader.last))
	}
	if renamed {
		last.Tag = l.reader.tag
		if err := l.wait(ctx, l.to.Gap(last, false)); err != nil {
			return err
		}
	}
	if len(list) > 0 || renamed {
		if err := l.deliver(ctx, list); err != nil {
			return err
		}
	}
	return l.trim(ctx, line)
}

// warnOfNoTag logs once that a failover that loses entries may go unnoticed.
func (l *Log) warnOfNoTag(refused error) {
	if l.warned || l.reader.ignoring || l.reader.tag != session.NoTag {
		return
	}
	l.warned = true
	l.log.Warn("redis shows no replication id: a failover that loses durable messages may go unnoticed; "+
		"grant the Redis user +info, or set durable.tag = \"none\"", zap.Error(refused))
}

// convert converts entries; the command of a bad one is nil.
func (l *Log) convert(entries []redis.Entry) []held {
	list := make([]held, 0, len(entries))
	for _, e := range entries {
		at, err := parseID(e.ID, l.reader.tag)
		if err != nil {
			continue // the reader has parsed it
		}
		c, err := command(e, at, l.cfg.PushLimit)
		if err != nil && !l.loading { // else it was reported when it was new
			l.drop(at, err)
		}
		list = append(list, held{at: at, command: c})
	}
	return list
}

// drop counts and logs an entry that cannot be delivered.
func (l *Log) drop(at session.Position, err error) {
	if b, ok := errors.AsType[*badEntry](err); ok {
		l.counts.bad[b.reason].Add(1)
	}
	l.droplog.Warn("entry of the log dropped", zap.Stringer("position", at), zap.Error(err))
}

// load continues to load: the window is live when the end of the log is reached. A log
// without entries gets one without a meaning, because it needs a position.
func (l *Log) load(ctx context.Context, got, count int) error {
	l.set(stateLoading, nil) // after an outage, too
	_, own := l.store.(*local)
	switch {
	case l.reader.last.IsZero():
		_, err := l.store.Append(ctx, []string{"", ""})
		return err
	case got >= count && !own:
		return nil
	}
	l.loading = false
	newest := l.window.open()
	l.move(newest.Tag)
	l.set(stateLive, nil)
	l.trimmer.done = session.Position{}
	m := l.window.measure()
	l.log.Info("loaded the log", zap.Int("entries", m.entries), zap.Int64("bytes", m.bytes), zap.Stringer("position", newest))
	return l.wait(ctx, l.to.Gap(newest, true))
}

// observe notes how late the newest of some entries was read.
func (l *Log) observe(list []held) {
	if len(list) == 0 {
		l.counts.lag.Store(0)
		return
	}
	l.counts.lag.Store(int64(l.window.now()) - int64(list[len(list)-1].at.Milli))
}

// deliver passes entries on that the window has already, and then the position behind them.
func (l *Log) deliver(ctx context.Context, list []held) error {
	l.move(l.reader.tag)
	for _, e := range list {
		if e.command == nil {
			continue
		}
		if err := l.wait(ctx, l.to.Deliver(e.command)); err != nil {
			return err
		}
	}
	return l.wait(ctx, l.to.Reached(l.reader.last))
}

// wait waits for room for what the listener was given.
func (l *Log) wait(ctx context.Context, room func(context.Context) error) error {
	if room == nil {
		return nil
	}
	return room(ctx)
}

// trim trims the log to the window, if it is this node's turn.
func (l *Log) trim(ctx context.Context, line Line) error {
	full, oldest := l.window.full()
	id := l.trimmer.due(time.Now(), full, oldest)
	if id == "" {
		return nil
	}
	return line.Trim(ctx, id)
}
