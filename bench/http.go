package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// webClient is an HTTP/1.1 client that sends one request again and again over
// one connection.
type webClient struct{ stream }

// dialHTTP connects for POST requests with a body, or GET without.
func dialHTTP(address, path string, body, want []byte) (*webClient, error) {
	s, err := dial("tcp", address, 0)
	if err != nil {
		return nil, err
	}
	c := &webClient{s}
	c.in = make([]byte, 16<<10)
	c.want = want
	if body == nil {
		c.message = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, address)
		return c, nil
	}
	c.message = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s",
		path, address, len(body), body)
	return c, nil
}

// receive waits for one answer.
func (c *webClient) receive() error {
	for {
		body, size, err := parseAnswer(c.held())
		if err != nil {
			return err
		}
		if size == 0 {
			if err := c.fill(); err != nil {
				return err
			}
			continue
		}
		c.lo += size
		if !bytes.Equal(body, c.want) {
			return fmt.Errorf("answer %.60q, want %.60q", body, c.want)
		}
		return nil
	}
}

// parseAnswer reads the answer at the beginning of b; size is 0 when it has
// not come whole. A chunked body must be one chunk, as small ones are.
func parseAnswer(b []byte) (body []byte, size int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return nil, 0, nil
	}
	head, rest := b[:end+2], b[end+4:]
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		return nil, 0, fmt.Errorf("answer %.60q", head)
	}
	if i := bytes.Index(head, []byte("\r\nContent-Length: ")); i >= 0 {
		digits, _, _ := bytes.Cut(head[i+len("\r\nContent-Length: "):], []byte("\r"))
		n, err := strconv.Atoi(string(digits))
		if err != nil || len(rest) < n {
			return nil, 0, err
		}
		return rest[:n], end + 4 + n, nil
	}
	return parseChunk(rest, end+4)
}

// parseChunk reads one chunk and the line end after it (RFC 9112, 7.1).
func parseChunk(b []byte, before int) (body []byte, size int, err error) {
	line := bytes.IndexByte(b, '\r')
	if line < 0 {
		return nil, 0, nil
	}
	n, err := strconv.ParseUint(string(b[:line]), 16, 20)
	if err != nil {
		return nil, 0, fmt.Errorf("chunk size: %w", err)
	}
	const end = "\r\n0\r\n\r\n"
	from, to := line+2, line+2+int(n)
	if len(b) < to+len(end) {
		return nil, 0, nil
	}
	if string(b[to:to+len(end)]) != end {
		return nil, 0, fmt.Errorf("an answer in several chunks: %.20q", b[to:])
	}
	return b[from:to], before + to + len(end), nil
}
