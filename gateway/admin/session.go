package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// The bounds of tickets and sessions.
const (
	ticketLife   = 5 * time.Minute
	sessionLife  = 12 * time.Hour
	mostSessions = 16 // of each kind; the oldest gives way
)

// Sessions are the one-time tickets that `wsfpm admin` prints, and the sessions of browsers
// that were opened with them. They end with the process. It is safe for concurrent use.
type Sessions struct {
	mu       sync.Mutex
	tickets  grants
	sessions grants
}

// grants are tokens by their hash, with the time at which they end.
type grants map[[sha256.Size]byte]time.Time

// add returns a new token.
func (g *grants) add(life time.Duration) string {
	if *g == nil {
		*g = make(grants)
	}
	for len(*g) >= mostSessions {
		var oldest [sha256.Size]byte
		first := true
		for hash, until := range *g {
			if first || until.Before((*g)[oldest]) {
				oldest, first = hash, false
			}
		}
		delete(*g, oldest)
	}
	token := rand.Text()
	(*g)[sha256.Sum256([]byte(token))] = time.Now().Add(life)
	return token
}

// holds reports whether a token is valid. Hashes are compared, so that the time which that
// takes depends on no token.
func (g grants) holds(token string) bool {
	hash := sha256.Sum256([]byte(token))
	until, known := g[hash]
	return known && time.Now().Before(until)
}

// Ticket returns a new ticket.
func (s *Sessions) Ticket() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tickets.add(ticketLife)
}

// open exchanges a ticket for a session; "": it is not valid, or was used.
func (s *Sessions) open(ticket string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	valid := s.tickets.holds(ticket)
	delete(s.tickets, sha256.Sum256([]byte(ticket)))
	if !valid {
		return ""
	}
	return s.sessions.add(sessionLife)
}

// holds reports whether a session is open.
func (s *Sessions) holds(session string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions.holds(session)
}
