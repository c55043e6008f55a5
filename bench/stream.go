package main

import (
	"fmt"
	"net"
	"time"
)

// patience bounds every read of a client.
const patience = 30 * time.Second

// stream is what all clients share, so that their own costs are alike: one
// connection, one write for a prepared message, one buffer to read into.
type stream struct {
	conn    net.Conn
	message []byte // the whole request, as it goes over the wire
	want    []byte // the answer's body
	in      []byte
	lo, hi  int // what has come and is not used up: in[lo:hi]
	lazy    int // reads since the deadline was set
}

// dial connects from a loopback address: source number 0 is the system's
// choice, others are 127.0.1.1, 127.0.1.2 and so on, each with 28,000 ports.
func dial(network, address string, source int) (stream, error) {
	d := net.Dialer{Timeout: patience}
	if source > 0 {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+source/250), byte(1+source%250))}
	}
	conn, err := d.Dial(network, address)
	if err != nil {
		return stream{}, err
	}
	return stream{conn: conn, in: make([]byte, 4<<10)}, conn.SetDeadline(time.Now().Add(patience))
}

func (s *stream) send() error {
	_, err := s.conn.Write(s.message)
	return err
}

func (s *stream) close() { s.conn.Close() }

// fill reads more into the buffer. The deadline is moved now and then only:
// it is a safeguard, and moving it costs as much as a small system call.
func (s *stream) fill() error {
	if s.lo == s.hi {
		s.lo, s.hi = 0, 0
	} else if s.hi == len(s.in) {
		s.hi = copy(s.in, s.in[s.lo:s.hi])
		s.lo = 0
		if s.hi == len(s.in) {
			return fmt.Errorf("an answer of more than %d bytes", len(s.in))
		}
	}
	if s.lazy++; s.lazy >= 1000 {
		s.lazy = 0
		if err := s.conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
	}
	n, err := s.conn.Read(s.in[s.hi:])
	s.hi += n
	if n > 0 {
		return nil
	}
	return err
}

// held is what has come and is not used up.
func (s *stream) held() []byte { return s.in[s.lo:s.hi] }
