package stack

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// Handshake writes a handshake by hand, with exactly the given header lines
// after the ones that every handshake has, and returns the answer. It is for
// headers that no library sends.
func Handshake(t T, address, path string, lines ...string) Refusal {
	t.Helper()
	resp, conn := rawHandshake(t, address, path, lines)
	defer conn.Close()
	if resp == nil {
		return Refusal{}
	}
	return Refusal{Status: resp.StatusCode, Header: resp.Header}
}

// RawDial does a handshake by hand and returns the connection below, for tests
// that write frames themselves.
func RawDial(t T, address, path string, lines ...string) net.Conn {
	t.Helper()
	resp, conn := rawHandshake(t, address, path, lines)
	if resp == nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake by hand: got %v, want 101", resp)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func rawHandshake(t T, address, path string, lines []string) (*http.Response, net.Conn) {
	t.Helper()
	network := "tcp"
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", socket
	}
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatalf("connect to %s: %v", address, err)
	}
	host := "Host: " + address + "\r\n"
	for _, line := range lines {
		if strings.HasPrefix(line, "Host:") {
			host = ""
		}
	}
	request := "GET " + path + " HTTP/1.1\r\n" + host +
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, line := range lines {
		request += line + "\r\n"
	}
	conn.SetDeadline(time.Now().Add(Patience))
	if _, err := fmt.Fprint(conn, request+"\r\n"); err != nil {
		t.Fatalf("write the handshake: %v", err)
	}
	// One byte at a time: nothing that follows the answer may be swallowed.
	resp, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), nil)
	if err != nil {
		return nil, conn
	}
	conn.SetDeadline(time.Time{})
	return resp, conn
}

// oneByte reads at most one byte per call, so that a bufio.Reader above it
// never holds more than what was asked for.
type oneByte struct{ net.Conn }

// Read reads one byte.
func (c oneByte) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return c.Conn.Read(p[:1])
}

// ClientFrame encodes one masked frame (RFC 6455, 5.2) with the given first
// byte (FIN, RSV and opcode) and a zero mask.
func ClientFrame(first byte, payload []byte) []byte {
	frame := []byte{first}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, 0x80|byte(n))
	case n < 1<<16:
		frame = append(frame, 0x80|126, byte(n>>8), byte(n))
	default:
		frame = append(frame, 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	frame = append(frame, 0, 0, 0, 0)
	return append(frame, payload...)
}

// HalfHandshake sends a handshake, does not wait for the answer, and returns
// the connection.
func HalfHandshake(t T, address, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatalf("connect to %s: %v", address, err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, address)
	return conn
}
