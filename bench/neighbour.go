package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// siteClients ask for pages, each every pageEvery: 200 requests a second.
	siteClients = 4
	pageEvery   = 20 * time.Millisecond
	// crowdedBy is how many clients send messages meanwhile, to wsfpm or to
	// the second nginx.
	crowdedBy = 64
	// spared is how many of the eight workers wsfpm leaves to the site.
	spared = 2
)

// pageText is what page.php answers.
func pageText() []byte { return []byte(strings.Repeat("page ", 400)) }

// neighbour looks at a site whose PHP-FPM pool is shared: with wsfpm, or with
// another nginx that brings as many messages, or as many clients.
func neighbour(l *lab, r *recorder) error {
	site, err := l.startNginx(nginxOptions{name: "nginx-site"})
	if err != nil {
		return err
	}
	second, err := l.startNginx(nginxOptions{name: "nginx-second"})
	if err != nil {
		return err
	}
	gateway, err := l.startGateway(gatewayOptions{name: "wsfpm-neighbour", workers: workers - spared})
	if err != nil {
		return err
	}
	toGateway := overWebSocket("beside wsfpm", gateway, "/work")
	toNginx := overHTTP("beside nginx", second, "/work.php")
	for round := range l.o.rounds {
		rate, err := l.beside(r, site, toGateway, "as many messages", load{}, round)
		if err != nil {
			return err
		}
		paced := load{every: time.Duration(crowdedBy / rate * float64(time.Second))}
		if _, err := l.beside(r, site, toNginx, "as many messages", paced, round); err != nil {
			return err
		}
		if _, err := l.beside(r, site, toNginx, "as many clients", load{}, round); err != nil {
			return err
		}
	}
	return nil
}

// beside measures the site's pages while a load runs on the same pool, and
// right after it. It returns the messages of the load in a second.
func (l *lab) beside(r *recorder, site *server, p peer, kase string, by load, round int) (rate float64, err error) {
	if err := l.rest(); err != nil {
		return 0, err
	}
	messages, err := p.open(crowdedBy)
	if err != nil {
		return 0, err
	}
	defer closeAll(messages)
	pages, err := openAll(siteClients, func(int) (client, error) { return dialHTTP(site.address, "/page.php", nil, pageText()) })
	if err != nil {
		return 0, err
	}
	defer closeAll(pages)

	by.warmUp, by.length = l.o.warmUp, l.o.length
	during := load{warmUp: l.o.warmUp, length: l.o.length, every: pageEvery}
	var loaded, shown *outcome
	var loadErr, pageErr error
	var running sync.WaitGroup
	running.Go(func() { loaded, loadErr = by.run(messages, newMeter(p.front.pids(), nil)) })
	running.Go(func() { shown, pageErr = during.run(pages, newMeter(nil, nil)) })
	running.Wait()
	after, afterErr := load{length: l.o.length, every: pageEvery}.run(pages, newMeter(nil, nil))
	for _, err := range []error{loadErr, pageErr, afterErr} {
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	r.add(kase, p.name, round, values{
		"load_per_second": loaded.perSecond(),
		"load_p99_us":     micros(loaded.latency.quantile(0.99), 1),
		"p50_us":          micros(shown.latency.quantile(0.5), 1),
		"p99_us":          micros(shown.latency.quantile(0.99), 1),
		"max_us":          micros(shown.latency.max, 1),
		"after_p99_us":    micros(after.latency.quantile(0.99), 1),
		"after_max_us":    micros(after.latency.max, 1),
	})
	return loaded.perSecond(), nil
}
