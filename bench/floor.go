package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"net"
	"net/http"
	"runtime"
	"sync"
)

// floorMain is the helper process "bench floor": what a fan-out costs at
// least. It takes WebSocket clients, and what is published to one channel of
// Redis it writes to each of them, encoded once. It does nothing else: no
// users, no channels, no outbox, no time limits.
func floorMain(args []string) error {
	f := flag.NewFlagSet("floor", flag.ContinueOnError)
	listen := f.String("listen", "", "address for clients")
	redis := f.String("redis", "", "address of Redis")
	channel := f.String("channel", "", "channel of Redis")
	if err := f.Parse(args); err != nil {
		return err
	}
	s, err := dialRedis(*redis)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.command("SUBSCRIBE", *channel); err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	defer l.Close()
	fan := newFloor(runtime.GOMAXPROCS(0))
	go fan.accept(l)
	for {
		payload, err := s.next()
		if err != nil {
			return err
		}
		frame := textFrame(payload)
		for _, w := range fan.workers {
			w.frames <- frame
		}
	}
}

// floor spreads its clients over a few workers.
type floor struct{ workers []*floorWorker }

// floorWorker writes to its part of the clients, one after another.
type floorWorker struct {
	frames chan []byte
	mu     sync.Mutex // guards conns
	conns  []net.Conn
}

func newFloor(n int) *floor {
	fan := &floor{}
	for range n {
		w := &floorWorker{frames: make(chan []byte, 64)}
		fan.workers = append(fan.workers, w)
		go w.run()
	}
	return fan
}

func (w *floorWorker) run() {
	for frame := range w.frames {
		w.mu.Lock()
		for _, c := range w.conns {
			c.Write(frame) // a client that has gone costs no more than one that has not
		}
		w.mu.Unlock()
	}
}

func (fan *floor) accept(l net.Listener) {
	for i := 0; ; i++ {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		w := fan.workers[i%len(fan.workers)]
		go w.admit(c)
	}
}

// admit answers a handshake (RFC 6455, 4.2.2).
func (w *floorWorker) admit(c net.Conn) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		c.Close()
		return
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + handshakeGUID))
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := c.Write([]byte(answer)); err == nil {
		w.conns = append(w.conns, c)
	}
}

// textFrame is a whole text message of a server, of less than 64 KB.
func textFrame(payload string) []byte {
	frame := []byte{0x80 | opText, byte(len(payload))}
	if len(payload) >= 126 {
		frame = binary.BigEndian.AppendUint16([]byte{0x80 | opText, 126}, uint16(len(payload)))
	}
	return append(frame, payload...)
}
