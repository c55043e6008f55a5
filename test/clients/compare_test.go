package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// compareScript answers each message of a page that says who it is, and writes it down.
const compareScript = `
$as = $_GET['as'];
if ($_SERVER['WS_EVENT'] === 'connect') { header("WS-User: $as"); exit; }
if ($_SERVER['WS_EVENT'] !== 'message') exit;
$n = file_get_contents('php://input');
usleep(5000);
file_put_contents(__DIR__ . "/$as", "$n\n", FILE_APPEND | LOCK_EX);
echo "reply $n";`

// compared is a page with one client, and what it was told.
type compared struct {
	*page
	name   string
	link   *stack.Link
	sent   int
	tally  tally
	closed int64           // when its connection ended, in milliseconds; 0: it is open
	away   []time.Duration // from each end of its connection to the next
	gone   bool            // it has stopped for good
}

// note writes down an event.
func (c *compared) note(e pageEvent) {
	c.tally.note(e)
	switch {
	case e.State == "waiting" && c.closed == 0:
		c.closed = e.At
	case e.State == "open" && c.closed > 0:
		c.away, c.closed = append(c.away, time.Duration(e.At-c.closed)*time.Millisecond), 0
	}
	c.gone = c.gone || e.State == "stopped"
}

// until reads events until what is wanted has come.
func (c *compared) until(what string, wanted func(e pageEvent) bool) {
	c.t.Helper()
	c.next(c.name+": "+what, func(e pageEvent) bool {
		c.note(e)
		return wanted(e)
	})
}

// listen reads events for a time.
func (c *compared) listen(over <-chan time.Time) {
	for {
		select {
		case e := <-c.events:
			c.note(e)
		case <-over:
			return
		}
	}
}

func (c *compared) sendMany(n int) {
	for range n {
		c.sent++
		c.send(fmt.Sprint(c.sent))
	}
}

// A comparison has the same page with live.js and with two other clients.
type comparison struct {
	t      *testing.T
	dir    string // of the script, and of what it wrote down
	redis  *stack.RedisServer
	g      *stack.GatewayServer
	pages  []*compared
	stored int // pushes for each page
}

func newComparison(t *testing.T) *comparison {
	stack.Integration(t)
	w := &comparison{t: t, redis: stack.Redis(t, stack.RedisOptions{}), dir: stack.Scripts(t, map[string]string{"page.php": compareScript})}
	w.g = stack.Gateway(t, stack.GatewayOptions{
		FPM: stack.FPM(t, stack.FPMOptions{Children: 6}), Redis: w.redis.URL(), Drain: "100ms",
		Limits: "ping_interval = \"500ms\"\ncontrol_rate = 0\nmessages_per_second = 0",
		Routes: "[[route]]\npath = \"/ws\"\nscript = \"" + w.dir + "/page.php\"\nresume = true\ntimeout = \"10s\"\nonce = \"60s\"\n",
	})
	for _, name := range []string{"live.js", "partysocket", "reconnecting-websocket"} {
		link := stack.Proxy(t, w.g.Listen)
		c := &compared{name: name, link: link, tally: newTally()}
		c.page = openProgram(t, nil, "compare.mjs", name, "ws://"+link.Addr+"/ws?as="+name)
		c.until("the first connection", func(e pageEvent) bool { return e.State == "open" })
		w.pages = append(w.pages, c)
	}
	return w
}

// store stores pushes for each page.
func (w *comparison) store(n int) {
	client := w.redis.Client(w.t)
	for range n {
		w.stored++
		for _, c := range w.pages {
			if err := client.Do(w.t.Context(), "XADD", "ws:log", "*", "to", "user:"+c.name, "data", fmt.Sprintf("push %d", w.stored)).Err(); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// interrupt ends every connection in the middle of messages and pushes, by a cut, or by
// killing or restarting the gateway, and returns when all pages are back.
func (w *comparison) interrupt(how string) {
	for _, c := range w.pages {
		c.sendMany(10)
	}
	w.store(5)
	switch how {
	case "cut":
		for _, c := range w.pages {
			c.link.Reset()
		}
	case "kill":
		w.g.Kill()
	case "restart":
		w.g.Terminate()
		w.g.Exit(w.t)
	}
	for _, c := range w.pages {
		c.until("the end of the connection", func(pageEvent) bool { return c.closed > 0 })
		c.sendMany(10)
	}
	w.store(5)
	if !w.g.Running() {
		w.g.Start(w.t)
	}
	for _, c := range w.pages {
		c.until("the next connection", func(pageEvent) bool { return c.closed == 0 })
		c.sendMany(1)
	}
	w.store(1)
	for _, c := range w.pages {
		c.until("the last reply and push", func(pageEvent) bool {
			return c.tally.replies[c.sent] && c.tally.messages[fmt.Sprintf("push %d", w.stored)] > 0
		})
	}
}

// row is what became of a page.
func (c *compared) row(dir string, stored int) (told string, missed, twice, silent int) {
	text, err := os.ReadFile(filepath.Join(dir, c.name))
	if err != nil {
		c.t.Fatal(err)
	}
	run := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		run[strings.TrimSpace(line)] = true
	}
	lost := 0
	for n := 1; n <= c.sent; n++ {
		if !run[fmt.Sprint(n)] {
			lost++
		}
	}
	for n := 1; n <= stored; n++ {
		switch times := c.tally.messages[fmt.Sprintf("push %d", n)]; {
		case times == 0:
			missed++
		case times > 1:
			twice++
		}
	}
	silent = c.sent - c.tally.settled()
	slices.Sort(c.away)
	return fmt.Sprintf("| %s | %d sent | %d answered | %d rejected %v | %d without a word | %d not run | pushes: %d stored, %d missed, %d twice | away: median %v, most %v |",
		c.name, c.sent, len(c.tally.replies), c.sent-silent-len(c.tally.replies), c.tally.failed, silent, lost, stored, missed, twice, c.away[len(c.away)/2], c.away[len(c.away)-1]), missed, twice, silent
}

// The page of live.js beside the same page with other clients: what they lose it does not, and
// it stays away when it is signed out. The figures are in client/js/README.md.
func TestSoakThePageBesideOtherClients(t *testing.T) {
	const life, silence = 12 * time.Second, time.Minute // between interruptions; of a dead path
	contract.Row(t, "2.come-back", "7.ok", "9.again")
	w := newComparison(t)
	for _, how := range slices.Repeat([]string{"cut", "kill", "cut", "restart"}, 3) {
		w.interrupt(how)
		for _, c := range w.pages {
			c.listen(time.After(life / time.Duration(len(w.pages))))
		}
	}
	for _, c := range w.pages {
		told, missed, twice, silent := c.row(w.dir, w.stored)
		t.Log(told)
		if c.name == "live.js" && missed+twice+silent > 0 {
			t.Errorf("live.js: %d pushes missed, %d twice, %d messages without a word", missed, twice, silent)
		}
	}
	for _, c := range w.pages {
		if c.name == "live.js" { // first, as it does not come back afterwards
			c.link.Pause()
			c.until("the end of a dead path", func(pageEvent) bool { return c.closed > 0 })
			c.link.Resume()
			c.until("a connection", func(pageEvent) bool { return c.closed == 0 })
		}
		if back := w.signOut(c); back == (c.name == "live.js") {
			t.Errorf("%s: back after 4001: %v", c.name, back)
		} else if back {
			c.link.Pause() // nothing is closed, nothing comes
			c.listen(time.After(silence))
			t.Logf("%s: a dead path noticed within %v: %v", c.name, silence, c.closed > 0)
		}
	}
}

// signOut closes a page with 4001, and reports whether it comes back.
func (w *comparison) signOut(c *compared) (back bool) {
	if status, body := w.g.Push(w.t, `{"to":"user:`+c.name+`","close":{"code":4001,"reason":"signed out"}}`); status != 200 {
		w.t.Fatalf("got %d %s", status, body)
	}
	c.until("the end, or the next connection", func(e pageEvent) bool { return c.gone || e.State == "open" })
	return !c.gone
}
