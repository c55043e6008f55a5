package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway"
)

// SelftestPath is the path of the control socket that arms a self-test: POST, with ?silent
// one without pings. The answer is the token.
const SelftestPath = "/selftest"

// What the handshake of a self-test has, to be found again in what PHP is told.
const (
	sentCookie   = "wsfpm_doctor=1"
	sentProtocol = "wsfpm-doctor"
	sentQuery    = "wsfpm_doctor=%31" // raw
	forgedClient = "203.0.113.9"      // of no client (RFC 5737)
)

// socket is the connection of a self-test.
type socket struct {
	*websocket.Conn
	response *http.Response
	local    string // the address and port of this end
}

func (s *socket) close() { _ = s.CloseNow() }

// arm asks the gateway for a token.
func (v *visit) arm(ctx context.Context, silent bool) (string, error) {
	path := SelftestPath
	if silent {
		path += "?silent"
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := v.Ask(ctx, http.MethodPost, path)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1000))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("the control socket answers %s: %s", answer.Status, text)
	}
	return string(text), err
}

// versioned makes the handshakes of coder/websocket those of self-tests.
type versioned struct {
	to    *http.Transport
	token string
}

// RoundTrip sends a handshake.
func (t versioned) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Sec-WebSocket-Version", gateway.SelftestVersion)
	r.Header.Set(gateway.SelftestHeader, t.token)
	return t.to.RoundTrip(r)
}

// mostGateways bounds the handshakes until the proxy has chosen the gateway that knows the
// token. Others refuse them.
const mostGateways = 20

var errElsewhere = errors.New("the proxy leads to other gateways than the one with this control socket")

// dial opens the socket of a self-test.
func (v *visit) dial(ctx context.Context, silent bool) (*socket, *gateway.Selftest, error) {
	token, err := v.arm(ctx, silent)
	if err != nil {
		return nil, nil, err
	}
	to := *v.url
	to.RawQuery = strings.TrimPrefix(to.RawQuery+"&"+sentQuery, "&")
	header := http.Header{"User-Agent": {"wsfpm-doctor"}, "Cookie": {sentCookie}, "X-Forwarded-For": {forgedClient}}
	if !v.refused {
		header.Set("Origin", v.site())
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var local string
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { local = i.Conn.LocalAddr().String() }})
	var c *websocket.Conn
	var response *http.Response
	for range mostGateways {
		c, response, err = websocket.Dial(ctx, to.String(), &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: versioned{v.transport(), token}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
			HTTPHeader: header, Subprotocols: []string{sentProtocol}, CompressionMode: websocket.CompressionNoContextTakeover,
		})
		if err == nil || response == nil || response.StatusCode != http.StatusUpgradeRequired {
			break
		}
		err = errElsewhere
	}
	if err != nil {
		return nil, nil, err
	}
	c.SetReadLimit(-1)
	s := &socket{c, response, local}
	_, text, err := s.Read(ctx)
	seen := new(gateway.Selftest)
	if err == nil {
		err = json.Unmarshal(text, seen)
	}
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return s, seen, nil
}

var selftestCures = map[string]cure{
	"control": {anyProxy: "control = \"unix:/run/wsfpm/control.sock\"\n# in wsfpm.toml, then: systemctl restart wsfpm"},
}

// selftest opens a socket that the gateway answers itself, and a silent one.
func selftest(ctx context.Context, v *visit) finding {
	switch {
	case v.Config == nil:
		return notRun("%s", needsConfig)
	case v.Config.Control == "":
		return finding{NotRun, "control", "the configuration has no control socket"}
	}
	s, seen, err := v.dial(ctx, false)
	var op *net.OpError
	switch {
	case errors.Is(err, os.ErrPermission):
		return notRun("%v: run wsfpm doctor as root", err)
	case errors.As(err, &op) && op.Net == "unix":
		return notRun("%v: does wsfpm run with this configuration?", err)
	case errors.Is(err, errElsewhere):
		return notRun("%v", err)
	case err != nil:
		return fault("", "a handshake that the gateway would answer itself fails: %v", err)
	}
	v.socket, v.mirror = s, seen
	v.silence = v.startSilence(ctx)
	return ok("the gateway answers a socket itself, without PHP")
}

// named reports whether PHP is told the site's name.
func (v *visit) named() bool { return strings.EqualFold(v.mirror.Params["HTTP_HOST"], v.url.Host) }

// host looks whether PHP is told the site's name.
func host(m *gateway.Selftest, v *visit) finding {
	if !v.named() {
		return fault("host", "PHP is told the host %q, which is not %q", m.Params["HTTP_HOST"], v.url.Host)
	}
	return ok("PHP is told %q", v.url.Host)
}

// clientAddress looks whether PHP is told the client's address, and not one of its choice.
func clientAddress(m *gateway.Selftest, v *visit) finding {
	remote := m.Params["REMOTE_ADDR"]
	switch asSent := slices.Equal(m.ForwardedFor, []string{forgedClient}); {
	case m.Peer == v.socket.local:
		return ok("there is no proxy on the way")
	case asSent && m.Trusted:
		return fault("address", "a client may choose its own address: the proxy passes X-Forwarded-For on as it comes")
	case remote == forgedClient:
		return fault("address", "a client whose address wsfpm trusts may choose another: the proxy appends to the client's X-Forwarded-For")
	case asSent || len(m.ForwardedFor) == 0:
		return fault("address", "PHP is told %s for every client: the proxy does not name them", remote)
	case !m.Trusted:
		return fault("trust", "PHP is told %s for every client: that is the proxy, which wsfpm does not trust", remote)
	}
	return ok("PHP is told %s", remote)
}

// carried looks whether cookies, subprotocols and the query arrive.
func carried(m *gateway.Selftest, _ *visit) finding {
	var lost []string
	for _, each := range []struct{ param, sent, name string }{
		{"HTTP_COOKIE", sentCookie, "cookies"},
		{"HTTP_SEC_WEBSOCKET_PROTOCOL", sentProtocol, "subprotocols"},
		{"REQUEST_URI", sentQuery, "the query"},
	} {
		if !strings.Contains(m.Params[each.param], each.sent) {
			lost = append(lost, each.name)
		}
	}
	if len(lost) > 0 {
		return fault("carried", "PHP is not told the client's %s: the proxy drops or changes them", strings.Join(lost, ", "))
	}
	return ok("cookies, subprotocols and the query arrive")
}

// mostMessage is the size of a message where the route allows longer ones.
const mostMessage = 1 << 20

// messages sends a short message and a long one, and wants them back.
func messages(ctx context.Context, v *visit) finding {
	if v.mirror == nil {
		return notRun("only a self-test has an echo")
	}
	size := min(mostMessage, int(v.mirror.MessageLimit))
	began := time.Now()
	for _, n := range []int{1, size} {
		sent := make([]byte, n)
		_, _ = rand.Read(sent) // it never fails
		if err := v.echo(ctx, sent); err != nil {
			return fault("", "a message of %d bytes does not come back: %v", n, err)
		}
	}
	return ok("%d bytes there and back in %v", size, time.Since(began).Round(time.Millisecond))
}

// echo sends a message and waits for it.
func (v *visit) echo(ctx context.Context, sent []byte) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := v.socket.Write(ctx, websocket.MessageBinary, sent); err != nil {
		return err
	}
	_, got, err := v.socket.Read(ctx)
	if err == nil && !bytes.Equal(got, sent) {
		return errors.New("it has changed on its way")
	}
	return err
}

// compression looks whether the offer of permessage-deflate arrives (RFC 7692).
func compression(m *gateway.Selftest, v *visit) finding {
	switch {
	case m.Extensions == "":
		return warning("extensions", "the offer of permessage-deflate does not arrive: the proxy drops Sec-WebSocket-Extensions")
	case !m.Compression:
		return ok("the offer arrives; compression is off for the route")
	case v.socket.response.Header.Get("Sec-WebSocket-Extensions") == "":
		return warning("extensions", "the gateway agrees to permessage-deflate, and the client is not told: the proxy drops Sec-WebSocket-Extensions")
	}
	return ok("permessage-deflate is used")
}

// startSilence opens a socket without pings and waits for its end.
func (v *visit) startSilence(ctx context.Context) <-chan finding {
	result := make(chan finding, 1)
	go func() { result <- v.beSilent(ctx) }() // ends with its own timeout
	return result
}

// settle is the default of the silence beyond the ping interval.
const settle = 3 * time.Second

func (v *visit) beSilent(ctx context.Context) finding {
	ping := time.Duration(v.mirror.PingInterval)
	limit := v.Silence
	if limit == 0 {
		limit = ping + settle
	}
	s, _, err := v.dial(ctx, true)
	if err != nil {
		return notRun("%v", err)
	}
	defer s.close()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	_, _, _ = s.Read(ctx) // until the end of the socket, or of the time
	lasted := time.Since(began).Round(100 * time.Millisecond)
	switch {
	case ctx.Err() == nil && (ping <= 0 || lasted < ping):
		return fault("silence", "a silent socket ends after %v, before the first ping (ping_interval %v)", lasted, ping)
	case ctx.Err() == nil:
		return warning("silence", "a silent socket ends after %v; pings keep it open (ping_interval %v)", lasted, ping)
	case limit < ping:
		return notRun("a silent socket is open after %v; pings come every %v: give a longer --silence", limit, ping)
	}
	return ok("a silent socket is open after %v, beyond ping_interval (%v)", limit, ping)
}

// silence waits for the end of the silent socket, see [Options.Silence].
func silence(_ context.Context, v *visit) finding {
	if v.silence == nil {
		return notRun("only a self-test can be silent")
	}
	return <-v.silence
}
