package bus

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"wsfpm/session"
)

const (
	// pingAfter is the silence after which Redis is asked for a sign of life.
	pingAfter = time.Second
	// silence is how long a connection may say nothing at all. It also bounds
	// how long one event may take to arrive.
	silence = 5 * time.Second
	// Between attempts to connect the Bus waits about twice as long each time.
	firstWait, longestWait = 50 * time.Millisecond, time.Second
)

// Join counts one member for each name and returns when Redis has confirmed,
// in one and the same connection, that it sends this node what is published
// to them: then confirmed is true. It is false after Config.Confirm, when ctx
// ends, or at once while Redis is down or is not read, since there is no room for
// what it says; the members count all the same, and the names
// are subscribed as soon as Redis allows. Names are of connections,
// users and channels; others are heard anyway and passed over. Without Redis
// it is true at once.
func (b *Bus) Join(ctx context.Context, names []session.Address) (confirmed bool) {
	if b.client == nil || len(names) == 0 {
		return true
	}
	b.mu.Lock()
	j := b.roster.join(ownNames(names))
	given := b.status == statusDown || b.status == statusClosed
	if j != nil && given {
		b.roster.forget(j)
	}
	stuck := b.stuck
	b.mu.Unlock()
	if j == nil {
		return true
	}
	signal(b.work)
	if !given && b.await(ctx, j, stuck) {
		return true
	}
	b.counts.unconfirmed.Add(1)
	return false
}

// await waits until j is done; else it forgets j.
func (b *Bus) await(ctx context.Context, j *join, stuck <-chan struct{}) bool {
	timer := time.NewTimer(b.cfg.Confirm)
	defer timer.Stop()
	select {
	case <-j.done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	case <-stuck: // what would confirm it is not read before the caller goes on
	case <-b.ended:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roster.forget(j)
	return false
}

// Leave takes one member from each name. A name without members is
// unsubscribed. Leave does not wait.
func (b *Bus) Leave(names []session.Address) {
	if b.client == nil {
		return
	}
	b.mu.Lock()
	b.roster.leave(ownNames(names))
	b.mu.Unlock()
	signal(b.work)
}

// ownNames are the names that a node hears only while it has members.
func ownNames(names []session.Address) []session.Address {
	own := make([]session.Address, 0, len(names))
	for _, a := range names {
		switch a.Kind {
		case session.KindConn, session.KindUser, session.KindChannel:
			own = append(own, a)
		}
	}
	return own
}

// keep keeps a connection to Redis until ctx ends.
func (b *Bus) keep(ctx context.Context) {
	wait := firstWait
	for ctx.Err() == nil {
		if settled := b.epoch(ctx); settled {
			wait = firstWait
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)): // not all nodes at once
		case <-ctx.Done():
		}
		wait = min(2*wait, longestWait)
	}
}

// epoch is the life of one connection. It reports whether everything that
// this node wants to hear was confirmed in it.
func (b *Bus) epoch(ctx context.Context) (settled bool) {
	l, err := b.client.open(ctx)
	if err != nil {
		b.unreachable(ctx, err)
		return false
	}
	stop := context.AfterFunc(ctx, l.close) // wakes receive
	defer stop()

	b.connected()
	var sendErr, watchErr error
	var others sync.WaitGroup
	over, end := context.WithCancel(ctx)
	others.Go(func() {
		sendErr = b.send(over, l)
		l.close() // wakes receive
	})
	if b.own != "" {
		others.Go(func() { watchErr = b.watch(over, l) })
	}
	err = b.receive(ctx, l)
	end()
	l.close()
	others.Wait()
	if watchErr != nil {
		return b.lost(ctx, watchErr)
	}
	if sendErr != nil {
		err = sendErr
	}
	return b.lost(ctx, err)
}

// send is the only caller of SUBSCRIBE and UNSUBSCRIBE on an open line. First
// it asks for what every node hears, of which open has had the first, then for
// what the roster says, until ctx ends or the line breaks.
func (b *Bus) send(ctx context.Context, l *line) error {
	if err := l.subscribe(b.fixed[1:]); err != nil {
		return err
	}
	if len(b.patterns) > 0 {
		if err := l.subscribePatterns(b.patterns); err != nil {
			return err
		}
	}
	ticker := time.NewTicker(pingAfter)
	defer ticker.Stop()
	for {
		if err := b.sendNames(l); err != nil {
			return err
		}
		select {
		case <-b.work:
		case <-ticker.C:
			if err := b.ping(l); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// sendNames sends the roster's commands until it has no more.
func (b *Bus) sendNames(l *line) error {
	for {
		b.mu.Lock()
		subscribe, unsubscribe := b.roster.next(time.Now())
		b.mu.Unlock()
		if len(subscribe)+len(unsubscribe) == 0 {
			return nil
		}
		if len(subscribe) > 0 { // first: somebody waits for it
			if err := l.subscribe(b.redisNames(subscribe)); err != nil {
				return err
			}
		}
		if len(unsubscribe) > 0 {
			if err := l.unsubscribe(b.redisNames(unsubscribe)); err != nil {
				return err
			}
		}
	}
}

// redisNames are the names under every prefix. All of one name stand
// together, so that the last of them is the last that Redis confirms.
func (b *Bus) redisNames(names []session.Address) []string {
	list := make([]string, 0, len(names)*len(b.cfg.Prefixes))
	for _, name := range names {
		text := name.String()
		for _, p := range b.cfg.Prefixes {
			list = append(list, p+text)
		}
	}
	return list
}

// ping asks for a sign of life when there was none for a while.
func (b *Bus) ping(l *line) error {
	now := time.Now()
	b.mu.Lock()
	quiet := b.pinged.IsZero() && now.Sub(b.heard) >= pingAfter
	if quiet {
		b.pinged = now
	}
	b.mu.Unlock()
	if !quiet {
		return nil
	}
	return l.ping()
}

// receive reads a line until it breaks. It waits for nothing but Redis, and for
// room for what Redis says.
func (b *Bus) receive(ctx context.Context, l *line) error {
	last := b.cfg.Prefixes[len(b.cfg.Prefixes)-1]
	for {
		e, err := l.receive(silence)
		if err != nil {
			return err
		}
		b.mu.Lock()
		b.heard, b.pinged = time.Now(), time.Time{}
		if e.kind != eventMessage {
			b.answerLocked(e, last)
		}
		more := b.roster.hasWork()
		b.mu.Unlock()
		if more {
			signal(b.work)
		}
		if e.kind != eventMessage {
			continue
		}
		if err := b.deliver(ctx, e); err != nil {
			return err
		}
	}
}

// answerLocked tells the roster what Redis confirmed. A name is confirmed
// when it is under the last prefix.
func (b *Bus) answerLocked(e event, last string) {
	if e.kind == eventPatternSubscribed {
		b.roster.heardFixed()
		return
	}
	if e.kind != eventSubscribed && e.kind != eventUnsubscribed {
		return
	}
	if slices.Contains(b.fixed, e.name) {
		b.roster.heardFixed()
		return
	}
	text, ok := strings.CutPrefix(e.name, last)
	if !ok {
		return
	}
	name, err := session.ParseAddress(text)
	if err != nil {
		return
	}
	if e.kind == eventSubscribed {
		b.roster.heardSubscribed(name)
		return
	}
	b.roster.heardUnsubscribed(name)
}

// connected begins an epoch.
func (b *Bus) connected() {
	b.mu.Lock()
	b.roster.connected(len(b.fixed) - 1 + len(b.patterns))
	b.setStatusLocked(statusUp)
	b.epochs++
	b.heard, b.pinged = time.Now(), time.Time{}
	epoch, names := b.epochs, b.roster.wanted
	b.mu.Unlock()
	b.log.Info("redis connected", zap.Uint64("epoch", epoch), zap.Int("names", names))
}

// lost ends an epoch and reports whether it had settled.
func (b *Bus) lost(ctx context.Context, err error) (settled bool) {
	b.mu.Lock()
	settled = b.roster.settled
	b.roster.lost()
	b.setStatusLocked(statusConnecting)
	b.reason = err
	b.mu.Unlock()
	if ctx.Err() == nil {
		b.log.Warn("redis connection lost", zap.Error(err))
	}
	return settled
}

// unreachable notes an attempt that failed. The first after a loss is worth a
// warning.
func (b *Bus) unreachable(ctx context.Context, err error) {
	b.mu.Lock()
	first := b.status == statusConnecting
	b.setStatusLocked(statusDown)
	b.reason = err
	b.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	level := zap.DebugLevel
	if first {
		level = zap.WarnLevel
	}
	b.log.Log(level, "redis not reached", zap.Error(err))
}

// setStatusLocked changes the status of a Bus that is not closed.
func (b *Bus) setStatusLocked(s status) {
	if b.status != statusClosed {
		b.status = s
	}
}

func (b *Bus) standing() status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// signal leaves a token in c unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
