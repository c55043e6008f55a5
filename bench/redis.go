package main

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// redisConn speaks as much of Redis's protocol as publishing and subscribing
// to one channel need. It belongs to one goroutine.
type redisConn struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

func dialRedis(address string) (*redisConn, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	return &redisConn{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}, nil
}

func (r *redisConn) close() { r.conn.Close() }

// command writes one command.
func (r *redisConn) command(words ...string) error {
	r.out = fmt.Appendf(r.out[:0], "*%d\r\n", len(words))
	for _, w := range words {
		r.out = fmt.Appendf(r.out, "$%d\r\n%s\r\n", len(w), w)
	}
	_, err := r.conn.Write(r.out)
	return err
}

// publish returns the number of subscribers that Redis counted.
func (r *redisConn) publish(channel, payload string) (int, error) {
	if err := r.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if err := r.command("PUBLISH", channel, payload); err != nil {
		return 0, err
	}
	line, err := r.line()
	if err != nil || !strings.HasPrefix(line, ":") {
		return 0, fmt.Errorf("PUBLISH: answer %q, %w", line, err)
	}
	return strconv.Atoi(line[1:])
}

// next waits for the next message of a subscription and returns its payload.
func (r *redisConn) next() (string, error) {
	for {
		parts, err := r.array()
		if err != nil {
			return "", err
		}
		if len(parts) == 3 && parts[0] == "message" {
			return parts[2], nil
		}
	}
}

// array reads an array of strings and numbers.
func (r *redisConn) array() ([]string, error) {
	line, err := r.line()
	if err != nil || !strings.HasPrefix(line, "*") {
		return nil, fmt.Errorf("answer %q, %w", line, err)
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil {
		return nil, err
	}
	parts := make([]string, n)
	for i := range parts {
		if parts[i], err = r.line(); err != nil {
			return nil, err
		}
		if strings.HasPrefix(parts[i], "$") {
			if parts[i], err = r.line(); err != nil { // our payloads have no line ends
				return nil, err
			}
		}
	}
	return parts, nil
}

func (r *redisConn) line() (string, error) {
	line, err := r.in.ReadString('\n')
	return strings.TrimSuffix(line, "\r\n"), err
}
