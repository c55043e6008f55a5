package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// publish is two programs beside wsfpm that publish through Redis until the
// programme is over.
func (p *programme) publish() {
	var both sync.WaitGroup
	for i := range 2 {
		both.Go(func() { p.publisher(i) })
	}
	both.Wait()
}

// publisher publishes to one address after another. When it cannot know what
// became of a push it goes on under another name: the next might overtake.
func (p *programme) publisher(i int) {
	rng := rand.New(rand.NewPCG(p.verdict.seed, uint64(1000+i)))
	// A retry by the library could publish twice.
	client := redis.NewClient(&redis.Options{Addr: p.world.redis.Addr, PoolSize: 1, MaxRetries: -1, ReadTimeout: 5 * time.Second})
	defer client.Close()
	life := 0
	for !p.over() {
		l := line{fmt.Sprintf("p%d.%d", i, life), p.address(rng)}
		k := p.publications.begin(l, time.Now())
		payload := "P " + l.address + " " + l.publisher + " " + strconv.Itoa(k)
		if rng.IntN(20) == 0 {
			payload += " " + strings.Repeat("x", rng.IntN(8<<10))
		}
		if err := client.Publish(context.Background(), "ws:"+l.address, payload).Err(); err != nil {
			p.count("publish failed")
			life++
			p.rest(100 * time.Millisecond)
			continue
		}
		p.count("published")
		p.publications.taken(l, k, time.Now())
		p.rest(10 * time.Millisecond)
	}
}

// address draws whom a push is for.
func (p *programme) address(rng *rand.Rand) string {
	switch r := rng.IntN(100); {
	case r < 2:
		return "all"
	case r < 25:
		return fmt.Sprint("user:u", rng.IntN(users))
	case r < 40:
		if id := p.ids[rng.IntN(talkers)].Load(); id != nil {
			return "conn:" + *id
		}
	}
	return fmt.Sprint("channel:c", rng.IntN(channels))
}
