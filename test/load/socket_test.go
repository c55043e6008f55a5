package load

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"wsfpm/test/stack"
)

// Opcodes (RFC 6455, 5.2) with FIN.
const (
	textFrame  = 0x81
	closeFrame = 0x88
	pingFrame  = 0x89
	pongFrame  = 0x8a
)

// lostCode is how a connection ends that has no Close frame (RFC 6455, 7.1.5).
const lostCode = 1006

// socket is a WebSocket client that costs little, since ten thousand of them
// run beside the gateway on one machine. One goroutine uses it.
type socket struct {
	net.Conn
	in *bufio.Reader
}

// wish is what a client asks for in its handshake.
type wish struct {
	address string // HOST:PORT
	path    string // with the query
	headers string // further lines, each with its CRLF
	size    int    // of the longest frame that is read, default 4 KiB
	dialer  *net.Dialer
}

// refused is a handshake's answer other than 101.
type refused struct{ status int }

func (r refused) Error() string { return fmt.Sprintf("refused with %d", r.status) }

// dial connects and shakes hands.
func dial(w wish) (*socket, error) {
	if w.dialer == nil {
		w.dialer = &net.Dialer{Timeout: stack.Patience}
	}
	conn, err := w.dialer.Dial("tcp", w.address)
	if err != nil {
		return nil, err
	}
	s := &socket{conn, bufio.NewReaderSize(conn, max(w.size, 4<<10))}
	if err := s.shakeHands(w); err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *socket) shakeHands(w wish) error {
	s.SetDeadline(time.Now().Add(2 * stack.Patience))
	_, err := io.WriteString(s, "GET "+w.path+" HTTP/1.1\r\nHost: "+w.address+"\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+w.headers+"\r\n")
	if err != nil {
		return err
	}
	line, err := s.in.ReadString('\n')
	if err != nil {
		return err
	}
	status := 0
	if _, err := fmt.Sscanf(line, "HTTP/1.1 %d", &status); err != nil {
		return fmt.Errorf("answer %.60q", line)
	}
	for line != "\r\n" {
		if line, err = s.in.ReadString('\n'); err != nil {
			return err
		}
	}
	if status != http.StatusSwitchingProtocols {
		return refused{status}
	}
	return s.SetDeadline(time.Time{})
}

// send writes one text message.
func (s *socket) send(text string) error {
	_, err := s.Write(stack.ClientFrame(textFrame, []byte(text)))
	return err
}

// next waits for a text until the given time. It returns the text, valid until
// the next call; or the code with which the connection has ended; or neither
// when the time is over. Pings are answered.
func (s *socket) next(until time.Time) (text []byte, code int) {
	s.SetReadDeadline(until)
	for {
		first, payload, err := s.frame()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, 0
		case errors.Is(err, bufio.ErrBufferFull):
			panic("a frame of the server is longer than the wish said")
		case err != nil:
			s.Conn.Close()
			return nil, lostCode
		}
		switch first {
		case textFrame:
			return payload, 0
		case pingFrame:
			s.Write(stack.ClientFrame(pongFrame, payload)) // a lost socket shows at the next read
		case closeFrame:
			code := 1005
			if len(payload) >= 2 {
				code = int(binary.BigEndian.Uint16(payload))
			}
			s.Write(stack.ClientFrame(closeFrame, payload))
			s.Conn.Close()
			return nil, code
		}
	}
}

// frame reads one whole frame of the server. When the deadline passes before
// it is there, nothing of it is lost.
func (s *socket) frame() (first byte, payload []byte, err error) {
	head, err := s.in.Peek(2)
	if err != nil {
		return 0, nil, err
	}
	begins, length := 2, int(head[1])
	if length == 126 {
		if head, err = s.in.Peek(4); err != nil {
			return 0, nil, err
		}
		begins, length = 4, int(binary.BigEndian.Uint16(head[2:]))
	}
	whole, err := s.in.Peek(begins + length)
	if err != nil {
		return 0, nil, err
	}
	_, err = s.in.Discard(len(whole)) // whole stays until the next read
	return whole[0], whole[begins:], err
}

// leave says good-bye and waits for the answer.
func (s *socket) leave() {
	s.Write(stack.ClientFrame(closeFrame, []byte{0x03, 0xe8}))
	for until := time.Now().Add(stack.Patience); ; {
		if text, _ := s.next(until); text == nil {
			s.Conn.Close()
			return
		}
	}
}

// reset breaks the connection: no Close frame, a TCP reset.
func (s *socket) reset() {
	if tcp, ok := s.Conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	s.Conn.Close()
}

// dialers is how many handshakes of a crowd are under way at once.
const dialers = 64

// open makes n clients, some at a time; client is called with their numbers.
func open(t stack.T, n int, client func(i int) error) {
	t.Helper()
	var mu sync.Mutex // guards errs
	var errs []string
	var dialing sync.WaitGroup
	numbers := below(n)
	for range min(dialers, n) {
		dialing.Go(func() {
			for i := range numbers {
				if err := client(i); err != nil {
					mu.Lock()
					errs = append(errs, err.Error())
					mu.Unlock()
				}
			}
		})
	}
	dialing.Wait()
	if len(errs) > 0 {
		t.Fatalf("%d of %d clients did not connect: %s", len(errs), n, strings.Join(errs[:min(3, len(errs))], ", "))
	}
}

// below is a channel with the numbers from 0 to n-1.
func below(n int) <-chan int {
	numbers := make(chan int, n)
	for i := range n {
		numbers <- i
	}
	close(numbers)
	return numbers
}
