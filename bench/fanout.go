package main

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

// pushSize is the size of a pushed message, in bytes.
const pushSize = 100

// rates are the publications offered in a second: to idle servers, to busy
// ones, and more than any of them can deliver.
func rates() []int { return []int{10, 20, 80, 300} }

// audience is a server with its clients, and what publishes to all of them.
type audience struct {
	name    string
	server  *server
	dial    func(i int) (*webSocket, error)
	publish func(payload string) error
	crowd   *crowd
}

// fanout compares one publication to many clients: wsfpm, the floor of one write
// for each delivery, and a broker.
func fanout(l *lab, r *recorder) error {
	audiences, err := l.audiences()
	if err != nil {
		return err
	}
	for _, a := range audiences {
		if a.crowd, err = newCrowd(); err != nil {
			return err
		}
		defer a.crowd.close()
		if _, err := a.crowd.open(l.o.fans, dialers, a.dial); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	if err := l.rest(); err != nil {
		return err
	}
	for _, rate := range rates() {
		for round := range l.o.rounds {
			for _, a := range audiences {
				if err := a.offer(l, r, rate, round); err != nil {
					return fmt.Errorf("%s, %d a second: %w", a.name, rate, err)
				}
			}
		}
	}
	return nil
}

// audiences starts the servers.
func (l *lab) audiences() ([]*audience, error) {
	gateway, err := l.startGateway(gatewayOptions{name: "wsfpm-fanout"})
	if err != nil {
		return nil, err
	}
	ground, err := l.startFloor("bench:floor")
	if err != nil {
		return nil, err
	}
	redis, err := dialRedis(l.redis.address)
	if err != nil {
		return nil, err
	}
	to := func(channel string) func(string) error {
		return func(payload string) error {
			_, err := redis.publish(channel, payload)
			return err
		}
	}
	list := []*audience{
		{name: "wsfpm", server: gateway, dial: dialMember(gateway), publish: to("ws:channel:site")},
		{name: "floor", server: ground, dial: dialMember(ground), publish: to("bench:floor")},
	}
	if !hasCentrifugo() {
		fmt.Fprintln(os.Stderr, "Centrifugo is left out: it is not installed, see scripts/bench")
		return list, nil
	}
	broker, err := l.startCentrifugo("centrifugo")
	if err != nil {
		return nil, err
	}
	publisher := &httpPublisher{address: broker.address}
	return append(list, &audience{name: "Centrifugo", server: broker, dial: dialSubscriber(broker), publish: publisher.publish}), nil
}

// startFloor runs the floor's server.
func (l *lab) startFloor(channel string) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := l.start("floor", exec.Command(l.self, "floor", "-listen", address, "-redis", l.redis.address, "-channel", channel))
	if err != nil {
		return nil, err
	}
	return &server{process: p, address: address}, p.await("tcp", address)
}

// offer publishes at a rate and waits until all is delivered.
func (a *audience) offer(l *lab, r *recorder, rate, round int) error {
	a.crowd.reset()
	m := newMeter(a.server.pids(), nil)
	m.start()
	published := max(2, int64(l.o.length.Seconds()*float64(rate)))
	for i := range published {
		time.Sleep(time.Until(m.began.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		if err := a.publish(stamped(pushSize)); err != nil {
			return err
		}
	}
	deliveries := published * int64(l.o.fans)
	if err := a.crowd.await(deliveries); err != nil {
		return err
	}
	a.record(r, offered(rate), round, m.stop(), deliveries)
	return nil
}

// offered is the name of a rate's case.
func offered(rate int) string { return fmt.Sprintf("%d a second", rate) }

func (a *audience) record(r *recorder, kase string, round int, u usage, deliveries int64) {
	a.crowd.mu.Lock()
	defer a.crowd.mu.Unlock()
	r.add(kase, a.name, round, values{
		"per_second": float64(deliveries) / u.elapsed.Seconds(),
		"cpu_us":     micros(u.front, deliveries),
		"p50_us":     micros(a.crowd.latency.quantile(0.5), 1),
		"p99_us":     micros(a.crowd.latency.quantile(0.99), 1),
		"max_us":     micros(a.crowd.latency.max, 1),
	})
}
