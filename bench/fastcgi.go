package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"wsfpm/fcgi"
)

// FastCGI record types (specification, 8).
const (
	fcgiBegin  = 1
	fcgiEnd    = 3
	fcgiParams = 4
	fcgiStdin  = 5
	fcgiStdout = 6
)

// scriptParams is what a CGI program expects at least, as nginx sends it.
func scriptParams(script, method string) map[string]string {
	return map[string]string{
		"SCRIPT_FILENAME": script, "SCRIPT_NAME": "/echo.php", "REQUEST_METHOD": method, "CONTENT_TYPE": "text/plain",
		"QUERY_STRING": "", "REQUEST_URI": "/echo.php", "DOCUMENT_URI": "/echo.php", "DOCUMENT_ROOT": "/",
		"SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "http", "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "bench",
		"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "50000", "SERVER_ADDR": "127.0.0.1", "SERVER_PORT": "80",
		"SERVER_NAME": "bench", "REDIRECT_STATUS": "200", "HTTP_HOST": "bench",
	}
}

// rawConn is the least that a FastCGI client can be: one kept connection, one
// write, no promise checked but the answer's end.
type rawConn struct{ stream }

func dialRaw(socket string, params map[string]string, body, want []byte) (*rawConn, error) {
	s, err := dial("unix", socket, 0)
	if err != nil {
		return nil, err
	}
	c := &rawConn{s}
	c.message, c.want = rawRequest(params, body), want
	return c, nil
}

// rawRequest is a whole request to a Responder, with FCGI_KEEP_CONN.
func rawRequest(params map[string]string, body []byte) []byte {
	var pairs []byte
	add := func(name, value string) {
		for _, n := range []int{len(name), len(value)} {
			if n < 128 {
				pairs = append(pairs, byte(n))
			} else {
				pairs = binary.BigEndian.AppendUint32(pairs, uint32(n)|1<<31)
			}
		}
		pairs = append(append(pairs, name...), value...)
	}
	for name, value := range params {
		add(name, value)
	}
	add("CONTENT_LENGTH", fmt.Sprint(len(body)))
	b := rawRecord(nil, fcgiBegin, []byte{0, 1, 1, 0, 0, 0, 0, 0})
	b = rawRecord(b, fcgiParams, pairs)
	b = rawRecord(b, fcgiParams, nil)
	if len(body) > 0 {
		b = rawRecord(b, fcgiStdin, body)
	}
	return rawRecord(b, fcgiStdin, nil)
}

func rawRecord(b []byte, kind byte, content []byte) []byte {
	b = append(b, 1, kind, 0, 1, byte(len(content)>>8), byte(len(content)), 0, 0)
	return append(b, content...)
}

// receive waits for END_REQUEST and compares the end of the output.
func (c *rawConn) receive() error {
	out, err := c.answer()
	if err == nil && !bytes.HasSuffix(out, c.want) {
		err = fmt.Errorf("answer %.200q, want %.60q at its end", out, c.want)
	}
	return err
}

// answer reads records until END_REQUEST. It returns the last record of the
// output, which holds all of a small answer; valid until the next call.
func (c *rawConn) answer() (out []byte, err error) {
	for {
		at := 0
		for held := c.held(); len(held)-at >= 8; {
			h := held[at:]
			size := 8 + int(binary.BigEndian.Uint16(h[4:])) + int(h[6])
			if len(h) < size {
				break
			}
			switch h[1] {
			case fcgiStdout:
				if n := binary.BigEndian.Uint16(h[4:]); n > 0 {
					out = h[8 : 8+n]
				}
			case fcgiEnd:
				c.lo += at + size
				return out, nil
			}
			at += size
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// rawShared is one of many callers that share few raw connections.
type rawShared struct {
	free chan *rawConn
}

func (r rawShared) send() error { return nil }

func (r rawShared) receive() error {
	c := <-r.free
	defer func() { r.free <- c }()
	if err := c.send(); err != nil {
		return err
	}
	return c.receive()
}

// close closes one of the connections, if any is left.
func (r rawShared) close() {
	select {
	case c := <-r.free:
		c.close()
	default:
	}
}

// pooled is a caller of this project's own FastCGI package.
type pooled struct {
	pool    *fcgi.Pool
	request fcgi.Request
	want    []byte
}

func (p *pooled) send() error { return nil }

func (p *pooled) receive() error {
	answer, err := p.pool.Do(context.Background(), &p.request)
	if err != nil {
		return err
	}
	body, err := answer.ReadAll()
	if err == nil && !bytes.Equal(body, p.want) {
		err = fmt.Errorf("answer %.60q, want %.60q", body, p.want)
	}
	return err
}

// close closes the pool that all callers share.
func (p *pooled) close() { p.pool.Close(context.Background()) }

// poolState is a part of PHP-FPM's status page. Workers that are held by an
// idle kept connection count as active.
type poolState struct {
	Active int `json:"active processes"`
	Idle   int `json:"idle processes"`
}

// statusOf asks PHP-FPM for its status on the socket of pm.status_listen.
func statusOf(socket string) (s poolState, err error) {
	params := scriptParams("/status", "GET")
	params["SCRIPT_NAME"], params["QUERY_STRING"] = "/status", "json"
	c, err := dialRaw(socket, params, nil, nil)
	if err != nil {
		return s, err
	}
	defer c.close()
	if err := c.send(); err != nil {
		return s, err
	}
	out, err := c.answer()
	if err != nil {
		return s, fmt.Errorf("read the status page: %w", err)
	}
	_, body, _ := bytes.Cut(out, []byte("\r\n\r\n"))
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("status page %.200q: %w", out, err)
	}
	return s, nil
}
