package contract

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// person is a client that asks for something.
type person struct {
	as        string // headers of its connect answer, with | between them
	cookie    string
	host      string
	path      string // after the route's /ws; "" is none
	header    http.Header
	protocols []string
	binary    bool
	text      string // at the end of the message
}

// attack is a way to another client's answer. The message is the attack's name and further
// lines; the victim asks three times, then the attacker.
type attack struct {
	lines            string
	victim, attacker person
	works            bool // the answer is meant for the other one, too
}

func header(name, value string) http.Header { return http.Header{name: {value}} }

const user1, user2 = "WS-User: 1", "WS-User: 2"

var german, french = header("Accept-Language", "de"), header("Accept-Language", "fr")

// attacks are the ways that need no particular time.
var attacks = map[string]attack{
	"the same":                   {lines: public, works: true},
	"the same of one user":       {lines: public, victim: person{as: user1}, attacker: person{as: user1}, works: true},
	"the same with Vary":         {lines: public + "\nVary: Cookie, Accept-Language", victim: person{cookie: "a=1", header: german}, attacker: person{cookie: "a=1", header: german}, works: true},
	"other cookies without Vary": {lines: public, victim: person{cookie: "a=1"}, attacker: person{cookie: "a=2"}, works: true},

	"another user":              {lines: public, victim: person{as: user1}, attacker: person{as: user2}},
	"no user":                   {lines: public, victim: person{as: user1}},
	"a user after a guest":      {lines: public, attacker: person{as: user1}},
	"another state":             {lines: public, victim: person{as: "WS-State: a"}, attacker: person{as: "WS-State: b"}},
	"another channel":           {lines: public, victim: person{as: "WS-Join: a, b"}, attacker: person{as: "WS-Join: a"}},
	"a user named like a state": {lines: public, victim: person{as: "WS-User: x"}, attacker: person{as: "WS-State: x"}},
	"another host":              {lines: public, victim: person{host: "one.example"}, attacker: person{host: "two.example"}},
	"another port in Host":      {lines: public, victim: person{host: "one.example"}, attacker: person{host: "one.example:81"}},
	"another path":              {lines: public, victim: person{path: "/one"}, attacker: person{path: "/two"}},
	"another route":             {lines: public, attacker: person{path: "2"}},
	"another query":             {lines: public, victim: person{path: "?a=1"}, attacker: person{path: "?a=2"}},
	"a query written otherwise": {lines: public, victim: person{path: "?a=%41"}, attacker: person{path: "?a=A"}},
	"another scheme":            {lines: public, attacker: person{header: header("X-Forwarded-Proto", "https")}},
	"another subprotocol":       {lines: public, victim: person{protocols: []string{"v1"}}, attacker: person{protocols: []string{"v2"}}},
	"a binary message":          {lines: public, attacker: person{binary: true}},
	"a byte more":               {lines: public, attacker: person{text: "\n"}},
	"a NUL more":                {lines: public, attacker: person{text: "\nX: y"}},

	"Vary on cookies":           {lines: public + "\nVary: Cookie", victim: person{cookie: "a=1"}, attacker: person{cookie: "a=2"}},
	"Vary without a cookie":     {lines: public + "\nVary: cookie", victim: person{cookie: "a=1"}},
	"Vary on a header":          {lines: public + "\nVary: Accept-Language", victim: person{header: german}, attacker: person{header: french}},
	"Vary on an empty header":   {lines: public + "\nVary: X-Team", attacker: person{header: header("X-Team", "")}},
	"Vary, a forged WS-User":    {lines: public + "\nVary: WS-User", victim: person{as: user1}, attacker: person{as: user2, header: header("WS-User", "1")}},
	"Vary, a forged HTTP name":  {lines: public + "\nVary: X-Team", victim: person{header: header("X-Team", "a")}, attacker: person{header: header("X_Team", "a")}},
	"Vary on two lines":         {lines: public + "\nVary: Origin\nvary: Cookie", victim: person{cookie: "a=1"}, attacker: person{cookie: "a=2"}},
	"Vary on an unknown name":   {lines: public + "\nVary: X_Team"},
	"Vary on what PHP lacks":    {lines: public + "\nVary: Accept-Encoding"},
	"Vary on *":                 {lines: public + "\nVary: *"},
	"a session, limiter public": {lines: "\nsession 180", victim: person{cookie: "PHPSESSID=victim1"}, attacker: person{cookie: "PHPSESSID=another1"}},
	"a session for a minute":    {lines: "\nsession 1", victim: person{cookie: "PHPSESSID=victim2"}, attacker: person{cookie: "PHPSESSID=another2"}},
	"a new session":             {lines: "\nsession 1"},
	"Set-Cookie":                {lines: public + "\nSet-Cookie: a=b"},
	"a login":                   {lines: public + "\nWS-User: 7"},
	"private":                   {lines: "\nCache-Control: private, max-age=60"},
	"private beside public":     {lines: public + ", private"},
	"no-store":                  {lines: public + ", no-store"},
	"max-age twice":             {lines: public + ", max-age=60"},
	"too large a max-age":       {lines: "\nCache-Control: public, max-age=61"},
	"s-maxage 0":                {lines: public + ", s-maxage=0"},
	"no max-age":                {lines: "\nCache-Control: public"},
	"403":                       {lines: public + "\nstatus 403"},
	"204":                       {lines: public + "\nstatus 204"},
	"a byte order mark":         {lines: public + "\nbom"},
	"nothing":                   {lines: public + "\nnothing"},
	"a command":                 {lines: public + "\ncommand"},
	"a stream":                  {lines: public + "\nContent-Type: application/x-ndjson"},
	"a push":                    {lines: public + "\nWS-Publish: channel:none"},
	"too large":                 {},
}

// dialAs connects a person.
func (w *world) dialAs(p person, who string) *stack.Client {
	w.t.Helper()
	h := p.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("X-As", p.as)
	h.Set("X-Who", who)
	return w.dial(p.path, stack.DialOptions{Header: h, Cookie: p.cookie, Host: p.host, Protocols: p.protocols})
}

// tell sends a message of a person and returns what it got before the reply to a second
// one, which is never kept.
func (p person) tell(c *stack.Client, message string) (answers []string) {
	if p.binary {
		c.SendBinary([]byte(message + p.text))
	} else {
		c.Send(message + p.text)
	}
	c.Send("mark")
	for {
		text := string(c.Next().Data)
		if strings.HasPrefix(text, "mark ") {
			return answers
		}
		answers = append(answers, text)
	}
}

func TestAnothersAnswerIsNotToBeHad(t *testing.T) {
	w := sharing(t, setup{
		route: "protocols = [\"v1\", \"v2\"]\nanswer_statuses = [\"403\"]\norigins = [\"*\"]\n",
		options: stack.GatewayOptions{Routes: `
[[route]]
path = "*"
script = "$DIR/ws.php"
params = { TRACE = "$TRACE" }
cache = "1MiB"
`}}, "2.cache", "2.cache-key", "2.cache-vary", "2.cache-vary-unknown", "2.cache-max-age", "2.cache-said", "2.cache-bound")
	for name, a := range attacks {
		t.Run(name, func(t *testing.T) {
			message := name + a.lines
			if name == "too large" {
				message = name + strings.Repeat(" indeed", 6<<10) + public // the answer has all of the first line
			}
			victim := w.dialAs(a.victim, "victim")
			kept := make(map[string]bool)
			for range 3 {
				for _, answer := range a.victim.tell(victim, message) {
					kept[answer] = true
				}
			}
			attacker := w.dialAs(a.attacker, "attacker")
			got := a.attacker.tell(attacker, message)
			asked := 0
			for _, e := range w.trace.Of("message") {
				if e.Var("HTTP_X_WHO") == "attacker" && strings.HasPrefix(string(e.Body), message) {
					asked++
				}
			}
			if a.works {
				if len(got) != 1 || !kept[got[0]] || asked != 0 {
					t.Errorf("got %q and %d runs, want the other's answer", got, asked)
				}
				return
			}
			for _, answer := range got {
				if kept[answer] {
					t.Errorf("got the other's answer %.80q", answer)
				}
			}
			if asked != 1 {
				t.Errorf("PHP ran %d times for the message, want 1", asked)
			}
		})
	}
	stack.Wait(t, "lines that say that max-age is too large, or missing", func() bool { return len(w.LogLines("warn", "answer not kept in the cache", "max-age")) >= 2 })
	w.Logged(t, 1, "warn", "answer not kept in the cache", "set-cookie")
}

func TestOneAnswerForAllNeedsTheRoutesConsent(t *testing.T) {
	w := sharing(t, setup{route: "cache_key = []\n"}, "2.cache-key-all", "5.cache-key")
	stored := w.known("prices" + public)
	equal(t, "a user", askFor(w.dialAs(person{as: user1 + "|WS-State: s|WS-Join: a"}, ""), "prices"+public), stored)
	a, b := w.dialAs(person{as: user1}, ""), w.dialAs(person{as: user2}, "")
	varied := "varied" + public + "\nVary: WS-User"
	askFor(a, varied)
	mine := askFor(a, varied)
	equal(t, "the same user", askFor(a, varied), mine)
	if askFor(b, varied) == mine {
		t.Error("got another user's answer in spite of Vary: WS-User")
	}
}

// A jar changes by Set-Cookie of earlier answers.
func TestTheJarOfTheEventCounts(t *testing.T) {
	w := sharing(t, setup{}, "2.cache-vary")
	message := "jar" + public + "\nVary: Cookie"
	a, b := w.dial("", stack.DialOptions{Cookie: "id=1"}), w.dial("", stack.DialOptions{Cookie: "id=1"})
	askFor(a, message)
	stored := askFor(a, message)
	equal(t, "the same jar", askFor(b, message), stored)
	askFor(b, "login\nSet-Cookie: id=2")
	if askFor(b, message) == stored {
		t.Error("got the answer for the jar before the login")
	}
	askFor(b, "logout\nSet-Cookie: id=1")
	equal(t, "the first jar again", askFor(b, message), stored)
}

func TestAWaiterOfAnotherUserGetsNothing(t *testing.T) {
	w := sharing(t, setup{}, "2.cache-wait", "2.cache-key")
	message := "wait\nuntil gate" + public
	openGate(t, w.dir, "gate")
	a, b := w.dialAs(person{as: user1}, ""), w.dialAs(person{as: user2}, "")
	for range 2 {
		askFor(a, message)
		askFor(b, message)
	}
	if err := os.Remove(filepath.Join(w.dir, "gate")); err != nil {
		t.Fatal(err)
	}
	w.purge(`{"purge":"/ws"}`)
	a.Send(message)
	b.Send(message)
	stack.Wait(t, "both to run", func() bool { return w.asking("miss") == 6 })
	openGate(t, w.dir, "gate")
	if string(a.Next().Data) == string(b.Next().Data) {
		t.Error("two users got one answer")
	}
}

func TestAPurgeDuringARunCounts(t *testing.T) {
	w := sharing(t, setup{}, "4.purge", "4.purge-alone")
	message := "purge\nuntil gate" + public
	openGate(t, w.dir, "gate")
	w.known(message)
	if err := os.Remove(filepath.Join(w.dir, "gate")); err != nil {
		t.Fatal(err)
	}
	w.purge(`{"purge":"/ws"}`)
	before, after := w.open(), w.open()
	before.Send(message)
	stack.Wait(t, "the run", func() bool { return w.asking("miss") == 3 })
	w.purge(`{"purge":"/ws"}`)
	after.Send(message)
	stack.Wait(t, "a run of its own", func() bool { return w.asking("miss") == 4 })
	openGate(t, w.dir, "gate")
	old, fresh := string(before.Next().Data), string(after.Next().Data)
	if old == fresh {
		t.Error("a message after the purge got the answer of a run before it")
	}
	equal(t, "the stored answer", askFor(w.open(), message), fresh)
	for command, want := range map[string]string{
		`{"purge":"/ws","data":1}`:                           "stands alone",
		`{"to":"all","purge":"/ws","data":1,"durable":true}`: "command of its own",
		`{"purge":"ws"}`:                                     "want the path of a route",
		`{"purge":[]}`:                                       "an empty list",
	} {
		if status, body := w.Push(t, command); status != 400 || !strings.Contains(body, want) {
			t.Errorf("%s: got %d %s", command, status, body)
		}
	}
	Row(t, "4.purge-durable")
}

// A client that leaves a channel while PHP runs asks with another key afterwards.
func TestAChangeDuringTheRunIsNotKept(t *testing.T) {
	w := sharing(t, setup{}, "2.cache-change")
	message := "change\nuntil gate" + public
	openGate(t, w.dir, "gate")
	member := person{as: "WS-Join: club"}
	first := w.dialAs(member, "")
	askFor(first, message)
	askFor(first, message)
	if err := os.Remove(filepath.Join(w.dir, "gate")); err != nil {
		t.Fatal(err)
	}
	w.purge(`{"purge":"/ws"}`)
	first.Send(message)
	stack.Wait(t, "the run", func() bool { return w.asking("miss") == 3 })
	w.pushed(`{"to":"channel:club","leave":"club","data":"you are out"}`, 1)
	first.Expect("you are out")
	openGate(t, w.dir, "gate")
	secret := string(first.Next().Data)
	for _, p := range []person{member, {}} {
		if askFor(w.dialAs(p, ""), message) == secret {
			t.Errorf("%+v got the answer to a client that had left meanwhile", p)
		}
	}
}

func TestAReloadEmptiesTheCache(t *testing.T) {
	w := sharing(t, setup{route: "params = { TRACE = \"$TRACE\", TENANT = \"old\" }\n",
		script: strings.Replace(vault, "$answer = array", "$answer = $_SERVER['TENANT'] . ' ' . array", 1)}, "2.cache-reload")
	message := "reload" + public
	before := w.open()
	askFor(before, message)
	stored := askFor(before, message)
	w.Reloaded(t) // the same file
	if got := askFor(before, message); got == stored {
		t.Error("a reload left the cache as it was")
	}
	w.Edit(t, `"old"`, `"new"`)
	w.Reloaded(t)
	old := make(map[string]bool)
	for range 3 { // before any other: it must not fill the cache
		got := askFor(before, message)
		if !strings.HasPrefix(got, "old ") || old[got] {
			t.Errorf("got %q, want a run of its own with the old parameters", got)
		}
		old[got] = true
	}
	after := w.open()
	for range 2 {
		if got := askFor(after, message); !strings.HasPrefix(got, "new ") {
			t.Errorf("got %q, made with the old parameters", got)
		}
	}
	if got := askFor(before, message); !strings.HasPrefix(got, "old ") {
		t.Errorf("a connection from before the reload got %q", got)
	}
	w.Edit(t, `path = "/ws"`, `path = "/moved"`)
	w.Reloaded(t)
	gone := make(map[string]bool)
	for range 3 {
		got := askFor(after, message)
		if gone[got] {
			t.Errorf("got %q twice on a route that is gone", got)
		}
		gone[got] = true
	}
}

func TestAnotherReleaseHasItsOwnAnswers(t *testing.T) {
	w := sharing(t, setup{options: stack.GatewayOptions{Routes: "[[route]]\npath = \"/app\"\nscript = \"$DIR/current/ws.php\"\ncache = \"1MiB\"\n"},
		scripts: map[string]string{"one/ws.php": vault, "two/ws.php": vault}}, "2.cache-key")
	link := func(to string) {
		if err := os.Symlink(to, filepath.Join(w.dir, "next")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(w.dir, "next"), filepath.Join(w.dir, "current")); err != nil {
			t.Fatal(err)
		}
	}
	link("one")
	c := stack.Dial(t, w.URL+"/app", stack.DialOptions{})
	askFor(c, "x"+public)
	stored := askFor(c, "x"+public)
	link("two")
	stack.Wait(t, "the new release", func() bool { return askFor(c, "x"+public) != stored })
}

// A message that runs once runs, though its answer is in the cache, and is not kept.
func TestAMessageThatRunsOnceIsNotAnsweredFromTheCache(t *testing.T) {
	w := sharing(t, setup{redis: true, route: "once = \"4s\"\ntimeout = \"2s\"\n"}, "2.cache-id")
	envelope := func(id string) string {
		if id != "" {
			id = fmt.Sprintf(`"id":%q,`, id)
		}
		return fmt.Sprintf(`{%s"data":"pay\nCache-Control: public, max-age=60"}`, id)
	}
	c := w.dialAs(person{as: user1, protocols: []string{"wsfpm.v1"}}, "")
	c.Next() // the hello
	for _, id := range []string{"k1", "k2", "k3"} {
		askFor(c, envelope(id))
	}
	equal(t, "runs of messages with ids", w.ran("pay"), 3)
	askFor(c, envelope(""))
	stored := askFor(c, envelope(""))
	equal(t, "the stored answer", askFor(c, envelope("")), stored)
	askFor(c, envelope("k4"))
	askFor(c, envelope("k4"))
	equal(t, "runs of all", w.ran("pay"), 6)
}
