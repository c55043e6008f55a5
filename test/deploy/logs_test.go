package deploy

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"wsfpm/test/fcgitest"
	"wsfpm/test/stack"
)

// longestLine bounds a line of the log, in bytes, whatever a client sends. What
// PHP said of a failed event has up to 4 KiB of it, which escapes can double.
const longestLine = 10 << 10

// secrets is everything in the scenario that must not be in a log. Each one
// has its own text, so that a finding says where it comes from.
type secrets struct {
	cookie, query, protocol, authorization, header string // of the handshake
	message, badMessage, binary                    string // from the client
	answer, state, publish, setCookie              string // from the script
	push, command, brokenCommand, notUTF8, http    string // from outside
	reason                                         string // of the client's Close
	adminToken, wrongToken, redisPassword          string
	newPassword                                    string // in a configuration that is refused
}

func newSecrets() (s secrets, all []string) {
	for i, field := range []*string{
		&s.cookie, &s.query, &s.protocol, &s.authorization, &s.header, &s.message, &s.badMessage, &s.binary,
		&s.answer, &s.state, &s.publish, &s.setCookie, &s.push, &s.command, &s.brokenCommand, &s.notUTF8, &s.http,
		&s.reason, &s.wrongToken, &s.redisPassword, &s.newPassword,
	} {
		*field = fmt.Sprintf("hidden%02dhiddenhidden", i)
		all = append(all, *field)
	}
	s.adminToken = stack.AdminToken
	return s, append(all, s.adminToken)
}

// handler answers as the scenario needs it.
func (s *secrets) handler(w *fcgitest.Writer, r *fcgitest.Request) {
	body := string(r.Body)
	switch {
	case r.Params["WS_EVENT"] == "connect" && strings.Contains(r.Params["QUERY_STRING"], "refuse"):
		w.Stdout("Status: 401\r\n\r\nno: " + s.answer)
	case r.Params["WS_EVENT"] == "connect" && strings.Contains(r.Params["QUERY_STRING"], "broken"):
		w.Stdout("Status: 500\r\n\r\n")
	case r.Params["WS_EVENT"] == "connect":
		w.Stdout("WS-User: 42\r\nWS-Join: room\r\nWS-State: " + s.state + "\r\nSet-Cookie: sid=" + s.setCookie + "\r\nWS-Protocol: chat\r\n\r\n")
	case strings.Contains(body, s.badMessage):
		w.Stderr("PHP Fatal error:  Uncaught Error: nothing of the message in /srv/ws.php:3\r\n{\"level\":\"error\",\"msg\":\"forged\"}")
		w.Stdout("Status: 500\r\n\r\n")
	case strings.Contains(body, "publish"):
		w.Stdout("WS-Publish: channel:room; except=self\r\n\r\n" + s.publish)
	default:
		w.Stdout("Content-Type: text/plain\r\n\r\n" + s.answer)
	}
}

func TestNoSecretIsLogged(t *testing.T) {
	stack.Integration(t)
	for _, format := range []string{"json", "console"} {
		t.Run(format, func(t *testing.T) {
			s, all := newSecrets()
			server := stack.Redis(t, stack.RedisOptions{Args: []string{"--requirepass", s.redisPassword}})
			g := s.gateway(t, format, "redis://:"+s.redisPassword+"@"+server.Addr+"/0")
			s.handshakes(t, g)
			s.messages(t, g)
			s.pushes(t, g, server)
			s.operators(t, g)
			s.trouble(t, g, server)
			g.Stop(t)
			checkLog(t, g.LogText(), format, all)
		})
	}
}

// gateway runs wsfpm with everything in its configuration that is secret.
func (s *secrets) gateway(t *testing.T, format, redisURL string) *stack.GatewayServer {
	t.Helper()
	return stack.Gateway(t, stack.GatewayOptions{
		FPM: scripted(t, s.handler), Redis: redisURL,
		Routes: "[[route]]\npath = \"/ws\"\nscript = \"/srv/ws.php\"\nprotocols = [\"chat\"]\n",
		Args:   []string{"--set", "log.level=debug", "--set", "log.format=" + format},
	})
}

// dial is a handshake full of secrets.
func (s *secrets) dial() stack.DialOptions {
	return stack.DialOptions{
		Cookie:    "session=" + s.cookie,
		Protocols: []string{"chat", "auth." + s.protocol},
		Header:    http.Header{"Authorization": {"Bearer " + s.authorization}, "X-Api-Key": {s.header}},
	}
}

// handshakes are refused in every way.
func (s *secrets) handshakes(t *testing.T, g *stack.GatewayServer) {
	t.Helper()
	query := "?token=" + s.query
	foreign := s.dial()
	foreign.Origin = "https://evil.example\u00e4" + strings.Repeat("x", 5000)
	stack.Refused(t, g.URL+"/ws"+query, foreign)
	host := s.dial()
	host.Origin, host.Host = "https://a.example", strings.Repeat("h", 3000)+".example"
	stack.Refused(t, g.URL+"/ws"+query, host)
	stack.Refused(t, g.URL+"/ws"+query+"&refuse", s.dial())
	stack.Refused(t, g.URL+"/ws"+query+"&broken", s.dial())
	stack.Refused(t, g.URL+"/nope%0d%0aINJECTED%1b%5b2J"+strings.Repeat("/long", 2000)+query, s.dial())
	header := s.dial().Header
	header.Set("Cookie", s.cookie)
	stack.HTTP(t, "GET", g.URL+"/ws"+query, header)                          // no handshake
	stack.HTTP(t, strings.Repeat("M", 2000), g.URL+"/ws"+query, http.Header{ // a long method
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"x"}})
}

// messages are answered, published, refused by PHP and broken.
func (s *secrets) messages(t *testing.T, g *stack.GatewayServer) {
	t.Helper()
	c := stack.Dial(t, g.URL+"/ws?token="+s.query, s.dial())
	c.Send(s.message)
	c.Expect(s.answer)
	c.SendBinary([]byte(s.binary))
	c.Expect(s.answer)
	c.Send("publish " + s.message)
	c.Send(s.badMessage)
	c.Send(s.message)
	c.Expect(s.answer)
	c.Close(4000, s.reason)
	large := stack.Dial(t, g.URL+"/ws?token="+s.query, s.dial())
	large.Send(strings.Repeat(s.message, 10_000))
	large.ExpectClose(1009)
}

// pushes come by every door, good and bad.
func (s *secrets) pushes(t *testing.T, g *stack.GatewayServer, server *stack.RedisServer) {
	t.Helper()
	c := stack.Dial(t, g.URL+"/ws?token="+s.query, s.dial())
	publish := passwordPublisher(t, server.Addr, s.redisPassword)
	publish("ws:user:42", s.push)
	c.Expect(s.push)
	publish("ws:command", fmt.Sprintf(`{"to":"user:42","data":%q,"text":%q}`, s.command, s.brokenCommand))
	c.Expect(s.command)
	for _, bad := range []string{
		s.brokenCommand,
		`{"to":"user:42","data":"` + s.brokenCommand,
		fmt.Sprintf(`{"to":"user:42","data":"x","user":%q}`, s.brokenCommand),
		fmt.Sprintf(`{"to":"user:42","base64":"!%s"}`, s.brokenCommand),
		fmt.Sprintf(`{"to":"user:41","data":"x","%s":1}`, strings.Repeat("u", 5_000)),
		fmt.Sprintf(`{"to":"unknown:%s"}`, strings.Repeat("\\n", 20_000)),
	} {
		publish("ws:command", bad)
	}
	publish("ws:user:42", s.notUTF8+"\xff")
	publish("ws:user:42", strings.Repeat(s.push, 100_000)) // over push_limit
	publish("ws:user:42", "last")
	c.Expect("last")
}

// operators use the token, and an attacker guesses it.
func (s *secrets) operators(t *testing.T, g *stack.GatewayServer) {
	t.Helper()
	kind := http.Header{"Content-Type": {"application/json"}}
	for _, token := range []string{s.adminToken, s.wrongToken} {
		header := kind.Clone()
		header.Set("Authorization", "Bearer "+token)
		want := map[string]int{s.adminToken: 200, s.wrongToken: 401}[token]
		got, body := g.AdminDo(t, "POST", "/push", fmt.Sprintf(`{"to":"user:42","data":%q}`, s.http), header)
		if got != want {
			t.Errorf("push with %s: got %d %s, want %d", token, got, body, want)
		}
		g.AdminDo(t, "POST", "/push", "broken "+s.http, header)
		g.AdminDo(t, "GET", "/connections?token="+s.query, "", header)
	}
}

// trouble is what configuration and Redis can do: a file that is refused, and
// a Redis that goes, comes back and wants another password.
func (s *secrets) trouble(t *testing.T, g *stack.GatewayServer, server *stack.RedisServer) {
	t.Helper()
	good := g.ConfigText(t)
	for _, change := range [][2]string{
		{stack.AdminToken, s.newPassword + " with a space"},
		{`"` + stack.AdminToken + `"`, `["` + s.newPassword + `"]`},
		{"admin_token = \"" + stack.AdminToken, "admin_tokne = \"" + s.newPassword},
		{`"` + stack.AdminToken + `"`, s.newPassword}, // no quotes: no TOML
		{s.redisPassword + "@127", s.newPassword + "@host:port,127"},
		{"redis://:" + s.redisPassword, "http://:" + s.newPassword},
		{`url = "`, `url = ["` + s.newPassword + `"] #`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		refused := strings.Count(g.LogText(), "keeping previous configuration")
		g.WriteConfig(t, bad)
		g.Reload()
		stack.Wait(t, "the refusal of "+change[1], func() bool {
			return strings.Count(g.LogText(), "keeping previous configuration") > refused
		})
		if out, code := stack.Command(t, "check", "--config", g.Config); code == 0 || strings.Contains(out, s.newPassword) {
			t.Errorf("wsfpm check with %s: exit code %d, %s", change[1], code, out)
		}
	}
	g.WriteConfig(t, good)
	server.Kill()
	stack.Wait(t, "the loss of Redis to be logged", func() bool { return strings.Contains(g.LogText(), "redis not reached") })
	out, _ := stack.Command(t, "push", "--redis", "redis://:"+s.redisPassword+"@"+server.Addr, "all", s.push)
	if strings.Contains(out, s.redisPassword) || strings.Contains(out, s.push) {
		t.Errorf("wsfpm push printed: %s", out)
	}
}

// checkLog looks for secrets, forged lines and long ones.
func checkLog(t *testing.T, log, format string, all []string) {
	t.Helper()
	for i, secret := range all {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			if at := strings.Index(log, form); at >= 0 {
				t.Errorf("secret %d is in the log: …%s…", i, log[max(0, at-300):min(len(log), at+60)])
			}
		}
	}
	n := 0
	for line := range strings.Lines(log) {
		n++
		line = strings.TrimSuffix(line, "\n")
		if len(line) > longestLine && !strings.Contains(line, "panic") {
			t.Errorf("a line has %d bytes: %.300s", len(line), line)
		}
		for _, b := range []byte(line) {
			if b < ' ' && b != '\t' {
				t.Errorf("a line has the byte %#x: %.300q", b, line)
				break
			}
		}
		if format == "json" && !json.Valid([]byte(line)) {
			t.Errorf("a line is no JSON: %.300s", line)
		}
		if strings.HasPrefix(line, "INJECTED") || strings.HasPrefix(line, `{"level":"error","msg":"forged"`) {
			t.Errorf("a peer made a line: %s", line)
		}
	}
	if n < 10 || !strings.Contains(log, "INJECTED") {
		t.Errorf("%d lines, in which the scenario does not show", n)
	}
	if name := os.Getenv("WSFPM_KEEP_LOG"); name != "" {
		write(t, name+"."+format, log)
	}
}
