package load

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// shortWait is the drain of the gateways, and worker_shutdown_timeout of nginx.
const shortWait = "3s"

// chat is the example with two nodes behind one nginx.
type chat struct {
	talk
	talkers int
	calm    time.Duration // between two restarts
	nodes   [2]*stack.GatewayServer
	nginx   *stack.NginxServer
	ledger  string
	people  []*talker
}

// startChat runs the servers. nginx takes its sockets away three seconds after
// a reload, as worker_shutdown_timeout does in a real one after a minute.
func (c *chat) start(t *testing.T) {
	t.Helper()
	dir := workScripts(t)
	fpm := stack.FPM(t, stack.FPMOptions{Children: 12, Ini: map[string]string{"auto_prepend_file": dir + "/ledger.php"}})
	example := stack.ChatFolder(t)
	redis, store := stack.Redis(t, stack.RedisOptions{}), stack.TempDir(t)
	c.ledger = dir + "/ledger"
	for i := range c.nodes {
		c.nodes[i] = stack.Gateway(t, stack.GatewayOptions{Node: fmt.Sprint("node", i+1), FPM: fpm, Redis: redis.URL(),
			Drain: shortWait, LogLevel: "info", Limits: "connections_per_address = 0\naccept_rate = 0", FPMLines: "max_connections = 5\nmax_idle = 5",
			Routes: stack.ChatTables(t, redis.URL(), store)})
	}
	c.nginx = stack.NginxWith(t, stack.NginxOptions{Main: "worker_shutdown_timeout " + shortWait + ";"}, fmt.Sprintf(`
map $http_upgrade $wsfpm_upgrade { default ""; websocket websocket; }
upstream wsfpm { server %s; server %s; }
server { listen LISTEN; root %s/public; index index.php;
	location /ws/ { proxy_pass http://wsfpm; proxy_http_version 1.1;
		proxy_set_header Upgrade $wsfpm_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
		proxy_read_timeout 75s; proxy_buffering off; proxy_next_upstream error; }
	location ~ \.php$ { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
		fastcgi_pass unix:%s; } }`, c.nodes[0].Listen, c.nodes[1].Listen, example, fpm.Socket))
	c.address = c.nginx.Addr
	c.people = make([]*talker, c.talkers)
	open(t, c.talkers, func(i int) error {
		p := &talker{talk: &c.talk, name: fmt.Sprint("p", i), room: fmt.Sprint("room", i%(c.talkers/8)), receipts: make(map[string]int)}
		c.people[i] = p
		if err := p.login(); err != nil {
			return err
		}
		s, err := p.enter()
		if err == nil {
			c.talking.Go(func() { p.live(s) })
		}
		return err
	})
}

// Everything in front of PHP is restarted in turn while people chat: nginx by
// SIGHUP, and each gateway by SIGTERM and a new start.
func TestSoakARollingRestartUnderTheChat(t *testing.T) {
	g := promise(t, "G7", "G7-rolling", "rolling restart of nginx and both gateways: all are back within 5 s, no message lost unseen or answered twice")
	rounds := 1
	if long() {
		rounds = 20
	}
	c := &chat{talkers: 120, calm: stable + time.Second}
	c.roll(t, g, rounds)
	lost, typical, slowest := c.absences(t)
	if slowest > backLimit {
		t.Errorf("a client was back after %v, want %v at most", slowest, backLimit)
	}
	g.reached("%d sockets lost, all back after %.1f s (median), %.1f s (the last)", lost, sec(typical), sec(slowest))
}

func TestARollingRestartLosesNoMessage(t *testing.T) {
	c := &chat{talkers: 24, calm: time.Second}
	c.roll(t, &goal{}, 1)
	c.absences(t)
}

// roll restarts everything so often, and holds receipts against the ledger.
func (c *chat) roll(t *testing.T, g *goal, rounds int) {
	t.Helper()
	begin(t, 1000)
	c.start(t)
	restarts, reloads := 0, 0
	for range rounds {
		for _, node := range c.nodes {
			c.flow(t)
			c.nginx.Reload()
			equal(t, "exit code", node.Stop(t), 0)
			node.Start(t)
			restarts, reloads = restarts+1, reloads+1
		}
		c.flow(t)
		c.nginx.Reload()
		reloads++
	}
	c.flow(t)
	c.over.Store(true)
	c.talking.Wait()
	for _, node := range c.nodes {
		empty(t, node)
	}
	runs := ledger(t, c.ledger)
	farewells(t, runs)
	messages := c.reconcile(t, runs)
	g.reached("%d people, %d reloads of nginx, %d restarts of gateways", c.talkers, reloads, restarts)
	g.reached("%d messages, each confirmed, none run or answered twice, none without an answer or a close", messages)
}

// flow lets people talk until their connections are stable.
func (c *chat) flow(t *testing.T) {
	t.Helper()
	stack.WaitWithin(t, 6*stack.Patience, "everybody in the chat", func() bool { return c.here.Load() == int64(c.talkers) })
	<-time.After(c.calm)
}

// reconcile holds the receipts against the ledger and counts the messages.
func (c *chat) reconcile(t *testing.T, runs []run) (messages int) {
	t.Helper()
	tags, keys := make(map[string]int), make(map[string]int)
	for _, r := range runs {
		if key, _, found := strings.Cut(r.tag, "/"); found && r.event == "message" {
			tags[r.tag]++
			keys[key]++
		}
	}
	for tag, n := range tags {
		if n > 1 {
			t.Errorf("PHP ran %s %d times, want once", tag, n)
		}
	}
	for _, p := range c.people {
		if p.err != nil {
			t.Error(p.err)
		}
		messages += p.said
		for key, n := range p.receipts {
			if n > keys[key] {
				t.Errorf("%s was answered %d times and run %d times", key, n, keys[key])
			}
		}
	}
	if messages < c.talkers || len(keys) != messages {
		t.Errorf("PHP ran %d messages of %d, want all", len(keys), messages)
	}
	return messages
}

// absences checks how long people were without a connection.
func (c *chat) absences(t *testing.T) (lost int, typical, slowest time.Duration) {
	t.Helper()
	var away []time.Duration
	for _, p := range c.people {
		for _, end := range p.ends {
			away = append(away, end.back.Sub(end.at))
			if end.code != 1012 && end.code != lostCode {
				t.Errorf("%s was closed with %d, want 1012 or, by nginx, no code", p.name, end.code)
			}
		}
	}
	if len(away) < c.talkers {
		t.Errorf("only %d sockets were lost, so nothing was tried", len(away))
	}
	return len(away), median(away), quantile(away, 1)
}
