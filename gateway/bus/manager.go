package bus

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

const (
	// pingAfter is the silence after which Redis is sent a PING.
	pingAfter = time.Second
	// silence is the read timeout: a connection without data for so long is lost. It
	// also bounds the arrival of one event.
	silence = 5 * time.Second
	// Bounds of the exponential backoff between attempts to connect.
	firstWait, longestWait = 50 * time.Millisecond, time.Second
)

// Join counts one member for each name and waits until Redis has confirmed all
// subscriptions on one connection: then confirmed is true. It is false after
// Config.Confirm, when ctx ends, or at once while Redis is down or is not read for lack
// of room. The members count in any case, and the names are subscribed as soon as
// possible. Addresses other than connections, users and channels need no subscription
// and are skipped. Without Redis confirmed is true at once.
func (b *Bus) Join(ctx context.Context, names []session.Address) (confirmed bool) {
	if b.broker == nil || len(names) == 0 {
		return true
	}
	b.mu.Lock()
	j := b.subs.join(ownNames(names))
	given := b.status == statusDown || b.status == statusClosed
	if j != nil && given {
		b.subs.forget(j)
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

// await waits until j is done, or forgets j.
func (b *Bus) await(ctx context.Context, j *join, stuck <-chan struct{}) bool {
	select {
	case <-j.done:
		return true
	case <-time.After(b.cfg.Confirm):
	case <-ctx.Done():
	case <-stuck: // Redis is not read before the caller continues
	case <-b.ended:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs.forget(j)
	return false
}

// Leave subtracts one member from each name. A name without members is unsubscribed.
// Leave does not block.
func (b *Bus) Leave(names []session.Address) {
	if b.broker == nil {
		return
	}
	b.mu.Lock()
	b.subs.leave(ownNames(names))
	b.mu.Unlock()
	signal(b.work)
}

// ownNames returns the names that need a subscription while they have members.
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

// keep maintains a connection to Redis until ctx ends.
func (b *Bus) keep(ctx context.Context) {
	wait := firstWait
	for ctx.Err() == nil {
		if settled := b.epoch(ctx); settled {
			wait = firstWait
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)): // jitter
		case <-ctx.Done():
		}
		wait = min(2*wait, longestWait)
	}
}

// epoch runs one connection to its end. It reports whether all wanted subscriptions were
// confirmed on it.
func (b *Bus) epoch(ctx context.Context) (settled bool) {
	l, err := b.broker.Open(ctx)
	if err != nil {
		b.unreachable(ctx, err)
		return false
	}
	stop := context.AfterFunc(ctx, l.Close) // wakes receive
	defer stop()

	b.connected()
	var sendErr, watchErr error
	var others sync.WaitGroup
	over, end := context.WithCancel(ctx)
	others.Go(func() {
		sendErr = b.send(over, l)
		l.Close() // wakes receive
	})
	if b.own != "" {
		others.Go(func() { watchErr = b.watch(over, l) })
	}
	err = b.receive(ctx, l)
	end()
	l.Close()
	others.Wait()
	if watchErr != nil {
		return b.lost(ctx, watchErr)
	}
	if sendErr != nil {
		err = sendErr
	}
	return b.lost(ctx, err)
}

// send is the only caller of SUBSCRIBE and UNSUBSCRIBE on an open line: first for the
// fixed channels, of which open has subscribed the first, then for the commands of
// subs, until ctx ends or the line is lost.
func (b *Bus) send(ctx context.Context, l line) error {
	if err := l.Subscribe(b.fixed[1:]); err != nil {
		return err
	}
	if len(b.patterns) > 0 {
		if err := l.SubscribePatterns(b.patterns); err != nil {
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

// sendNames sends the commands of subs until there are no more.
func (b *Bus) sendNames(l line) error {
	for {
		b.mu.Lock()
		subscribe, unsubscribe := b.subs.next(time.Now())
		b.mu.Unlock()
		if len(subscribe)+len(unsubscribe) == 0 {
			return nil
		}
		if len(subscribe) > 0 { // first: a Join waits for it
			if err := l.Subscribe(b.redisNames(subscribe)); err != nil {
				return err
			}
		}
		if len(unsubscribe) > 0 {
			if err := l.Unsubscribe(b.redisNames(unsubscribe)); err != nil {
				return err
			}
		}
	}
}

// redisNames returns the names under every prefix. Those of one name are adjacent, so
// that Redis confirms the last prefix last.
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

// ping sends a PING after pingAfter without data.
func (b *Bus) ping(l line) error {
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
	return l.Ping()
}

// receive reads a line until it is lost. It waits only for Redis and for room for
// commands.
func (b *Bus) receive(ctx context.Context, l line) error {
	last := b.cfg.Prefixes[len(b.cfg.Prefixes)-1]
	for {
		e, err := l.Receive(silence)
		if err != nil {
			return err
		}
		b.mu.Lock()
		b.heard, b.pinged = time.Now(), time.Time{}
		deaf := b.subs.fixed > 0 // commands may be missed
		if e.Kind != redis.EventMessage {
			b.answerLocked(e, last)
		}
		hears := deaf && b.subs.fixed == 0
		more := b.subs.hasWork()
		b.mu.Unlock()
		if more {
			signal(b.work)
		}
		switch {
		case hears:
			err = b.pass(ctx, &session.Command{Purge: []string{session.PurgeAll}, Missed: true})
		case e.Kind == redis.EventMessage:
			err = b.deliver(ctx, e)
		}
		if err != nil {
			return err
		}
	}
}

// answerLocked passes a confirmation of Redis to subs. A name is confirmed when it is
// under the last prefix.
func (b *Bus) answerLocked(e redis.Event, last string) {
	if e.Kind == redis.EventPatternSubscribed {
		b.subs.heardFixed()
		return
	}
	if e.Kind != redis.EventSubscribed && e.Kind != redis.EventUnsubscribed {
		return
	}
	if slices.Contains(b.fixed, e.Name) {
		b.subs.heardFixed()
		return
	}
	text, ok := strings.CutPrefix(e.Name, last)
	if !ok {
		return
	}
	name, err := session.ParseAddress(text)
	if err != nil {
		return
	}
	if e.Kind == redis.EventSubscribed {
		b.subs.heardSubscribed(name)
		return
	}
	b.subs.heardUnsubscribed(name)
}

// connected begins an epoch.
func (b *Bus) connected() {
	b.mu.Lock()
	b.subs.connected(len(b.fixed) - 1 + len(b.patterns))
	b.setStatusLocked(statusUp)
	b.epochs++
	b.heard, b.pinged = time.Now(), time.Time{}
	epoch, names := b.epochs, b.subs.wanted
	b.mu.Unlock()
	b.log.Info("redis connected", zap.Uint64("epoch", epoch), zap.Int("names", names))
}

// lost ends an epoch and reports whether all its subscriptions had been confirmed.
func (b *Bus) lost(ctx context.Context, err error) (settled bool) {
	b.mu.Lock()
	settled = b.subs.settled
	b.subs.lost()
	b.setStatusLocked(statusConnecting)
	b.reason = err
	b.mu.Unlock()
	if ctx.Err() == nil {
		b.log.Warn("redis connection lost", zap.Error(err))
	}
	return settled
}

// unreachable records a failed attempt. The first after a loss is logged as a warning.
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

func (b *Bus) currentStatus() status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// signal puts a token into c unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
