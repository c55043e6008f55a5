package session

// Batch delivers commands to the sessions of one shard and writes to each client
// once, however many messages were queued for it. There is one for each shard,
// used by one goroutine at a time.
type Batch struct {
	touched []*Session // queued for and not flushed
}

// mark is what a [Batch] notes on a session of its shard.
type mark struct {
	last    uint64 // the number of the last command that came to this session
	touched bool
}

// Claim reports whether command number n comes to s for the first time, and notes
// that it did. Numbers rise in the order of the commands: one that means a session
// by several addresses is delivered once.
func (b *Batch) Claim(s *Session, n uint64) bool {
	if s.batch.last >= n {
		return false
	}
	s.batch.last = n
	return true
}

// Deliver is [Session.Deliver] for a session that was claimed.
func (b *Batch) Deliver(s *Session, c *Command) (meant bool) {
	meant, _ = s.Deliver(c) // a client that cannot take it is being closed by its outlet
	if meant && !s.batch.touched {
		s.batch.touched = true
		b.touched = append(b.touched, s)
	}
	return meant
}

// Flush writes what was queued.
func (b *Batch) Flush() {
	for i, s := range b.touched {
		s.batch.touched = false
		s.Flush()
		b.touched[i] = nil
	}
	b.touched = b.touched[:0]
}
