package gateway

import (
	"runtime/debug"
	"time"
)

// tidy lets pools go that were taken away and are not used any more, and gives
// memory back that handshakes have used. Each leaves about 10 KB
// behind, which Go's collector would come for when the heap has doubled, or
// two minutes later, and return to the system later still. So when many have
// come, and few come now, everything is collected and returned at once.
func (g *Gateway) tidy() {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	var w wave
	for {
		select {
		case <-ticker.C:
			g.letGo()
			if w.over(g.stats.opened.Load()) {
				debug.FreeOSMemory()
			}
		case <-g.stop:
			return
		}
	}
}

// wave tells the end of a time in which many connections came.
type wave struct {
	seen  int64 // connections opened since the start, when it was last asked
	began int64 // the same at the end of the last wave
}

// over is asked at even times and reports whether enough have come since the
// last wave, and less than a twentieth of them since it was last asked.
func (w *wave) over(opened int64) bool {
	const enough = 1000
	fresh, all := opened-w.seen, opened-w.began
	w.seen = opened
	if all < enough || fresh >= all/20 {
		return false
	}
	w.began = opened
	return true
}
