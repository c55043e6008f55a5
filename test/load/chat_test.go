package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"wsfpm/test/stack"
)

// stable is how long a connection of the chat's pages must last until the next
// failure counts as a first one again.
const stable = 10 * time.Second

// answerLimit is how long a page waits for an answer before it gives the
// connection up.
const answerLimit = 20 * time.Second

// talk is the chat as its pages see it.
type talk struct {
	address string // of nginx
	over    atomic.Bool
	here    atomic.Int64 // talkers who are connected
	talking sync.WaitGroup
}

// talker is one person in the chat, with the rules of the example's chat.js
// and live.js: a message is sent again with the same key until its reply has
// come, at most one a second, and a lost connection is made again after a
// random wait that grows, from the last position on. Its own goroutine uses it
// until it ends.
type talker struct {
	*talk
	name, room string
	cookies    string
	failures   int

	last     string         // the position of the newest message
	counted  bool           // who is here has been answered on this connection
	said     int            // messages
	tries    int            // times that one was sent
	key      string         // of the message without a reply, "" for none
	asked    time.Time      // when it was sent over this connection, zero for not yet
	again    time.Time      // when it may be sent
	receipts map[string]int // by key: the own messages as the room gets them
	ends     []parting
	err      error
}

// envelope is a message of wsfpm.v1, as far as a talker needs it.
type envelope struct {
	ID    string `json:"id"`
	Re    string `json:"re"`
	Error string `json:"error"`
	Gap   bool   `json:"gap"`
	Data  event  `json:"data"`
}

// event is what the chat sends, as far as a talker needs it.
type event struct {
	Type   string   `json:"type"`
	Key    string   `json:"key"`
	From   string   `json:"from"`
	Wait   float64  `json:"wait"`
	People []string `json:"people"`
}

var formToken = regexp.MustCompile(`name="form" value="([0-9a-f]+)"`)

// login fills in the form of the chat's front door and keeps the session's cookie.
func (p *talker) login() error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	client := http.Client{Jar: jar, Timeout: 2 * stack.Patience}
	door := "http://" + p.address + "/index.php"
	resp, err := client.Get(door)
	if err != nil {
		return err
	}
	page, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	token := formToken.FindSubmatch(page)
	if err != nil || token == nil {
		return fmt.Errorf("no form in %.200q (%v)", page, err)
	}
	resp, err = client.PostForm(door, url.Values{"form": {string(token[1])}, "name": {p.name}})
	if err != nil {
		return err
	}
	resp.Body.Close()
	for _, c := range jar.Cookies(resp.Request.URL) {
		p.cookies = "Cookie: " + c.String() + "\r\n"
	}
	return nil
}

// enter connects, and knows who is here when it returns.
func (p *talker) enter() (*socket, error) {
	path := "/ws/chat?room=" + p.room
	if p.last != "" {
		path += "&ws_last=" + p.last
	}
	s, err := dial(wish{address: p.address, path: path, headers: p.cookies + "Sec-WebSocket-Protocol: wsfpm.v1\r\n", size: 64 << 10})
	if err != nil {
		return nil, err
	}
	s.send(`{"id":"here","data":{"type":"here","new":true}}`)
	until := time.Now().Add(answerLimit)
	for p.counted = false; !p.counted; {
		text, code := s.next(until)
		if text != nil {
			p.hear(s, text)
		}
		if text == nil || p.err != nil {
			s.Conn.Close()
			return nil, errors.Join(fmt.Errorf("not told who is here, but the close code %d", code), p.err)
		}
	}
	p.here.Add(1)
	return s, nil
}

// live talks until everybody shall be silent and the last message has its reply.
func (p *talker) live(s *socket) {
	since := time.Now()
	p.again = since.Add(rand.N(2 * time.Second))
	for p.err == nil {
		text, code := s.next(time.Now().Add(100 * time.Millisecond))
		switch {
		case code != 0:
			if time.Since(since) > stable {
				p.failures = 0
			}
			s = p.comeBack(code)
			since = time.Now()
		case text != nil:
			p.hear(s, text)
		case p.key == "" && p.over.Load():
			s.leave()
			return
		case p.asked.IsZero() && time.Now().After(p.again):
			p.say(s)
		case !p.asked.IsZero() && time.Since(p.asked) > answerLimit:
			p.err = fmt.Errorf("%s got no answer to %s within %v, and no close either", p.name, p.key, answerLimit)
		}
	}
}

// say sends the message that has no reply, else a new one.
func (p *talker) say(s *socket) {
	if p.key == "" {
		p.said++
		p.key = fmt.Sprintf("%s-%d", p.name, p.said)
	}
	p.tries++
	p.asked = time.Now()
	s.send(fmt.Sprintf(`{"id":"%s-%d","data":{"type":"say","room":%q,"key":%q,"text":"hello","tag":"%s/%d"}}`, p.key, p.tries, p.room, p.key, p.key, p.tries))
}

// hear takes what the chat sends.
func (p *talker) hear(s *socket, text []byte) {
	var m envelope
	if err := json.Unmarshal(text, &m); err != nil {
		p.err = fmt.Errorf("%s got %.100q: %w", p.name, text, err)
		return
	}
	if m.Gap {
		p.last = ""
		s.Conn.Close() // the next read ends it
		return
	}
	if m.ID != "" {
		p.last = m.ID
	}
	switch {
	case m.Error != "" || m.Data.Type == "error":
		p.err = fmt.Errorf("%s was told %q", p.name, text)
	case m.Re == "here":
		p.counted = true
		if !slices.Contains(m.Data.People, p.name) {
			p.err = fmt.Errorf("%s is not among those who are here: %.200q", p.name, text)
		}
	case m.Data.Type == "message" && m.Data.From == p.name:
		p.receipts[m.Data.Key]++
	case m.Re == "" || m.Re != fmt.Sprintf("%s-%d", p.key, p.tries):
	case m.Data.Type == "slow":
		p.asked, p.again = time.Time{}, time.Now().Add(time.Duration(m.Data.Wait*float64(time.Second)))
	default:
		p.settled(1100*time.Millisecond + rand.N(time.Second))
	}
}

// settled ends the wait for a reply; the next message comes after a pause.
func (p *talker) settled(pause time.Duration) {
	p.key, p.asked, p.again = "", time.Time{}, time.Now().Add(pause)
}

// comeBack connects again. A message without a reply is sent again at once.
func (p *talker) comeBack(code int) *socket {
	p.here.Add(-1)
	p.asked, p.again = time.Time{}, time.Now()
	end := parting{code: code, at: time.Now()}
	for {
		<-time.After(rand.N(min(30*time.Second, 500*time.Millisecond<<p.failures)))
		p.failures++
		if s, err := p.enter(); err == nil {
			end.back = time.Now()
			p.ends = append(p.ends, end)
			return s
		}
	}
}
