package gateway

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"wsfpm/gateway/answer"
	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/gateway/durable"
	"wsfpm/gateway/envelope"
	"wsfpm/gateway/ws"
	"wsfpm/session"
	"wsfpm/test/fcgitest"
)

// cannedServer answers every FastCGI request with the same bytes and allocates
// nothing while it does.
func cannedServer(b *testing.B, stdout string) (address string) {
	b.Helper()
	listener, err := net.Listen("unix", b.TempDir()+"/fpm.sock")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go answerCanned(c, fcgitest.Bytes(stdout))
		}
	}()
	return listener.Addr().String()
}

// answerCanned serves one connection: it sends an answer at the end of each request's body,
// and the reply to the probe that follows it.
func answerCanned(c net.Conn, answer []byte) {
	defer c.Close()
	alive := []byte{1, fcgitest.GetValuesResult, 0, 0, 0, 0, 0, 0}
	in := bufio.NewReader(c)
	var header [8]byte
	for {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint16(header[4:]))
		if _, err := in.Discard(length + int(header[6])); err != nil {
			return
		}
		switch {
		case header[1] == fcgitest.Stdin && length == 0:
			_, _ = c.Write(answer)
		case header[1] == fcgitest.GetValues:
			_, _ = c.Write(alive)
		}
	}
}

// BenchmarkMessage is the walk of one message from the inbox to the outlet,
// PHP and the client's socket aside.
func BenchmarkMessage(b *testing.B) { benchmarkMessage(b, "") }

// BenchmarkMessageFromCache is BenchmarkMessage with an answer from the cache.
func BenchmarkMessageFromCache(b *testing.B) {
	benchmarkMessage(b, "Cache-Control: public, max-age=60\r\n")
}

func benchmarkMessage(b *testing.B, header string) {
	address := cannedServer(b, header+"Content-type: text/html; charset=UTF-8\r\nX-Powered-By: PHP/8.2.0\r\n\r\n"+
		"hello, this is an answer of sixty-four bytes, as small as usual.")
	h := start(b, echo, func(c *config.Config) {
		c.FPM["default"].Network, c.FPM["default"].Addr = "unix", address
		c.Limits.MessagesPerSecond = 0
		if header != "" {
			c.Routes[0].Cache = 1 << 20
		}
	})
	p := h.dial("/", nil)
	var c *connection
	h.Gateway.mu.Lock()
	for each := range h.live {
		c = each
	}
	h.Gateway.mu.Unlock()
	go func() {
		for {
			if _, _, err := p.Read(b.Context()); err != nil {
				return
			}
		}
	}()
	m := ws.Message{Data: []byte("hello, this is a message of sixty-four bytes, as small as usual.")}
	b.ReportAllocs()
	for b.Loop() {
		c.message(m)
	}
}

// idleClients is how many connections the memory is measured over.
const idleClients = 2_000

// BenchmarkIdleConnection is the memory that one more idle connection takes:
// with a user, three channels, a browser's headers and 300 bytes of cookies. The clients are bare file
// descriptors, which the Go runtime knows nothing of. The kernel's part is not
// counted.
func BenchmarkIdleConnection(b *testing.B) {
	member := func(params map[string]string, _ string) (string, string) {
		return "WS-User: " + params["QUERY_STRING"] + "\r\nWS-Join: site, room, own-" + params["QUERY_STRING"], ""
	}
	h := start(b, member, func(c *config.Config) {
		c.Limits.ConnectionsPerAddress = 0
		c.Routes[0].Events = []string{config.EventConnect}
	})
	for b.Loop() {
		before := inUse()
		var clients []int
		for i := range idleClients {
			clients = append(clients, idleClient(b, h.web.Listener.Addr().String(), i))
		}
		eventually(b, "all connections", func() bool { return h.hub.Len() == idleClients })
		h.mu.Lock()
		h.events = nil // the script's notes are not the gateway's memory
		h.mu.Unlock()
		after := inUse()
		b.ReportMetric(float64(after-before)/idleClients, "B/connection")
		for _, fd := range clients {
			_ = unix.Close(fd)
		}
		eventually(b, "an empty hub", func() bool { return h.hub.Len() == 0 })
	}
}

// browserHeaders are what a browser adds to a handshake.
const browserHeaders = "Pragma: no-cache\r\nCache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en-US;q=0.9,en;q=0.8\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

// inUse is the memory of heap and stacks after a collection.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second one frees the memory of pools
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// idleClient connects and shakes hands.
func idleClient(b *testing.B, address string, i int) (fd int) {
	b.Helper()
	var port int
	if _, err := fmt.Sscanf(address, "127.0.0.1:%d", &port); err != nil {
		b.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		b.Fatal(err)
	}
	request := fmt.Sprintf("GET /?%d HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+browserHeaders+"Cookie: session=%s\r\n\r\n", i, address, strings.Repeat("c", 300))
	if _, err := unix.Write(fd, []byte(request)); err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, 1024)
	n, err := unix.Read(fd, answer)
	if err != nil || !strings.HasPrefix(string(answer[:max(n, 0)]), "HTTP/1.1 101") {
		b.Fatalf("handshake: %v, %.60q", err, answer[:max(n, 0)])
	}
	return fd
}

// BenchmarkResume is what the gateway does for a client that comes back and has missed 20
// messages, beside the handshake, PHP and the write to its socket.
func BenchmarkResume(b *testing.B) {
	log := durable.New(durable.Config{})
	h := startWith(b, echo, func(c *config.Config) { c.Routes[0].Resume = true }, func(b *bus.Bus) Bus { return b }, log)
	b.Cleanup(log.Close)
	room := []session.Address{session.Channel("room")}
	var last session.Position
	for i := range 2020 {
		to := room
		if i < 2000 && i%20 > 0 {
			to = []session.Address{session.Channel(fmt.Sprint("other", i%100))}
		}
		text := fmt.Sprintf(`{"n":%d,"text":"%s"}`, i, strings.Repeat("x", 200))
		at, err := log.Append(b.Context(), []session.Command{{To: to, Message: session.NewMessage(false, []byte(text))}})
		if err != nil {
			b.Fatal(err)
		}
		if i == 1999 {
			last = at[0]
		}
	}
	eventually(b, "all entries in the window", func() bool { at, _, _ := log.Since(last, room, 100, nil); return len(at) == 20 })
	rt := h.Gateway.settings.Load().routes[0]
	query := "a=b&ws_last=" + last.String()
	a := answer.Reply{}
	b.ReportAllocs()
	for b.Loop() {
		c := &connection{g: h.Gateway, rt: rt, protocol: envelope.Protocol}
		c.socket = ws.New(rt.limits, h.sockets)
		c.session = session.New("bench", c.socket)
		c.arriving = &arriving{returning: parseReturning(query)}
		c.beginConnect(b.Context())
		err := h.hub.Enter(c.session, c.arrival(&a, session.Membership{User: "42", Channels: []string{"room", "b", "c"}}))
		if err != nil || c.arriving.told != envelope.OK || c.socket.Buffered() < 20*200 {
			b.Fatal(err, c.arriving.told, c.socket.Buffered())
		}
		b.StopTimer()
		h.hub.Remove(c.session)
		c.socket.CloseNow()
		b.StartTimer()
	}
}
