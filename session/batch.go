package session

import "wsfpm/prefetch"

// Batch delivers commands to the sessions of one shard and writes many messages to a
// client at once. There is one for each shard, used by one goroutine at a time.
type Batch struct {
	touched []*Session // queued for and not flushed
}

// mark is the state of a [Batch] for one session of its shard.
type mark struct {
	last      uint64 // the number of the last command that came to this session
	unwritten int32  // the size of what was queued since the last write
	touched   bool
}

const (
	// mostUnwritten is how much is queued for a client, in bytes, before it is written:
	// what was never offered to a client must not fill the bound of what it leaves
	// unread. A message counts for messageCost bytes more: a system call writes 16.
	mostUnwritten = 16 << 10
	messageCost   = mostUnwritten / 16
)

// hot is the size of the fields of a Session that a delivery uses, in bytes.
const hot = 128

// Prefetch is called with a few sessions before a command is delivered to them: most clients
// of a site hear little, so that their memory is in no cache of the processor. Without it a
// delivery to 2,000 clients, 20 times in a second, takes 5 % more CPU time.
func (b *Batch) Prefetch(sessions []*Session) {
	for _, s := range sessions {
		prefetch.First(s, hot)
	}
	for _, s := range sessions {
		s.out.Prefetch()
	}
}

// Claim reports whether command number n is new to s, and records it. Numbers rise in the
// order of the commands: one that matches a session by several addresses is delivered
// once.
func (b *Batch) Claim(s *Session, n uint64) bool {
	if b.Claimed(s, n) {
		return false
	}
	s.batch.last = n
	return true
}

// Claimed reports whether command number n is not new to s.
func (b *Batch) Claimed(s *Session, n uint64) bool { return s.batch.last >= n }

// Deliver is [Session.Deliver] for a session that was claimed.
func (b *Batch) Deliver(s *Session, c *Command) (meant bool) {
	size := int32(messageCost)
	if c.Message != nil {
		size += int32(min(len(c.Message.Data()), mostUnwritten))
	}
	if s.batch.unwritten > 0 && s.batch.unwritten+size > mostUnwritten {
		s.batch.unwritten = 0
		s.Flush()
	}
	meant, _ = s.Deliver(c) // on an error the outlet is closing the client
	if !meant {
		return false
	}
	s.batch.unwritten += size
	b.touch(s)
	return true
}

// Gap is [Hub.Gap].
func (b *Batch) Gap(h *Hub, s *Session, p Position, lost bool) {
	if h.Gap(s, p, lost) == nil { // on an error the outlet is closing the client
		b.touch(s)
	}
}

// touch notes that something may be queued for s.
func (b *Batch) touch(s *Session) {
	if !s.batch.touched {
		s.batch.touched = true
		b.touched = append(b.touched, s)
	}
}

// Flush writes the queued messages. After a panic in one write another call writes the
// rest.
func (b *Batch) Flush() {
	for last := len(b.touched) - 1; last >= 0; last-- {
		s := b.touched[last]
		b.touched[last] = nil
		b.touched = b.touched[:last]
		s.batch.touched, s.batch.unwritten = false, 0
		s.Flush()
	}
}
