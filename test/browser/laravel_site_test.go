package browser

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// A handler that says no, or has not come to its end when the headers are sent, lets no client in.
func TestLaravelLetsInWhoseHandlerHasEnded(t *testing.T) {
	t.Parallel()
	l := startLaravel(t)
	for say, status := range map[string]int{"false": 403, "streamed": 502} {
		if r := stack.Handshake(t, l.web.Addr, "/ws/closure?say="+say); r.Status != status {
			t.Errorf("%s: got %d, want %d", say, r.Status, status)
		}
	}
}

// Flashed data stays for the next page, also if events run before it.
func TestLaravelKeepsFlashedData(t *testing.T) {
	t.Parallel()
	l := startLaravel(t)
	cookie := l.login(t, "7")
	ann := l.dial(t, cookie)
	stack.HTTP(t, "GET", l.web.URL()+"/save", http.Header{"Cookie": {cookie}})
	ann.ask(`{"subscribe":["shop"]}`, `{"shop":{"status":200}}`)
	ann.ask(`{"leave":"shop"}`, `{"status":200}`)
	for _, want := range []string{"saved", "lost"} {
		if r := stack.HTTP(t, "GET", l.web.URL()+"/saved", http.Header{"Cookie": {cookie}}); r.Body != want {
			t.Errorf("the next page has %d %.200q, want %q", r.Status, r.Body, want)
		}
	}
}

// A client that asks again for a channel after its right has ended is in it no longer.
func TestLaravelEndsARightThatIsAskedForAgain(t *testing.T) {
	t.Parallel()
	l := startLaravel(t)
	flag := filepath.Join(l.dir, "storage/flag")
	writes(t, flag, "")
	ann, bob := l.dial(t, l.login(t, "7")), l.dial(t, l.login(t, "9"))
	bob.ask(`{"subscribe":["private-while.flag"]}`, `{"private-while.flag":{"status":200}}`)
	for _, c := range []*echoClient{ann, bob} {
		c.Send(`{"subscribe":["presence-while.flag"]}`)
		c.Next()
		c.Next()
	}
	ann.Expect(`{"channel":"presence-while.flag","joined":[["user:9",{"id":9}]],"left":[]}`)
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	bob.ask(`{"subscribe":["private-while.flag","presence-while.flag","private-gate"]}`,
		`{"private-while.flag":{"status":403},"presence-while.flag":{"status":403},"private-gate":{"status":403}}`)
	ann.Expect(`{"channel":"presence-while.flag","joined":[],"left":["user:9"]}`)
	for _, channel := range []string{"private-while.flag", "presence-while.flag"} {
		bob.ask(`{"whisper":"typing","channel":"`+channel+`"}`, `{"status":403}`)
		l.redis.Do(t, "PUBLISH", "ws:channel:echo:"+channel, "no longer for Bob")
	}
	bob.ask(`{"leave":"shop"}`, `{"status":200}`)
}

// cachesRoutes does what artisan route:cache does, and finds a route then.
const cachesRoutes = `<?php
require 'vendor/autoload.php';
$app = require 'bootstrap/app.php';
$app->make(Illuminate\Contracts\Console\Kernel::class)->bootstrap();
$routes = $app['router']->getRoutes();
foreach ($routes as $route) {
    $route->prepareForSerialization();
}
file_put_contents('routes.php', '<?php return ' . var_export($routes->compile(), true) . ';');
$app['router']->setCompiledRoutes(require 'routes.php');
foreach (['/ws/echo', '/ws/closure?say=hi'] as $path) {
    $request = Illuminate\Http\Request::create($path, 'GET', [], [], [], ['WS_EVENT' => 'connect', 'WS_CONNECTION' => 'c1']);
    echo $app->make(Illuminate\Contracts\Http\Kernel::class)->handle($request)->getContent(), "\n";
}`

func TestLaravelCachesRoutes(t *testing.T) {
	t.Parallel()
	l := startLaravel(t)
	writes(t, filepath.Join(l.dir, "cache.php"), cachesRoutes)
	run := exec.CommandContext(t.Context(), stack.Tool(t, "php-cli", "php"), "cache.php")
	run.Dir = l.dir
	if out, err := run.CombinedOutput(); err != nil || string(out) != "{\"socket\":\"c1\"}\nhi\n" {
		t.Errorf("%v: %.2000s", err, out)
	}
}

// A list of members whose last disconnect events were lost ends one day.
func TestLaravelListsOfMembersEnd(t *testing.T) {
	t.Parallel()
	l := startLaravel(t)
	ann := l.dial(t, l.login(t, "7"))
	ann.Send(`{"subscribe":["presence-room.1"]}`)
	ann.Next()
	ann.Next()
	for _, key := range []string{"echo:presence-room.1", "of:conn:" + ann.conn} {
		if ttl, err := strconv.Atoi(l.redis.Do(t, "TTL", "ws:members:"+key)); err != nil || ttl < 0 {
			t.Errorf("ws:members:%s has the time to live %d", key, ttl)
		}
	}
}

// The info of one member cannot be so large that no other one gets the list.
func TestLaravelRefusesLargeMembers(t *testing.T) {
	t.Parallel()
	l := startLaravel(t)
	ann, bob := l.dial(t, l.login(t, "7")), l.dial(t, l.login(t, "9"))
	bob.ask(`{"subscribe":["presence-large.1"]}`, `{"presence-large.1":{"status":500}}`)
	ann.Send(`{"subscribe":["presence-large.1"]}`)
	if got := string(ann.Next().Data) + string(ann.Next().Data); !strings.Contains(got, `{"presence-large.1":{"status":200}}`) || !strings.Contains(got, `"here":[["user:7",`) {
		t.Errorf("got %.300s", got)
	}
}

// A login by Laravel's "remember me" stays in the session that it begins: the events after it are no further logins.
func TestLaravelRemembersALogin(t *testing.T) {
	t.Parallel()
	l := startLaravel(t)
	var remembered string
	for _, cookie := range strings.Split(l.login(t, "7&remember=1"), "; ") {
		if strings.HasPrefix(cookie, "remember_") {
			remembered = cookie
		}
	}
	c := stack.Dial(t, "ws://"+l.web.Addr+"/ws/chat", stack.DialOptions{Cookie: remembered, Host: l.web.Addr})
	c.Expect(`{"hello":7}`)
	var session string
	for _, cookie := range c.Response.Cookies() {
		if cookie.Name == "laravel_session" {
			session = cookie.Name + "=" + cookie.Value
		}
	}
	if r := stack.HTTP(t, "GET", l.web.URL()+"/who", http.Header{"Cookie": {session}}); r.Body != "7 0" {
		t.Errorf("the next page has %d %.200q, want the user", r.Status, r.Body)
	}
}

// broadcasts is a worker, as of a queue, that broadcasts something for each line of its input.
const broadcasts = `<?php
require 'vendor/autoload.php';
$app = require 'bootstrap/app.php';
$app->make(Illuminate\Contracts\Console\Kernel::class)->bootstrap();
while (fgets(STDIN) !== false) {
    try {
        $app->make(Illuminate\Contracts\Broadcasting\Factory::class)->connection('wsfpm')->broadcast(['shop'], 'sold', []);
        echo "sent\n";
    } catch (Illuminate\Broadcasting\BroadcastException) {
        echo "failed\n";
    }
}`

func TestLaravelWorkersOutliveRedis(t *testing.T) {
	t.Parallel()
	l := startLaravel(t)
	writes(t, filepath.Join(l.dir, "worker.php"), broadcasts)
	run := exec.CommandContext(t.Context(), stack.Tool(t, "php-cli", "php"), "worker.php")
	run.Dir = l.dir
	worker := stack.StartDialogue(t, run)
	wants := func(want string) {
		t.Helper()
		if got, err := worker.Ask("go"); got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	wants("sent")
	l.redis.Kill()
	wants("failed")
	wants("failed")
	l.redis.Start(t)
	wants("sent")
}
