// Command bench measures wsfpm beside what its users would otherwise pick, on
// this machine, in one run: nginx + Lua, Node and Pushpin as WebSocket servers, nginx
// with PHP-FPM over plain HTTP, a FastCGI client with no WebSocket in front, and
// for delivery Centrifugo and sockets written to without a gateway. Peers take
// turns, round by round, so that a machine whose speed changes is as bad for one
// as for the other.
//
//	go run -C bench .            everything, about 35 minutes
//	go run -C bench . -quick     everything, small, in about a minute
//	go run -C bench . -only echo,fanout -rounds 11
//
// It is a module of its own, so that the product needs nothing that only this
// needs.
//
// The files in reading order:
//
//	main.go       flags, the order of the comparisons
//	lab.go        the servers of a run; servers.go their configurations;
//	              peers.go, centrifugo.go those of others
//	process.go    one server process
//	load.go       messages in a closed loop, or paced; histogram.go
//	stream.go     what the clients share; websocket.go, http.go, fastcgi.go
//	crowd.go      thousands of clients that only listen
//	measure.go    CPU and memory by the kernel's accounting; quartiles
//	echo.go, memory.go, fanout.go, neighbour.go, storm.go, joins.go,
//	proxy.go, secure.go, scale.go
//	              the comparisons; floor.go the fan-out's floor
//	targets.go    what is to be reached
//	report.go     tables, raw data, the README; chart.go the chart
//
// It needs PHP-FPM, nginx and redis-server; wrk and the peers are used if they
// are installed (scripts/bench does that). Everything listens on loopback or in
// a temporary folder.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// options are the flags, and what follows from -quick.
type options struct {
	rounds  int
	quick   bool
	only    string
	profile string // folder for profiles of the gateway, "" none
	results string // folder for the raw data
	chart   string // the chart's file, "" none
	from    string // raw data to report again
	update  bool   // publish: rewrite the figures of README.md and docs/bench.md
	long    bool

	length   time.Duration // of one run of messages
	warmUp   time.Duration // before it
	clients  []int
	idle     int           // connections
	each     int           // connections, to each of several servers
	hold     time.Duration // how long they are held before memory is read
	ping     time.Duration
	messages int // on one connection
	fans     int // sockets of the fan-out
	storm    int // connects
	users    int // of the joins
	proxied  int // connections through nginx
	crowds   int // processes of the long mode
	crowd    int // clients of each
}

// comparison is one table of the report.
type comparison struct {
	name string
	run  func(*lab, *recorder) error
}

func comparisons(o *options) []comparison {
	all := []comparison{
		{"echo", echo},
		{"memory", idleMemory},
		{"growth", growth},
		{"fanout", fanout},
		{"neighbour", neighbour},
		{"storm", storm},
		{"joins", joins},
		{"stored", stored},
		{"proxy", proxied},
	}
	if o.long {
		all = append(all, comparison{"scale", scale})
	}
	return all
}

func main() {
	err := fromRoot()
	if err == nil {
		err = command(os.Args[1:], os.Stdout)
	}
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// fromRoot makes the checkout the working folder: file names in flags are meant
// from there.
func fromRoot() error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	return os.Chdir(root)
}

// command runs the benchmark, or one of the helper processes that it starts
// by its own name.
func command(args []string, out io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "floor":
			return floorMain(args[1:])
		case "crowd":
			return crowdMain(args[1:])
		}
	}
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	if o.from != "" {
		return again(o, out)
	}
	return run(o, out)
}

func parseOptions(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 7, "how often every peer has its turn, at least 5 for a figure to be believed")
	f.BoolVar(&o.quick, "quick", false, "try everything, small, with one round: the figures mean nothing")
	f.StringVar(&o.only, "only", "", "comma list of echo, memory, growth, fanout, neighbour, storm, joins, stored, proxy, scale")
	f.StringVar(&o.profile, "profile", "", "folder for profiles of wsfpm: CPU and allocations at 16 clients, the heap with idle connections")
	f.StringVar(&o.results, "results", "build/bench", "folder for the raw data")
	f.StringVar(&o.chart, "chart", "docs/bench.svg", "file for the chart; empty for none")
	f.BoolVar(&o.update, "update", false, "rewrite the figures of README.md and docs/bench.md, and keep the raw data as bench/results/published.json")
	f.StringVar(&o.from, "from", "", "raw data of an earlier run to report once more, instead of measuring")
	f.BoolVar(&o.long, "long", false, "also 100,000 connections over seven gateways; needs 10 GB of memory")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	o.size()
	return o, o.check()
}

// size sets how much is done.
func (o *options) size() {
	o.length, o.warmUp = 2*time.Second, 300*time.Millisecond
	o.clients = []int{1, 16, 64}
	o.idle, o.each, o.hold, o.ping = 15_000, 3_000, 90*time.Second, 25*time.Second
	o.messages, o.fans, o.storm, o.users, o.proxied = 1_000_000, 2_000, 2_000, 100_000, 4_000
	o.crowds, o.crowd = 7, 14_286
	if o.quick {
		o.rounds = 1
		o.length, o.warmUp = 200*time.Millisecond, 50*time.Millisecond
		o.clients = []int{1, 16}
		o.idle, o.each, o.hold, o.ping = 300, 100, 3500*time.Millisecond, time.Second
		o.messages, o.fans, o.storm, o.users, o.proxied = 100_000, 200, 200, 1_000, 200
		o.crowds, o.crowd = 2, 100
	}
}

func (o *options) check() error {
	if o.rounds < 1 {
		return errors.New("-rounds: at least 1")
	}
	if o.only == "" {
		return nil
	}
	o.long = o.long || slices.Contains(strings.Split(o.only, ","), "scale")
	for _, name := range strings.Split(o.only, ",") {
		if !slices.ContainsFunc(comparisons(o), func(c comparison) bool { return c.name == name }) {
			return fmt.Errorf("-only: no comparison is named %q", name)
		}
	}
	return nil
}

// wants reports whether a comparison was asked for.
func (o *options) wants(name string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), name)
}

// run starts the servers, makes the comparisons one after another and reports.
func run(o *options, out io.Writer) error {
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer l.close()
	defer l.closeOnSignal()()
	r := newRecorder(o, out)
	for _, c := range comparisons(o) {
		if !o.wants(c.name) {
			continue
		}
		if err := c.run(l, r.begin(c.name)); err != nil {
			err = fmt.Errorf("%s: %w (logs of the servers: %s)", c.name, err, l.keep())
			return errors.Join(err, report(o, r, out)) // what there is may have taken long
		}
	}
	return report(o, r, out)
}
