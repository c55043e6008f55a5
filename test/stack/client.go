package stack

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// DialOptions are a client's wishes for the handshake.
type DialOptions struct {
	Header    http.Header
	Cookie    string // the Cookie header's value
	Origin    string
	Host      string
	Protocols []string
	Unix      string         // dial this socket instead of the URL's host
	Addr      string         // dial this HOST:PORT instead of the URL's host
	From      string         // the client's IP address, of those of this machine
	Roots     *x509.CertPool // of wss: URLs, instead of the machine's
	Deaf      bool           // never read: a client that hangs
	Compress  bool           // offer permessage-deflate
}

// Frame is one message that a client got.
type Frame struct {
	Binary bool
	Data   []byte
}

// Client is a WebSocket client for tests. Its messages are read as they come,
// however slow the test is, unless it is deaf. One goroutine uses it.
type Client struct {
	Response *http.Response // of the handshake
	Pings    atomic.Int64   // that have come
	Conn     *websocket.Conn
	t        T
	tcp      net.Conn // the connection below
	frames   chan Frame
	over     chan struct{} // closed at the test's end: no frame is wanted any more
	reader   sync.WaitGroup
	end      error // why reading ended; readable when frames is closed
}

// Dial connects and fails the test when the handshake is refused.
func Dial(t T, url string, opt DialOptions) *Client {
	t.Helper()
	c, resp, err := dial(t, url, opt)
	if err != nil {
		t.Fatalf("connect to %s: %v%s", url, err, describe(resp))
	}
	return c
}

// Refusal is the answer to a handshake that was not accepted.
type Refusal struct {
	Status int
	Header http.Header
	Body   string
	Close  bool // Connection: close, which net/http takes out of Header
}

// Refused connects and fails the test when the handshake is accepted or no
// HTTP answer comes.
func Refused(t T, url string, opt DialOptions) Refusal {
	t.Helper()
	c, resp, err := dial(t, url, opt)
	if err == nil {
		c.Conn.CloseNow()
		t.Fatalf("connect to %s: accepted, want a refusal", url)
	}
	if resp == nil {
		t.Fatalf("connect to %s: %v, want an HTTP answer", url, err)
	}
	body, _ := io.ReadAll(resp.Body)
	return Refusal{Status: resp.StatusCode, Header: resp.Header, Body: string(body), Close: resp.Close}
}

func describe(resp *http.Response) string {
	if resp == nil {
		return ""
	}
	body, _ := io.ReadAll(resp.Body)
	return "; answer: " + resp.Status + " " + string(body)
}

func dial(t T, url string, opt DialOptions) (*Client, *http.Response, error) {
	t.Helper()
	c := &Client{t: t, frames: make(chan Frame, 1<<16), over: make(chan struct{})}
	transport := Transport(opt)
	transport.DisableKeepAlives = true
	connect := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		tcp, err := connect(ctx, network, address)
		c.tcp = tcp
		return tcp, err
	}
	header := opt.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if opt.Cookie != "" {
		header.Set("Cookie", opt.Cookie)
	}
	if opt.Origin != "" {
		header.Set("Origin", opt.Origin)
	}
	compression := websocket.CompressionDisabled
	if opt.Compress {
		compression = websocket.CompressionContextTakeover
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: transport, CheckRedirect: noRedirect},
		HTTPHeader:   header,
		Host:         opt.Host,
		Subprotocols: opt.Protocols,

		CompressionMode: compression,
		OnPingReceived:  func(context.Context, []byte) bool { c.Pings.Add(1); return true },
	})
	if err != nil {
		return nil, resp, err
	}
	conn.SetReadLimit(-1)
	c.Conn, c.Response = conn, resp
	if !opt.Deaf {
		c.reader.Go(c.read)
	}
	t.Cleanup(func() {
		close(c.over)
		conn.CloseNow()
		c.reader.Wait()
	})
	return c, resp, nil
}

// Transport connects as the options say.
func Transport(opt DialOptions) *http.Transport {
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: opt.Roots},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if opt.Unix != "" {
				network, address = "unix", opt.Unix
			}
			if opt.Addr != "" {
				address = opt.Addr
			}
			dialer := &net.Dialer{}
			if opt.From != "" {
				dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(opt.From)}
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (c *Client) read() {
	defer close(c.frames)
	for {
		kind, data, err := c.Conn.Read(context.Background())
		if err != nil {
			c.end = err
			return
		}
		select {
		case c.frames <- Frame{Binary: kind == websocket.MessageBinary, Data: data}:
		case <-c.over:
			return
		}
	}
}

// Send sends one text message.
func (c *Client) Send(text string) {
	c.t.Helper()
	c.write(websocket.MessageText, []byte(text))
}

// SendBinary sends one binary message.
func (c *Client) SendBinary(data []byte) {
	c.t.Helper()
	c.write(websocket.MessageBinary, data)
}

func (c *Client) write(kind websocket.MessageType, data []byte) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	if err := c.Conn.Write(ctx, kind, data); err != nil {
		c.t.Fatalf("send %d bytes: %v", len(data), err)
	}
}

// SendFragments sends one message in a frame per part.
func (c *Client) SendFragments(kind websocket.MessageType, parts ...[]byte) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	w, err := c.Conn.Writer(ctx, kind)
	if err != nil {
		c.t.Fatalf("begin a message: %v", err)
	}
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			c.t.Fatalf("send a fragment: %v", err)
		}
	}
	if err := w.Close(); err != nil {
		c.t.Fatalf("end a message: %v", err)
	}
}

// Next returns the next message, and fails the test when none comes.
func (c *Client) Next() Frame {
	c.t.Helper()
	select {
	case f, ok := <-c.frames:
		if !ok {
			c.t.Fatalf("the connection ended (%v), want a message", c.end)
		}
		return f
	case <-time.After(Patience):
		c.t.Fatalf("no message within %v", Patience)
	}
	return Frame{}
}

// NextOrEnd returns the next message; false when the connection has ended.
func (c *Client) NextOrEnd() (Frame, bool) {
	c.t.Helper()
	select {
	case f, ok := <-c.frames:
		return f, ok
	case <-time.After(Patience):
		c.t.Fatalf("no message and no end within %v", Patience)
	}
	return Frame{}, false
}

// Expect wants the next message to be this text.
func (c *Client) Expect(text string) {
	c.t.Helper()
	f := c.Next()
	if f.Binary || string(f.Data) != text {
		c.t.Fatalf("got %s, want text %.200q", f, text)
	}
}

// ExpectBinary wants the next message to be binary with these bytes.
func (c *Client) ExpectBinary(data []byte) {
	c.t.Helper()
	f := c.Next()
	if !f.Binary || !bytes.Equal(f.Data, data) {
		c.t.Fatalf("got %s, want %d binary bytes", f, len(data))
	}
}

// String shows the kind and the beginning of a message.
func (f Frame) String() string {
	kind := "text "
	if f.Binary {
		kind = "binary "
	}
	data := f.Data
	if len(data) > 300 {
		data = data[:300]
	}
	return kind + string(data)
}

// NextEvent reads the next message as what dump.php wrote.
func (c *Client) NextEvent() Event {
	c.t.Helper()
	return ParseEvent(c.t, c.Next().Data)
}

// ExpectNothing wants no message and no end for d.
func (c *Client) ExpectNothing(d time.Duration) {
	c.t.Helper()
	select {
	case f, ok := <-c.frames:
		if !ok {
			c.t.Fatalf("the connection ended (%v), want nothing for %v", c.end, d)
		}
		c.t.Fatalf("got %s, want nothing for %v", f, d)
	case <-time.After(d):
	}
}

// ExpectClose wants the connection to end with the given code, no message
// before it, and returns the reason.
func (c *Client) ExpectClose(code int) string {
	c.t.Helper()
	select {
	case f, ok := <-c.frames:
		if ok {
			c.t.Fatalf("got %s, want close %d", f, code)
		}
	case <-time.After(2 * Patience):
		c.t.Fatalf("no close within %v, want %d", 2*Patience, code)
	}
	var closed websocket.CloseError
	if !errors.As(c.end, &closed) || int(closed.Code) != code {
		c.t.Fatalf("ended with %v, want close %d", c.end, code)
	}
	return closed.Reason
}

// ExpectBroken wants the connection to end without a close frame.
func (c *Client) ExpectBroken() {
	c.t.Helper()
	for range c.frames {
	}
	if websocket.CloseStatus(c.end) != -1 {
		c.t.Fatalf("ended with %v, want a broken connection", c.end)
	}
}

// Close says good-bye with a code and a reason, and waits for the answer.
func (c *Client) Close(code int, reason string) {
	c.t.Helper()
	if err := c.Conn.Close(websocket.StatusCode(code), reason); err != nil {
		c.t.Fatalf("close: %v", err)
	}
}

// Cut breaks the TCP connection: no close frame, a reset for the gateway.
func (c *Client) Cut() {
	if tcp, ok := c.tcp.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.tcp.Close()
}

// Raw writes bytes below the WebSocket library, for frames that it would not send.
func (c *Client) Raw(data []byte) {
	c.t.Helper()
	if _, err := c.tcp.Write(data); err != nil {
		c.t.Fatalf("write raw bytes: %v", err)
	}
}

// HTTP sends one plain request, with no WebSocket upgrade, and returns the answer.
func HTTP(t T, method, url string, header http.Header) Refusal {
	t.Helper()
	req, err := http.NewRequest(method, strings.Replace(url, "ws://", "http://", 1), nil)
	if err != nil {
		t.Fatalf("make a request: %v", err)
	}
	for key, values := range header {
		req.Header[key] = values
	}
	req.Host = header.Get("Host") // "" is the URL's
	client := http.Client{Timeout: Patience, CheckRedirect: noRedirect}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return Refusal{Status: resp.StatusCode, Header: resp.Header, Body: string(body), Close: resp.Close}
}
