package bus

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"go.uber.org/zap"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

// commandName is the name, after a prefix, of the Redis channel for JSON commands.
const commandName = "command"

// longestLogged bounds a publisher's text in the log, in bytes.
const longestLogged = session.MaxName + 100

// Reasons to drop a payload.
var (
	errTooLarge = errors.New("the text is larger than the push limit")
	errNotUTF8  = errors.New("the text is not UTF-8")
)

// deliver passes a published message on. An invalid one is dropped: a publisher's
// mistake does not end the connection. The error is that of ctx.
func (b *Bus) deliver(ctx context.Context, e redis.Event) error {
	if e.Pattern != "" {
		return b.deliverRelayed(ctx, e)
	}
	name, ok := b.cutPrefix(e.Name)
	if !ok || e.Name == b.own {
		return nil // not for clients
	}
	if name == commandName {
		return b.deliverCommands(ctx, e)
	}
	to, err := session.ParseAddress(name)
	if err == nil && hasFrame(e.Payload) {
		return b.deliverFrame(ctx, e, to)
	}
	return b.deliverText(ctx, e, to, err, &b.counts.fast)
}

// cutPrefix returns a Redis channel without our prefix.
func (b *Bus) cutPrefix(channel string) (name string, ok bool) {
	for _, p := range b.cfg.Prefixes {
		if name, ok = strings.CutPrefix(channel, p); ok {
			return name, true
		}
	}
	return "", false
}

// deliverRelayed delivers what an application has published.
func (b *Bus) deliverRelayed(ctx context.Context, e redis.Event) error {
	if _, ours := b.cutPrefix(e.Name); ours {
		return nil // heard under its own name
	}
	r := b.relays[e.Pattern]
	to, name, err := r.address(e.Name)
	if !r.Laravel {
		return b.deliverText(ctx, e, to, err, &b.counts.relay)
	}
	if !b.isText(e, err, &b.counts.relay) {
		return nil
	}
	if to.Kind == session.KindChannel {
		name = to.Name
	}
	c, err := fromLaravel(name, e.Payload)
	if err != nil {
		b.drop(e, err, &b.counts.malformed)
		return nil
	}
	c.To = []session.Address{to}
	return b.pass(ctx, &c)
}

// isText counts a payload for an address, and reports whether it can be delivered. Err is
// that of the address.
func (b *Bus) isText(e redis.Event, err error, received *atomic.Uint64) bool {
	received.Add(1)
	switch {
	case err != nil:
		b.drop(e, err, &b.counts.badAddress)
	case int64(len(e.Payload)) > b.cfg.PushLimit:
		b.drop(e, errTooLarge, &b.counts.tooLarge)
	case !utf8.ValidString(e.Payload):
		b.drop(e, errNotUTF8, &b.counts.notUTF8)
	default:
		return true
	}
	return false
}

// deliverText delivers a payload as one text message.
func (b *Bus) deliverText(ctx context.Context, e redis.Event, to session.Address, err error, received *atomic.Uint64) error {
	if !b.isText(e, err, received) {
		return nil
	}
	c := session.Command{To: []session.Address{to}, Message: session.NewMessage(false, []byte(e.Payload))}
	return b.pass(ctx, &c)
}

// deliverCommands delivers a payload of JSON commands, all or none.
func (b *Bus) deliverCommands(ctx context.Context, e redis.Event) error {
	b.counts.command.Add(1)
	commands, unknown, err := session.Decode([]byte(e.Payload), session.FromBus)
	if err != nil {
		b.drop(e, err, &b.counts.malformed)
		return nil
	}
	if unknown != "" {
		b.droplog.Warn("unknown field in a command ignored", zap.String("field", unknown[:min(len(unknown), longestLogged)]))
	}
	for i := range commands {
		if err := b.pass(ctx, &commands[i]); err != nil {
			return err
		}
	}
	return nil
}

// drop counts and logs a payload that cannot be delivered.
func (b *Bus) drop(e redis.Event, why error, count *atomic.Uint64) {
	count.Add(1)
	b.droplog.Warn("push dropped", zap.String("address", e.Name[:min(len(e.Name), longestLogged)]),
		zap.Int("bytes", len(e.Payload)), zap.Error(why))
}

// pass passes a command on; only the goroutine that reads Redis calls it. While it
// waits for room no name is confirmed. To avoid a deadlock no Join waits meanwhile,
// since room may depend on its end.
func (b *Bus) pass(ctx context.Context, c *session.Command) error {
	wait := b.hand(c)
	if wait == nil {
		return nil
	}
	b.mu.Lock()
	close(b.stuck)
	b.mu.Unlock()
	err := wait(ctx)
	b.mu.Lock()
	b.stuck = make(chan struct{})
	b.mu.Unlock()
	return err
}
