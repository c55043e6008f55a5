package bus

import (
	"errors"
	"fmt"
	"time"
)

// Stats are a Bus's state and its counters since New.
type Stats struct {
	// State is "local" without Redis, else "connecting", "up", "down" (the
	// last attempt failed) or "closed".
	State string
	// Epochs is the number of connections opened; all but the first are reconnects,
	// before each of which pushes may have been lost.
	Epochs uint64
	// Names is the number of connections, users and channels that this node subscribes
	// to, NamesConfirmed that of confirmed ones.
	Names, NamesConfirmed int

	// Pushes received as plain text, as commands and by relays, including dropped ones.
	ReceivedFast, ReceivedCommand, ReceivedRelay uint64
	// Relayed frames of clients received.
	ReceivedFrame uint64
	// Payloads dropped: over the push limit; not UTF-8; a relay's address that
	// is not valid; not a valid command.
	DroppedTooLarge, DroppedNotUTF8, DroppedAddress, DroppedCommand uint64
	// Calls of Publish that succeeded and that failed.
	Published, PublishFailed uint64
	// Calls of Join that returned false.
	JoinsUnconfirmed uint64
}

// Stats returns a snapshot.
func (b *Bus) Stats() Stats {
	s := Stats{
		ReceivedFast:     b.counts.fast.Load(),
		ReceivedCommand:  b.counts.command.Load(),
		ReceivedRelay:    b.counts.relay.Load(),
		ReceivedFrame:    b.counts.frame.Load(),
		DroppedTooLarge:  b.counts.tooLarge.Load(),
		DroppedNotUTF8:   b.counts.notUTF8.Load(),
		DroppedAddress:   b.counts.badAddress.Load(),
		DroppedCommand:   b.counts.malformed.Load(),
		Published:        b.counts.published.Load(),
		PublishFailed:    b.counts.failed.Load(),
		JoinsUnconfirmed: b.counts.unconfirmed.Load(),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s.State, s.Epochs = string(b.status), b.epochs
	s.Names, s.NamesConfirmed = b.subs.wanted, b.subs.confirmed
	return s
}

// Ready returns an error if a push to a client of this process might be lost. It returns
// nil if every wanted name and all fixed channels have been confirmed on the current
// connection, newer names have waited less than Config.Confirm, and Redis answers.
// Without Redis it returns nil until Close.
func (b *Bus) Ready() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch {
	case b.status == statusClosed:
		return ErrClosed
	case b.status == statusLocal:
		return nil
	case b.status != statusUp:
		return b.notReadyLocked(string(b.status))
	case b.subs.fixed > 0:
		return b.notReadyLocked("common names are not confirmed")
	case !b.subs.settled:
		return b.notReadyLocked(fmt.Sprintf("%d of %d names are confirmed", b.subs.confirmed, b.subs.wanted))
	}
	if sent := b.subs.oldest(); !sent.IsZero() && now.Sub(sent) > b.cfg.Confirm {
		return fmt.Errorf("redis: names are not confirmed for %v", now.Sub(sent).Round(time.Millisecond))
	}
	if !b.pinged.IsZero() && now.Sub(b.pinged) > b.cfg.Confirm {
		return fmt.Errorf("redis: silent for %v", now.Sub(b.heard).Round(time.Millisecond))
	}
	return nil
}

// notReadyLocked returns an error with the reason for the end of the last connection.
func (b *Bus) notReadyLocked(what string) error {
	if b.reason == nil {
		return errors.New("redis: " + what)
	}
	return fmt.Errorf("redis: %s: %w", what, b.reason)
}
