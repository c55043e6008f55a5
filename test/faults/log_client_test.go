package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync/atomic"
	"time"
)

// reader is a client of the log: it reads, is cut off, and returns to any node with the last
// id that it has.
type reader struct {
	p          *logProgramme
	rng        *rand.Rand
	plain      bool
	user, room string
	newest     atomic.Int64 // the newest publication that it has got

	visit  *visit // the present connection
	last   string // what it returns with; "": nothing
	former string // "ok" or "gap", the hello of this connection
	got    []receipt
	fresh  int         // how often it has begun anew, without an id
	states []time.Time // when PHP began to write a state that arrived
	odd    []string    // what is against the protocol
	counts map[string]int
}

// receipt is a publication that arrived.
type receipt struct {
	number int64
	id     string
	fresh  int // how often the client had begun anew
	states int // how many states it had got
}

// envelope is a message of wsfpm.v1.
type envelope struct {
	Hello *struct{ Conn, Resume string }
	ID    string
	Re    string
	Error string
	Gap   bool
	Data  json.RawMessage
}

// content is what is in a message of the script or of a publisher.
type content struct {
	State            float64
	Resume, Position string
	N                int64
}

func newReader(p *logProgramme, i int) *reader {
	return &reader{
		p: p, rng: newRand(p.seed, uint64(i)), plain: i%6 == 5, counts: make(map[string]int),
		user: fmt.Sprint("u", i), room: fmt.Sprint("r", i%rooms),
	}
}

// run connects again and again until the programme is over.
func (r *reader) run() {
	for r.p.resting.Err() == nil {
		w, err := r.connect()
		if err != nil {
			r.counts["refused"]++
			r.p.wait(time.Duration(20+r.rng.IntN(200)) * time.Millisecond)
			continue
		}
		r.live(w)
		r.p.leaves(r.visit)
		w.vanish()
	}
}

// connect enters one of the nodes.
func (r *reader) connect() (*wire, error) {
	node := r.rng.IntN(2)
	query := url.Values{"user": {r.user}, "room": {r.room}}
	if r.last != "" {
		query.Set("ws_last", r.last)
	}
	path, protocol := "/v1", "wsfpm.v1"
	if r.plain {
		path, protocol = "/plain", ""
	}
	r.former = ""
	began := time.Now()
	w, id, err := dialProtocol(r.p.nodes[node].Listen, path+"?"+query.Encode(), protocol, bound, nil)
	if err == nil {
		r.visit = r.p.enters(&visit{id: id, user: r.user, room: r.room, node: node, began: began})
	}
	return w, err
}

// live reads until the client is cut off, or told to come again.
func (r *reader) live(w *wire) {
	until := time.Now().Add(time.Duration(r.rng.ExpFloat64() * float64(2*time.Second)))
	said := 0
	for {
		now := time.Now()
		if r.p.resting.Err() != nil || r.p.leaving.Err() == nil && !r.p.hold.Load() && now.After(until) {
			r.counts["cut"]++
			return
		}
		text, err := w.next(now.Add(50 * time.Millisecond))
		if errors.Is(err, errQuiet) {
			often := 1
			if r.p.talk.Load() {
				often = 2
			}
			if !r.plain && said < often && (often == 2 || r.rng.IntN(20) == 0) && r.p.leaving.Err() == nil {
				said++
				r.say(w)
			}
			continue
		}
		if err != nil {
			r.counts["ended"]++
			return
		}
		if again := r.heard(text); again {
			r.p.pause(time.Duration(r.rng.IntN(300)) * time.Millisecond)
			return
		}
	}
}

// say lets PHP store a publication for the client's room.
func (r *reader) say(w *wire) {
	n := r.p.published.Add(1)
	r.p.note(storing{number: n, to: "channel:" + r.room, began: time.Now()})
	_ = w.send(fmt.Sprintf(`{"id":"k%d","data":{"room":%q,"n":%d}}`, n, r.room, n)) // seen by reading
}

// heard takes one message, and reports whether the client is to connect again.
func (r *reader) heard(text string) (again bool) {
	if r.plain {
		return r.heardPlain(text)
	}
	var e envelope
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		r.odd = append(r.odd, fmt.Sprintf("%v: %.80q", err, text))
		return false
	}
	switch {
	case e.Hello != nil:
		r.counts["hello "+e.Hello.Resume]++
		if r.former = e.Hello.Resume; r.former != "ok" {
			r.last = ""
			r.fresh++
		}
		return false
	case e.Gap:
		r.counts["gap"]++
		r.last = ""
		return true
	case e.Re != "":
		var n int64
		if _, err := fmt.Sscanf(e.Re, "k%d", &n); err != nil {
			r.odd = append(r.odd, fmt.Sprintf("%.80q", text))
		} else if e.Error == "" {
			r.p.answered(n)
		}
		return false
	}
	var c content
	if e.Data != nil && json.Unmarshal(e.Data, &c) != nil {
		r.odd = append(r.odd, fmt.Sprintf("%.80q", text))
	}
	if c.State > 0 && r.former != "ok" {
		if c.Resume == "ok" { // PHP wrote no state, and something is missing after all
			return true
		}
		r.state(c)
	}
	if c.N > 0 {
		r.receive(receipt{number: c.N, id: e.ID, fresh: r.fresh})
	}
	if e.ID != "" {
		r.last = e.ID
	}
	return false
}

// heardPlain takes a message of the plain protocol.
func (r *reader) heardPlain(text string) (again bool) {
	if text == gapText {
		r.counts["gap"]++
		r.last = ""
		return true
	}
	var c content
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		r.odd = append(r.odd, fmt.Sprintf("%.80q", text))
		return false
	}
	if c.State > 0 {
		r.counts["plain "+c.Resume]++
		if c.Resume != "ok" {
			r.state(c)
		}
		r.last = c.Position
	}
	if c.N > 0 {
		r.receive(receipt{number: c.N})
	}
	return false
}

// state notes that PHP has written the state.
func (r *reader) state(c content) {
	r.states = append(r.states, time.UnixMicro(int64(c.State*1e6)))
}

func (r *reader) receive(a receipt) {
	a.states = len(r.states)
	r.got = append(r.got, a)
	if a.number > r.newest.Load() {
		r.newest.Store(a.number)
	}
}

// means reports whether a publication is for the client.
func (r *reader) means(to string) bool {
	return to == "all" || to == "user:"+r.user || to == "channel:"+r.room
}
