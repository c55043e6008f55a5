package live

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"wsfpm/gateway"
	"wsfpm/gateway/bus"
	"wsfpm/gateway/durable"
)

// The bounds of figures.
const (
	mostNames    = 10_000 // users, addresses or scripts that are counted between two lines
	mostShown    = 10     // of each list
	mostFailures = 10     // the newest
	slowFrom     = 64 << 10
)

// Sources are where figures come from. All are required.
type Sources struct {
	Stats       func() gateway.Stats
	Ready       func() error
	Connections func() iter.Seq[gateway.Connection]
	Bus         func() bus.Stats
	Log         func() durable.Stats
}

// Figures are what a gateway did since the line before, and its state now. Durations are in
// seconds.
type Figures struct {
	Time        time.Time        `json:"time"`
	Seconds     float64          `json:"seconds"` // since the line before
	Node        string           `json:"node"`
	NotReady    string           `json:"not_ready,omitempty"` // why /ready is 503
	Connections int              `json:"connections"`         // open now
	Events      map[string]int64 `json:"events"`              // ended, by kind
	Failed      int64            `json:"failed"`              // of Events
	Bytes       int64            `json:"bytes"`               // of messages from clients
	Delivered   int64            `json:"delivered"`           // messages of others, counted for each client
	Queued      int64            `json:"queued"`              // bytes for clients that do not keep up, now
	Wait        Quantiles        `json:"wait"`
	Run         Quantiles        `json:"run"`
	Scripts     []Script         `json:"scripts"`
	Users       []Busy           `json:"users"`
	Addresses   []Busy           `json:"addresses"`
	Pools       []Pool           `json:"pools"`
	Slow        []Slow           `json:"slow"`
	Redis       Redis            `json:"redis"`
	Log         Log              `json:"log"`
	Failures    []Record         `json:"failures"`
}

// Script is the events of one script.
type Script struct {
	Script string    `json:"script"`
	Events int64     `json:"events"`
	Failed int64     `json:"failed"`
	Wait   Quantiles `json:"wait"`
	Run    Quantiles `json:"run"`
}

// Busy is a user or an address with many events.
type Busy struct {
	Name   string `json:"name"`
	Events int64  `json:"events"`
}

// Pool is a pool of PHP-FPM now.
type Pool struct {
	Name     string `json:"name"`
	Running  int    `json:"running"`
	Settling int    `json:"settling"` // workers whose script runs on after its answer
	Limit    int    `json:"limit"`    // workers that may be in use now
	Max      int    `json:"max"`      // max_connections
	Waiting  int    `json:"waiting"`
	Down     bool   `json:"down"`
}

// Slow is a client that does not keep up.
type Slow struct {
	Connection string `json:"connection"`
	User       string `json:"user,omitempty"`
	Queued     int64  `json:"queued"` // bytes
}

// Redis is the state of the bus.
type Redis struct {
	State     string `json:"state"`     // local, connecting, up, down or closed
	Received  uint64 `json:"received"`  // since the line before
	Published uint64 `json:"published"` // since the line before
	Failed    uint64 `json:"failed"`    // since the line before
}

// Log is the state of the log of durable messages.
type Log struct {
	State   string  `json:"state"` // see durable.Stats
	Entries int     `json:"entries"`
	Bytes   int64   `json:"bytes"`
	Span    float64 `json:"span"`
	Lag     float64 `json:"lag"`
}

// Meter counts the events between two lines of figures. [Meter.Close] ends it.
type Meter struct {
	// Close frees the reader's place.
	Close func()

	from Sources

	mu  sync.Mutex // guards now
	now *counts

	// Owned by the caller of Next.
	last time.Time
	base gateway.Stats
	bus  bus.Stats
}

// counts are the events since the line before.
type counts struct {
	events           map[string]int64
	failed, bytes    int64
	total            durations
	scripts          map[string]*durations
	users, addresses map[string]int64
	failures         []Record
}

// durations are those of some events.
type durations struct {
	events, failed int64
	wait, run      histogram
}

func (d *durations) add(e *gateway.Event) {
	d.events++
	if e.Outcome != "ok" {
		d.failed++
	}
	d.wait.add(e.Wait)
	d.run.add(e.Took - e.Wait)
}

// Measure begins to count events for a reader.
func (f *Feed) Measure(from Sources) (*Meter, error) {
	m := &Meter{from: from, last: time.Now(), base: from.Stats(), bus: from.Bus(), now: newCounts()}
	var err error
	m.Close, err = f.open(m.see)
	return m, err
}

func newCounts() *counts {
	return &counts{
		events: make(map[string]int64), scripts: make(map[string]*durations),
		users: make(map[string]int64), addresses: make(map[string]int64), failures: []Record{},
	}
}

// see counts an event.
func (m *Meter) see(e *gateway.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.now
	c.events[e.Kind]++
	c.bytes += int64(len(e.Data))
	if e.Outcome != "ok" {
		c.failed++
		if len(c.failures) == mostFailures {
			c.failures = slices.Delete(c.failures, 0, 1)
		}
		c.failures = append(c.failures, NewRecord(e, 0))
	}
	if e.Address.IsValid() {
		count(c.addresses, e.Address.String())
	}
	if e.Kind == "handshake" {
		return // PHP was not called
	}
	c.total.add(e)
	if c.scripts[e.Script] == nil && len(c.scripts) < mostNames {
		c.scripts[e.Script] = new(durations)
	}
	if s := c.scripts[e.Script]; s != nil {
		s.add(e)
	}
	if e.User != "" {
		count(c.users, e.User)
	}
}

func count(in map[string]int64, name string) {
	if _, known := in[name]; known || len(in) < mostNames {
		in[name]++
	}
}

// Next returns the figures since the last call.
func (m *Meter) Next() Figures {
	m.mu.Lock()
	c := m.now
	m.now = newCounts()
	m.mu.Unlock()
	now, stats, redis, log := time.Now(), m.from.Stats(), m.from.Bus(), m.from.Log()
	f := Figures{
		Time: now, Seconds: seconds(now.Sub(m.last)), Node: stats.Node, Connections: stats.Connections,
		Events: c.events, Failed: c.failed, Bytes: c.bytes, Delivered: stats.Delivered - m.base.Delivered, Queued: stats.OutboundBytes,
		Wait: c.total.wait.quantiles(), Run: c.total.run.quantiles(),
		Scripts: c.busiestScripts(), Users: busiest(c.users), Addresses: busiest(c.addresses),
		Pools: pools(stats), Slow: m.slow(stats.OutboundBytes),
		Redis: Redis{
			State: redis.State, Published: redis.Published - m.bus.Published, Failed: redis.PublishFailed - m.bus.PublishFailed,
			Received: received(redis) - received(m.bus),
		},
		Log:      Log{State: log.State, Entries: log.Entries, Bytes: log.Bytes, Span: seconds(log.Span), Lag: seconds(log.Lag)},
		Failures: c.failures,
	}
	if err := m.from.Ready(); err != nil {
		f.NotReady = cut(err.Error(), maxText)
	}
	m.last, m.base, m.bus = now, stats, redis
	return f
}

func received(s bus.Stats) uint64 { return s.ReceivedFast + s.ReceivedCommand + s.ReceivedRelay }

// busiestScripts returns the scripts with the most events.
func (c *counts) busiestScripts() []Script {
	list := []Script{}
	for name, d := range c.scripts {
		list = append(list, Script{cut(name, maxText), d.events, d.failed, d.wait.quantiles(), d.run.quantiles()})
	}
	slices.SortFunc(list, func(a, b Script) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Script, b.Script))
	})
	return list[:min(len(list), mostShown)]
}

// busiest returns the names with the most events.
func busiest(of map[string]int64) []Busy {
	list := []Busy{}
	for name, events := range of {
		list = append(list, Busy{cut(name, maxText), events})
	}
	slices.SortFunc(list, func(a, b Busy) int { return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Name, b.Name)) })
	return list[:min(len(list), mostShown)]
}

func pools(s gateway.Stats) []Pool {
	list := []Pool{}
	for _, name := range slices.Sorted(maps.Keys(s.Pools)) {
		p := s.Pools[name]
		shown := Pool{Name: name, Running: p.Running, Settling: p.Settling, Limit: p.Limit, Max: p.Config, Down: p.Down}
		for _, n := range p.Waiting {
			shown.Waiting += n
		}
		list = append(list, shown)
	}
	return list
}

// slow returns the clients with the most bytes queued. It looks at all connections, and so
// only when there is something to be found.
func (m *Meter) slow(queued int64) []Slow {
	list := []Slow{}
	if queued < slowFrom {
		return list
	}
	for c := range m.from.Connections() {
		if c.Queued > 0 {
			list = append(list, Slow{c.ID, cut(c.User, maxText), c.Queued})
		}
	}
	slices.SortFunc(list, func(a, b Slow) int { return cmp.Compare(b.Queued, a.Queued) })
	return list[:min(len(list), mostShown)]
}
