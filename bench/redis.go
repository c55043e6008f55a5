package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
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
	return r.number("PUBLISH", channel, payload)
}

// ask writes a command and returns the first line of its answer.
func (r *redisConn) ask(words ...string) (string, error) {
	if err := r.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if err := r.command(words...); err != nil {
		return "", err
	}
	return r.line()
}

// number writes a command that is answered with a number.
func (r *redisConn) number(words ...string) (int, error) {
	line, err := r.ask(words...)
	if err != nil || !strings.HasPrefix(line, ":") {
		return 0, fmt.Errorf("%s: answer %q, %w", words[0], line, err)
	}
	return strconv.Atoi(line[1:])
}

// done writes a command that is answered with a number or a short text, and waits for it.
func (r *redisConn) done(words ...string) error {
	line, err := r.ask(words...)
	if strings.HasPrefix(line, "$") {
		line, err = r.line()
	}
	if err != nil || strings.HasPrefix(line, "-") {
		return fmt.Errorf("%s: answer %q, %w", words[0], line, err)
	}
	return nil
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

// info is one figure of a section of Redis's INFO.
func (r *redisConn) info(section, name string) (int64, error) {
	head, err := r.ask("INFO", section)
	if err != nil || !strings.HasPrefix(head, "$") {
		return 0, fmt.Errorf("INFO: answer %q, %w", head, err)
	}
	size, err := strconv.Atoi(head[1:])
	if err != nil {
		return 0, err
	}
	text := make([]byte, size+2)
	if _, err := io.ReadFull(r.in, text); err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("INFO %s has no %s", section, name)
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

// hear subscribes n connections to a channel, and waits until Redis counts them. It returns what
// ends them.
func (r *redisConn) hear(n int, channel string) (end func(), err error) {
	var hearing sync.WaitGroup
	var list []*redisConn
	end = func() {
		for _, c := range list {
			c.close()
		}
		hearing.Wait()
	}
	for range n {
		c, err := dialRedis(r.conn.RemoteAddr().String())
		if err != nil {
			return end, err
		}
		list = append(list, c)
		if err := c.command("SUBSCRIBE", channel); err != nil {
			return end, err
		}
		hearing.Go(func() { io.Copy(io.Discard, c.in) }) // ends with the connection
	}
	return end, within(func() (bool, error) {
		heard, err := r.publish(channel, "all there?")
		return heard == n, err
	})
}
