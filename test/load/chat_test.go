package load

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
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
// and socket.js: a message is sent again with the same key until its receipt
// has come, at most one a second, and a lost connection is made again after a
// random wait that grows. Its own goroutine uses it until it ends.
type talker struct {
	*talk
	name, room string
	cookies    string
	failures   int

	said     int            // messages
	tries    int            // times that one was sent
	key      string         // of the message without a receipt, "" for none
	asked    time.Time      // when it was sent over this connection, zero for not yet
	again    time.Time      // when it may be sent
	receipts map[string]int // by key, those in the history aside
	ends     []parting
	err      error
}

// event is what the chat sends, as far as a talker needs it.
type event struct {
	Type     string  `json:"type"`
	Key      string  `json:"key"`
	From     string  `json:"from"`
	Text     string  `json:"text"`
	Wait     float64 `json:"wait"`
	Messages []event `json:"messages"`
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

// enter connects, and has synchronised when it returns.
func (p *talker) enter() (*socket, error) {
	s, err := dial(wish{address: p.address, path: "/ws/chat?room=" + p.room, headers: p.cookies, size: 64 << 10})
	if err != nil {
		return nil, err
	}
	until := time.Now().Add(answerLimit)
	for _, want := range []string{"room", "sync"} {
		var e event
		for e.Type != want {
			text, code := s.next(until)
			if text == nil {
				s.Conn.Close()
				return nil, fmt.Errorf("no %s but the close code %d", want, code)
			}
			if err := json.Unmarshal(text, &e); err != nil {
				return nil, err
			}
		}
		if want == "room" {
			s.send(`{"type":"sync","after":0}`)
		} else {
			p.synchronised(e)
		}
	}
	p.here.Add(1)
	return s, nil
}

// synchronised takes the history, in which the receipt of a message may be.
func (p *talker) synchronised(e event) {
	for _, m := range e.Messages {
		if m.From == p.name {
			p.settled(m.Key, time.Second)
		}
	}
}

// live talks until everybody shall be silent and the last message has its receipt.
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
			p.hear(text)
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

// say sends the message that has no receipt, else a new one.
func (p *talker) say(s *socket) {
	if p.key == "" {
		p.said++
		p.key = fmt.Sprintf("%s-%d", p.name, p.said)
	}
	p.tries++
	p.asked = time.Now()
	s.send(fmt.Sprintf(`{"type":"say","room":%q,"key":%q,"text":"hello","tag":"%s/%d"}`, p.room, p.key, p.key, p.tries))
}

// hear takes what the chat sends.
func (p *talker) hear(text []byte) {
	var e event
	if err := json.Unmarshal(text, &e); err != nil {
		p.err = fmt.Errorf("%s got %.100q: %w", p.name, text, err)
		return
	}
	switch {
	case e.Type == "message" && e.From == p.name:
		p.receipts[e.Key]++
		p.settled(e.Key, 1100*time.Millisecond+rand.N(time.Second))
	case e.Type == "slow" && e.Key == p.key:
		p.asked, p.again = time.Time{}, time.Now().Add(time.Duration(e.Wait*float64(time.Second)))
	case e.Type == "error":
		p.err = fmt.Errorf("%s was told %q", p.name, text)
	}
}

// settled ends the wait for a receipt; the next message comes after a pause.
func (p *talker) settled(key string, pause time.Duration) {
	if key == p.key {
		p.key, p.asked, p.again = "", time.Time{}, time.Now().Add(pause)
	}
}

// comeBack connects again. A message without a receipt is sent again at once.
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
