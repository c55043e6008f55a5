package fpm

import (
	"fmt"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// streamPHP sends lines until it is stopped: "stream NAME MILLISECONDS" is
// for ever, with that pause; "silent NAME" says one line and then waits at the
// gate. How far it came stands in the file NAME; NAME-end is there when PHP
// has ended the script.
var streamPHP = map[string]string{"stream.php": `
	if ($_SERVER['WS_EVENT'] !== 'message') exit;
	[$do, $name, $pause] = explode(' ', file_get_contents('php://input')) + [2 => 0];
	if ($do === 'say') exit($name);
	register_shutdown_function(fn () => file_put_contents(__DIR__ . "/$name-end", connection_aborted() ? 'aborted' : 'ended'));
	header('Content-Type: application/x-ndjson');
	for ($i = 0; $i < 100000; $i++) {
		file_put_contents(__DIR__ . "/$name", "$i");
		echo "$name $i\n";
		while (ob_get_level()) ob_end_flush();
		flush();
		while ($do === 'silent' && !file_exists(__DIR__ . "/gate-$name")) {
			usleep(1000);
			clearstatcache();
		}
		usleep(1000 * (int) $pause);
	}`}

func startStreams(t *testing.T, pool, route string, rows ...string) *world {
	t.Helper()
	fpm := stack.FPM(t, stack.FPMOptions{})
	return start(t, setup{fpm: fpm, pool: pool, route: route, scripts: streamPHP}, rows...)
}

// stream connects and asks for a stream, of which it takes the first line.
func (w *world) stream(name, ask string) *stack.Client {
	w.t.Helper()
	c := stack.Dial(w.t, w.URL+"/stream.php", stack.DialOptions{})
	c.Send(ask)
	c.Expect(name + " 0")
	return c
}

func TestPHPStopsWhenAStreamsClientLeaves(t *testing.T) {
	w := startStreams(t, own(4), "", "2.stream-gone")
	ways := map[string]func(*stack.Client){
		"cut":     func(c *stack.Client) { c.Cut() },
		"goodbye": func(c *stack.Client) { c.Close(1000, "") },
	}
	for name, leaves := range ways {
		c := w.stream(name, "stream "+name+" 5")
		leaves(c)
		stack.Wait(t, "PHP to end the script", func() bool { return w.read(name+"-end") != "" })
		equal(t, "how it ended", w.read(name+"-end"), "aborted")
	}
	stack.Wait(t, "the workers to be free", func() bool { return w.inUse() == 0 })
	equal(t, "wsfpm_fpm_settling", w.Metric(t, "wsfpm_fpm_settling"), 0)
}

func TestStreamsLeaveWorkersToOtherEvents(t *testing.T) {
	w := startStreams(t, own(4)+"max_streams = 2\n", "", "2.max-streams")
	first, second := w.stream("a", "stream a 20"), w.stream("b", "stream b 20")
	third := stack.Dial(t, w.URL+"/stream.php", stack.DialOptions{})
	for i := range 3 {
		third.Send(fmt.Sprintf("stream c%d 20", i))
		third.Expect(sorry)
		third.Send("say hello")
		third.Expect("hello")
		name := fmt.Sprintf("c%d-end", i)
		stack.Wait(t, "PHP to end the refused stream", func() bool { return w.read(name) == "aborted" })
	}
	first.Cut()
	second.Close(1000, "")
	stack.Wait(t, "the streams to end", func() bool { return w.read("a-end") != "" && w.read("b-end") != "" })
	// The place is given back by the gateway's own bookkeeping, just after.
	stack.Wait(t, "a place for a stream", func() bool {
		third.Send("stream d 20")
		return string(third.Next().Data) == "d 0"
	})
}

func TestAStreamsSilenceEndsIt(t *testing.T) {
	w := startStreams(t, own(4), `timeout = "1s"`, "2.stream-timeout", "2.stream-cut")
	c := w.stream("quiet", "silent quiet")
	c.Expect(sorry)
	c.Send("say on")
	c.Expect("on")
	w.open("quiet")
	stack.Wait(t, "PHP to stop at its next flush", func() bool { return w.read("quiet-end") != "" })
	equal(t, "how it ended", w.read("quiet-end"), "aborted")
	equal(t, "lines after the gate", w.read("quiet") < "3", true)
	long := w.stream("long", "stream long 60")
	for i := 1; i <= 50; i++ { // three times the timeout in all, never silent so long
		long.Expect(fmt.Sprint("long ", i))
	}
}

func TestAStreamsTimeEnds(t *testing.T) {
	w := startStreams(t, own(4), "timeout = \"5s\"\nstream_timeout = \"500ms\"", "2.stream-timeout")
	began := time.Now()
	c := w.stream("long", "stream long 20")
	lines := 1
	for string(c.Next().Data) != sorry {
		lines++
	}
	if took := time.Since(began); took < 450*time.Millisecond || took > stack.Bound(4*time.Second) {
		t.Errorf("the stream ended after %v and %d lines, want about 500ms", took, lines)
	}
	stack.Wait(t, "PHP to end the script", func() bool { return w.read("long-end") != "" })
	c.Send("say on")
	c.Expect("on")
}
