package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wsfpm/fcgi"
	"wsfpm/gateway"
	"wsfpm/gateway/answer"
	"wsfpm/gateway/bus"
	"wsfpm/gateway/durable"
	"wsfpm/session"
)

// source is a gateway whose events the test makes.
type source struct {
	mu       sync.Mutex
	watchers map[int]func(*gateway.Event)
	n        int
}

func (s *source) watch(see func(*gateway.Event)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers == nil {
		s.watchers = make(map[int]func(*gateway.Event))
	}
	s.n++
	n := s.n
	s.watchers[n] = see
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, n)
	}
}

func (s *source) show(e gateway.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, see := range s.watchers {
		see(&e)
	}
}

// replied is an event whose answer joins a, sends a text, and publishes to channel:b.
func replied() gateway.Event {
	user := "42"
	return gateway.Event{
		Kind: "message", Connection: "node-0123456789", Route: "/ws", Script: "/srv/ws.php", User: "42", Channels: []string{"a"},
		Address: netip.MustParseAddr("192.0.2.1"), Data: []byte("secret"), Took: 30 * time.Millisecond, Wait: 10 * time.Millisecond, Outcome: "ok",
		Reply: &answer.Reply{
			Own:    session.Command{User: &user, Join: []string{"a"}, Message: session.NewMessage(false, []byte("private"))},
			Others: []session.Command{{To: []session.Address{session.Channel("b")}, Message: session.NewMessage(true, []byte{1, 2})}},
		},
	}
}

func TestAFilterSelectsEvents(t *testing.T) {
	e := replied()
	for _, c := range []struct {
		query string
		want  bool
	}{
		{"", true}, {"user=42", true}, {"user=4", false}, {"channel=a", true}, {"channel=b", true}, {"channel=c", false},
		{"conn=6789", true}, {"conn=node-0123456789", true}, {"conn=node", false}, {"route=%2Fws", true}, {"route=%2F", false},
		{"address=192.0.2.1", true}, {"address=192.0.2.2", false}, {"kind=message", true}, {"kind=connect", false}, {"failed=1", false},
		{"user=42&channel=b&kind=message", true}, {"user=42&channel=c", false},
	} {
		query, _ := url.ParseQuery(c.query)
		f, err := ParseFilter(query)
		if err != nil || f.Matches(&e) != c.want || f.Query().Encode() != query.Encode() {
			t.Errorf("%q: %v, %v, want %v and no error; again %q", c.query, f.Matches(&e), err, c.want, f.Query().Encode())
		}
	}
	failed := gateway.Event{Kind: "connect", Outcome: "refused"}
	if f := (Filter{Failed: true}); !f.Matches(&failed) {
		t.Error("a refused connect did not count as failed")
	}
}

// An address counts in any of its forms.
func TestAnAddressIsComparedAsOne(t *testing.T) {
	e := replied()
	e.Address = netip.MustParseAddr("2001:db8::1")
	for text, want := range map[string]bool{"2001:DB8:0::1": true, "2001:db8::2": false} {
		f, err := ParseFilter(url.Values{"address": {text}})
		if err != nil || f.Matches(&e) != want {
			t.Errorf("%s: got %v, %v, want %v", text, f.Matches(&e), err, want)
		}
	}
	e.Address = netip.MustParseAddr("192.0.2.1")
	if f, err := ParseFilter(url.Values{"address": {"::ffff:192.0.2.1"}}); err != nil || !f.Matches(&e) {
		t.Errorf("got %v, %v", f, err)
	}
}

func TestAWrongFilterIsNamed(t *testing.T) {
	for query, want := range map[string]string{
		"usr=42": `"usr" is no filter`, "user=1&user=2": "user is there 2 times", "user=": "user is empty", "failed=true": `failed is "true"`, "kind=x": `kind is "x"`, "address=bla": `address is "bla"`, "bodies=1": "no filter",
	} {
		values, _ := url.ParseQuery(query)
		if _, err := ParseFilter(values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", query, err, want)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, query := range []string{"user=42", "channel=a&failed=1", "kind=message&kind=", "\x1b=1", "conn=%00"} {
		f.Add(query)
	}
	e := replied()
	f.Fuzz(func(t *testing.T, text string) {
		query, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		filter, err := ParseFilter(query)
		if err != nil {
			return
		}
		filter.Matches(&e)
		if again, err := ParseFilter(filter.Query()); err != nil || again != filter {
			t.Errorf("%q became %v, %v", text, again, err)
		}
	})
}

func TestARecordHasBodiesOnlyWhenAsked(t *testing.T) {
	e := replied()
	text, err := json.Marshal(NewRecord(&e, 0))
	if err != nil || bytes.Contains(text, []byte("secret")) || bytes.Contains(text, []byte("private")) {
		t.Errorf("got %s, %v, want no content", text, err)
	}
	text, _ = json.Marshal(NewRecord(&e, MaxBody))
	got := string(text)[strings.Index(string(text), `"kind"`):]
	want := `"kind":"message","connection":"node-0123456789","route":"/ws","script":"/srv/ws.php","user":"42","address":"192.0.2.1","wait":0.01,"run":0.02,"outcome":"ok",` +
		`"body":{"bytes":6,"text":"secret"},"effects":[{"user":"42","join":["a"],"body":{"bytes":7,"text":"private"}},{"to":["channel:b"],"body":{"bytes":2,"binary":true}}]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestARecordNamesTheCacheAndPurges(t *testing.T) {
	a := answer.Reply{Others: []session.Command{{Purge: []string{"/ws/prices"}}}}
	text, err := json.Marshal(NewRecord(&gateway.Event{Kind: "message", Outcome: "ok", Cached: true, Reply: &a}, 0))
	if err != nil || !strings.Contains(string(text), `"cached":true,"effects":[{"purge":["/ws/prices"]}]`) {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestARecordIsBounded(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	many := slices.Repeat([]string{long}, 1000)
	command := session.Command{To: slices.Repeat([]session.Address{session.Channel(long)}, 1000), Join: many, Message: session.NewMessage(false, []byte(long)), Close: &session.Close{Code: 1000}}
	e := gateway.Event{
		Kind: "message", User: long, Route: long, Script: long, Reason: long, Outcome: "ok", Err: errors.New(long), Data: []byte(long),
		Reply: &answer.Reply{Others: slices.Repeat([]session.Command{command}, 1000)},
	}
	text, err := json.Marshal(NewRecord(&e, MaxBody))
	const most = (maxEffects+1)*(MaxBody+2*maxList*maxText)*2 + 8*maxText
	if err != nil || len(text) > most {
		t.Errorf("got %d bytes, %v, want at most %d", len(text), err, most)
	}
}

func TestAReaderGetsLinesInOrderAndCountsWhatItMissed(t *testing.T) {
	var from source
	f := NewFeed(from.watch)
	r, err := f.Open(Filter{Kind: "message"}, false)
	if err != nil {
		t.Fatal(err)
	}
	from.show(gateway.Event{Kind: "connect", Outcome: "ok"})
	const events = 20_000
	for i := range events {
		from.show(gateway.Event{Kind: "message", Code: i + 1, Outcome: "ok"})
	}
	lines, err := r.Next(t.Context())
	if err != nil || len(lines) > mostWaiting+1<<10 {
		t.Fatalf("got %d bytes, %v", len(lines), err)
	}
	var last Record
	n := 0
	for line := range bytes.Lines(lines) {
		last = Record{}
		if err := json.Unmarshal(line, &last); err != nil {
			t.Fatal(err)
		}
		if n++; last.Dropped == 0 && last.Code != n {
			t.Fatalf("line %d has number %d", n, last.Code)
		}
	}
	if last.Dropped == 0 || int64(n)-1+last.Dropped != events {
		t.Errorf("%d lines, then %+v: want %d events in all", n, last, events)
	}
	r.Close()
	from.show(gateway.Event{Kind: "message", Outcome: "ok"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if lines, err := r.Next(ctx); err == nil {
		t.Errorf("a closed reader got %s", lines)
	}
}

func TestFourReadersHaveAPlace(t *testing.T) {
	var from source
	f := NewFeed(from.watch)
	var open []*Reader
	for range MostReaders - 1 {
		r, err := f.Open(Filter{}, false)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, r)
	}
	m, err := f.Measure(sources(gateway.Stats{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open(Filter{}, false); !errors.Is(err, ErrTooMany) {
		t.Errorf("a fifth reader got %v", err)
	}
	if _, err := f.Measure(sources(gateway.Stats{})); !errors.Is(err, ErrTooMany) {
		t.Errorf("a fifth reader of figures got %v", err)
	}
	open[0].Close()
	open[0].Close() // twice does not free two places
	again, err := f.Open(Filter{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open(Filter{}, false); !errors.Is(err, ErrTooMany) {
		t.Errorf("a place was freed twice: got %v", err)
	}
	for _, r := range append(open, again) {
		r.Close()
	}
	m.Close()
	if len(from.watchers) != 0 {
		t.Errorf("%d watchers are left: events cost without a reader", len(from.watchers))
	}
}

// sources are those of a gateway with these statistics.
func sources(stats gateway.Stats) Sources {
	return Sources{
		Stats: func() gateway.Stats { return stats },
		Ready: func() error { return errors.New("redis: down") },
		Connections: func() iter.Seq[gateway.Connection] {
			return slices.Values([]gateway.Connection{{ID: "a", Queued: 1}, {ID: "b", User: "42", Queued: 1 << 20}, {ID: "c"}})
		},
		Bus: func() bus.Stats { return bus.Stats{State: "up"} },
		Log: func() durable.Stats { return durable.Stats{State: "live", Entries: 3, Lag: 20 * time.Millisecond} },
	}
}

func TestFiguresAreThoseSinceTheLineBefore(t *testing.T) {
	var from source
	stats := gateway.Stats{Node: "n", Connections: 7, OutboundBytes: 2 << 20, Pools: map[string]fcgi.Stats{
		"default": {Running: 2, Limit: 3, Config: 5, Waiting: [3]int{1, 2, 0}},
	}}
	m, err := NewFeed(from.watch).Measure(sources(stats))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i := range 100 {
		e := replied()
		e.Took, e.Wait = time.Duration(i+2)*time.Millisecond, time.Millisecond
		e.Script = fmt.Sprintf("/srv/%d.php", i%2)
		from.show(e)
	}
	from.show(gateway.Event{Kind: "connect", User: "7", Script: "/srv/0.php", Outcome: "timeout", Err: errors.New("timed out"), Took: time.Second})
	from.show(gateway.Event{Kind: "handshake", Route: "/none", Outcome: "refused"})
	f := m.Next()
	if f.Events["message"] != 100 || f.Events["connect"] != 1 || f.Events["handshake"] != 1 || f.Failed != 2 || f.Bytes != 600 || f.Connections != 7 || f.NotReady != "redis: down" {
		t.Errorf("got %+v", f)
	}
	if near := func(got, want float64) bool { return math.Abs(got-want) <= 0.1*want }; !near(f.Run.P50, 0.051) || !near(f.Run.P99, 0.1) || !near(f.Wait.P50, 0.001) {
		t.Errorf("got run %+v and wait %+v, want a median of 51 ms and 1 ms", f.Run, f.Wait)
	}
	if len(f.Scripts) != 2 || f.Scripts[0].Script != "/srv/0.php" || f.Scripts[0].Events != 51 || f.Scripts[0].Failed != 1 {
		t.Errorf("got the scripts %+v", f.Scripts)
	}
	if want := []Busy{{"42", 100}, {"7", 1}}; !slices.Equal(f.Users, want) {
		t.Errorf("got the users %v, want %v", f.Users, want)
	}
	if want := []Busy{{"192.0.2.1", 100}}; !slices.Equal(f.Addresses, want) {
		t.Errorf("got the addresses %v, want %v", f.Addresses, want)
	}
	if want := []Pool{{Name: "default", Running: 2, Limit: 3, Max: 5, Waiting: 3}}; !slices.Equal(f.Pools, want) {
		t.Errorf("got the pools %+v, want %+v", f.Pools, want)
	}
	if want := []Slow{{"b", "42", 1 << 20}, {"a", "", 1}}; !slices.Equal(f.Slow, want) {
		t.Errorf("got the slow readers %+v, want %+v", f.Slow, want)
	}
	if len(f.Failures) != 2 || f.Failures[0].Error != "timed out" || f.Log.Lag != 0.02 || f.Redis.State != "up" {
		t.Errorf("got %+v, %+v, %+v", f.Failures, f.Log, f.Redis)
	}
	f = m.Next()
	if text, err := json.Marshal(f); err != nil || bytes.Contains(text, []byte("null")) {
		t.Errorf("a list without entries is null in %s, %v", text, err)
	}
	if len(f.Events) != 0 || f.Failed != 0 || len(f.Scripts)+len(f.Users)+len(f.Failures) != 0 {
		t.Errorf("the next line repeats %+v", f)
	}
}

func TestFiguresAreBounded(t *testing.T) {
	var from source
	m, err := NewFeed(from.watch).Measure(sources(gateway.Stats{}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i := range mostNames + 100 {
		from.show(gateway.Event{Kind: "message", User: fmt.Sprint(i), Script: fmt.Sprint(i / 1000), Outcome: "answer"})
	}
	if len(m.now.users) != mostNames {
		t.Errorf("%d users are counted, want %d", len(m.now.users), mostNames)
	}
	if f := m.Next(); len(f.Users) != mostShown || len(f.Scripts) != mostShown || len(f.Failures) != mostFailures || f.Failures[mostFailures-1].User != fmt.Sprint(mostNames+99) {
		t.Errorf("got %d users, %d scripts, %d failures, the last of %s", len(f.Users), len(f.Scripts), len(f.Failures), f.Failures[mostFailures-1].User)
	}
}

func TestQuantilesAreWithinNinePercent(t *testing.T) {
	for _, d := range []time.Duration{0, time.Microsecond, 1500 * time.Microsecond, 20 * time.Millisecond, 3 * time.Second, time.Hour} {
		var h histogram
		h.add(d)
		want := min(max(d, time.Microsecond), time.Duration(1<<octaves)*time.Microsecond).Seconds()
		if got := h.quantile(0.5); got < want*0.99 || got > want*1.1 {
			t.Errorf("%v: got %v, want %v", d, got, want)
		}
	}
}

// Events that end at the same moment all find room, and make their lines.
func TestEventsThatEndTogetherShareTheRoomOfAReader(t *testing.T) {
	const events = 8
	var made sync.WaitGroup
	made.Add(events)
	var from source
	r, err := NewFeed(from.watch).Collect(func(*gateway.Event) bool { return true }, func(*gateway.Event) ([]byte, error) {
		made.Done()
		made.Wait()
		return make([]byte, mostWaiting), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var ended sync.WaitGroup
	for range events {
		ended.Go(func() { r.see(&gateway.Event{}) })
	}
	ended.Wait()
	lines, err := r.Next(t.Context())
	if err != nil || len(lines) > mostWaiting+1<<10 || !bytes.HasSuffix(lines, []byte("{\"dropped\":7}\n")) {
		t.Errorf("got %d bytes, %v, want one line, and that 7 events were dropped", len(lines), err)
	}
}
