package gateway

import (
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"wsfpm/session"
)

const (
	// resyncWait is the time between two looks whether Redis works again, and how long the
	// first one waits for further losses.
	resyncWait = time.Second
	// resyncPace is the time between two closes, unless Config.Drain is too short for it.
	resyncPace = 10 * time.Millisecond
)

// lostFrame counts a frame of s that was not published to an address: s and the address's
// clients here have to synchronise again.
func (g *Gateway) lostFrame(s *session.Session, to session.Address) {
	g.stats.frames[frameLost].Add(1)
	if g.hub.Behind(s, to) {
		g.wakeResync()
	}
}

// missedFrames records that this process may have missed frames of other processes.
func (g *Gateway) missedFrames() {
	g.hub.AllBehind()
	g.wakeResync()
}

func (g *Gateway) wakeResync() {
	select {
	case g.behind <- struct{}{}:
	default:
	}
}

// resync closes the clients of which relayed frames were lost, or for which, with 1012, once
// Redis works again: then they come back, and synchronise with each other. It ends with the
// gateway.
func (g *Gateway) resync() {
	for {
		select {
		case <-g.behind:
		case <-g.stop:
			return
		}
		if !g.pause(resyncWait) {
			return
		}
		for g.bus.Ready() != nil {
			if !g.pause(resyncWait) {
				return
			}
		}
		if !g.closeBehind(g.hub.TakeBehind()) {
			return
		}
	}
}

// closeBehind closes clients in random order, spread over a time. It returns false when the
// gateway ends.
func (g *Gateway) closeBehind(list []*session.Session) bool {
	if len(list) == 0 {
		return true
	}
	g.log.Warn("relayed frames were lost: clients are closed with 1012, and synchronise again", zap.Int("connections", len(list)))
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	pace := min(resyncPace, time.Duration(g.settings.Load().Config.Drain)/time.Duration(len(list)))
	for _, s := range list {
		s.Close(closeBehind)
		g.stats.resynced.Add(1)
		if !g.pause(pace) {
			return false
		}
	}
	return true
}

// pause waits, and returns false when the gateway ends.
func (g *Gateway) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-g.stop:
		return false
	}
}
