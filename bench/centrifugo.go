package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// centrifugoConfig lets everybody in: what is compared is the delivery. The
// broker is the process's own memory, so a message is spared the way over
// Redis. All else is left as it comes.
const centrifugoConfig = `{
	"client": {"insecure": true, "allowed_origins": ["*"]},
	"http_api": {"insecure": true},
	"log": {"level": "warn"}
}
`

// centrifugo is the program's path, if scripts/bench has built it.
func centrifugo() (string, error) { return tool(filepath.Join(cacheDir(), "centrifugo-*")) }

func hasCentrifugo() bool {
	_, err := centrifugo()
	return err == nil
}

// startCentrifugo runs the broker.
func (l *lab) startCentrifugo(name string) (*server, error) {
	binary, err := centrifugo()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file, err := l.write(name+".json", centrifugoConfig)
	if err != nil {
		return nil, err
	}
	p, err := l.start(name, exec.Command(binary, "--config", file, "--http_server.address", "127.0.0.1", "--http_server.port", portOf(address)))
	if err != nil {
		return nil, err
	}
	return &server{process: p, address: address}, p.await("tcp", address)
}

// dialSubscriber dials clients of its bidirectional protocol in JSON, as its
// own client libraries are: one command connects, another subscribes. Messages
// that wait are then joined in one frame, which the unidirectional protocol
// does on request only.
func dialSubscriber(s *server) func(i int) (*webSocket, error) {
	headers := browserHeaders(1 << 10)
	commands := []byte(`{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"site"}}`)
	return func(i int) (*webSocket, error) {
		w, err := dialWebSocket(s.address, "/connection/websocket", headers, 1+i/10_000, commands)
		if err != nil {
			return nil, err
		}
		if err = w.send(); err == nil {
			err = w.awaitSubscribed()
		}
		if err != nil {
			w.close()
			return nil, err
		}
		return w, nil
	}
}

// awaitSubscribed reads until the second command is answered.
func (w *webSocket) awaitSubscribed() error {
	for {
		opcode, payload, err := w.next()
		if err != nil {
			return err
		}
		if opcode != opText || bytes.Contains(payload, []byte(`"error"`)) {
			return fmt.Errorf("opcode %d instead of an answer: %.100q", opcode, payload)
		}
		if bytes.Contains(payload, []byte(`"id":2`)) {
			return nil
		}
	}
}

// hearPushes reads a frame of that protocol: a line for each message, or a ping,
// which is answered alike.
func (c *crowd) hearPushes(m *member, payload []byte, now time.Time) {
	const before = `"data":"`
	for line := range bytes.Lines(payload) {
		if at := bytes.Index(line, []byte(before)); at >= 0 {
			c.hearOne(line[at+len(before):], now)
		} else if string(bytes.TrimSpace(line)) == "{}" {
			unix.Write(m.fd, maskedFrame(opText, []byte("{}"))) // as with a pong
		}
	}
}

// httpPublisher publishes by the broker's HTTP API over one connection. It does
// not wait for answers: a slow broker gets its messages as fast as from Redis.
// The broker shuts a connection that is idle for long: each turn has a new one.
type httpPublisher struct {
	address string
	conn    net.Conn
	used    time.Time
}

func (p *httpPublisher) publish(payload string) error {
	if time.Since(p.used) > time.Second {
		if err := p.dial(); err != nil {
			return err
		}
	}
	p.used = time.Now()
	if err := p.conn.SetWriteDeadline(p.used.Add(patience)); err != nil {
		return err
	}
	body := `{"channel":"site","data":"` + payload + `"}`
	_, err := fmt.Fprintf(p.conn, "POST /api/publish HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		p.address, len(body), body)
	return err
}

// dial leaves an older connection to the broker, which may still read from it.
func (p *httpPublisher) dial() error {
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		return err
	}
	p.conn = conn
	go func() { // ends when the broker shuts the connection, at its own end at the latest
		defer conn.Close()
		io.Copy(io.Discard, conn)
	}()
	return nil
}
