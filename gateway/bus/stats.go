package bus

import (
	"errors"
	"fmt"
	"time"
)

// Stats is what a Bus has done since it began. All counts only grow.
type Stats struct {
	// State is "local" without Redis, else "connecting", "up", "down" (the
	// last attempt failed) or "closed".
	State string
	// Epochs is the number of connections made; all but the first are
	// reconnects, before each of which pushes may have been lost.
	Epochs uint64
	// Names is how many names of connections, users and channels this node
	// wants to hear; of these Redis has confirmed so many.
	Names, NamesConfirmed int

	// Pushes received by the fast door, on the command door and by relays.
	// What was dropped is among them.
	ReceivedFast, ReceivedCommand, ReceivedRelay uint64
	// Payloads dropped: over the push limit; not UTF-8; a relay's address that
	// is not valid; not a valid command.
	DroppedTooLarge, DroppedNotUTF8, DroppedAddress, DroppedCommand uint64
	// Calls of Publish that succeeded and that failed.
	Published, PublishFailed uint64
	// Calls of Join that returned false.
	JoinsUnconfirmed uint64
}

// Stats is a snapshot.
func (b *Bus) Stats() Stats {
	s := Stats{
		ReceivedFast:     b.counts.fast.Load(),
		ReceivedCommand:  b.counts.command.Load(),
		ReceivedRelay:    b.counts.relay.Load(),
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
	s.Names, s.NamesConfirmed = b.roster.wanted, b.roster.confirmed
	return s
}

// Ready is nil when a push to anybody here would arrive: every wanted name and
// what all nodes hear was confirmed on the present connection, names that
// came later have waited less than Config.Confirm, and Redis answers. Else it
// says what is missing. Without Redis it is nil until Close.
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
	case b.roster.fixed > 0:
		return b.notReadyLocked("common names are not confirmed")
	case !b.roster.settled:
		return b.notReadyLocked(fmt.Sprintf("%d of %d names are confirmed", b.roster.confirmed, b.roster.wanted))
	}
	if sent := b.roster.oldest(); !sent.IsZero() && now.Sub(sent) > b.cfg.Confirm {
		return fmt.Errorf("redis: names are not confirmed for %v", now.Sub(sent).Round(time.Millisecond))
	}
	if !b.pinged.IsZero() && now.Sub(b.pinged) > b.cfg.Confirm {
		return fmt.Errorf("redis: silent for %v", now.Sub(b.heard).Round(time.Millisecond))
	}
	return nil
}

// notReadyLocked adds why the last connection ended, if one did.
func (b *Bus) notReadyLocked(what string) error {
	if b.reason == nil {
		return errors.New("redis: " + what)
	}
	return fmt.Errorf("redis: %s: %w", what, b.reason)
}
