package once

import (
	"context"
	"errors"
	"sync"
	"time"
)

// memory is a Store in the process.
type memory struct {
	mu     sync.Mutex
	values map[string]string
	until  map[string]time.Time
	down   bool
	calls  int
	slow   time.Duration // each command takes as long
}

func newMemory() *memory {
	return &memory{values: make(map[string]string), until: make(map[string]time.Time)}
}

var errDown = errors.New("store is down")

// begin begins a command and returns the value of its key.
func (s *memory) begin(key string) (value string, err error) {
	time.Sleep(s.slow)
	s.mu.Lock()
	s.calls++
	if s.down {
		return "", errDown
	}
	if !time.Now().Before(s.until[key]) {
		delete(s.values, key)
	}
	return s.values[key], nil
}

func (s *memory) set(key, value string, ttl time.Duration) {
	s.values[key], s.until[key] = value, time.Now().Add(ttl)
}

func (s *memory) Claim(_ context.Context, key, value string, ttl time.Duration) (string, error) {
	has, err := s.begin(key)
	defer s.mu.Unlock()
	if err == nil && has == "" {
		s.set(key, value, ttl)
	}
	return has, err
}

func (s *memory) Look(_ context.Context, key string) (string, time.Duration, error) {
	has, err := s.begin(key)
	defer s.mu.Unlock()
	return has, time.Until(s.until[key]), err
}

func (s *memory) Replace(_ context.Context, key, old, next string, ttl time.Duration) (string, error) {
	has, err := s.begin(key)
	defer s.mu.Unlock()
	if err == nil && (has == "" || has == old || has == next) {
		s.set(key, next, ttl)
		has = ""
	}
	return has, err
}

func (s *memory) Remove(_ context.Context, key, old string) error {
	has, err := s.begin(key)
	defer s.mu.Unlock()
	if err == nil && has == old {
		delete(s.values, key)
	}
	return err
}

func (s *memory) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *memory) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// node is one process: its Nodes.
type node struct {
	name string
	mu   sync.Mutex
	dead map[string]bool
}

func (n *node) Node() string { return n.name }

func (n *node) Dead(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dead[name]
}

func (n *node) setDead(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead[name] = true
}
