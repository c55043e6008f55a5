package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// resolveEvery is the lifetime of resolved paths: a changed link takes effect after
	// that time at the latest.
	resolveEvery = 100 * time.Millisecond
	// resolveGrace is how long the last paths are used when the links are broken: not every
	// deploy replaces its link atomically.
	resolveGrace = 5 * time.Second
)

// paths are the two paths of a route that PHP receives, with symbolic links resolved if
// possible. A pair is immutable; changed links produce a new one.
type paths struct {
	documentRoot string
	base         string // the script, or the directory of the scripts
}

// resolver caches the resolved symbolic links of a route's paths, as $realpath_root of
// nginx does. PHP caches files by the path that it receives: with the path of a link, such
// as /srv/app/current, it would run the old release after a deploy until realpath_cache_ttl
// (120 s) is over. It is safe for concurrent use.
type resolver struct {
	configured paths
	follow     bool // resolve_root

	last atomic.Pointer[resolution]
	mu   sync.Mutex // held while links are resolved
}

// resolution is the result of resolving the links.
type resolution struct {
	*paths
	at   time.Time // when it was made
	good time.Time // of the last one without an error
}

// newResolver returns a resolver with resolved paths.
func newResolver(configured paths, follow bool) *resolver {
	r := &resolver{configured: configured, follow: follow}
	r.last.Store(&resolution{paths: &r.configured})
	r.current(time.Now())
	return r
}

// current returns the resolved paths. If the cached ones are older than resolveEvery it
// resolves the links, which takes some microseconds.
func (r *resolver) current(now time.Time) *paths { return r.since(now.Add(-resolveEvery), now) }

// since returns paths resolved after a time; now is the time of a new resolution.
func (r *resolver) since(after, now time.Time) *paths {
	last := r.last.Load()
	if !r.follow || last.at.After(after) {
		return last.paths
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if last = r.last.Load(); last.at.After(after) { // another goroutine was faster
		return last.paths
	}
	next := r.look(last, now)
	r.last.Store(next)
	return next.paths
}

// look resolves the links: the document root first, then the base below the result, so that
// both belong to the same release.
func (r *resolver) look(last *resolution, now time.Time) *resolution {
	found, err := r.configured.resolved()
	good := now
	if err != nil {
		good = last.good
		found = r.configured // the paths may exist on PHP-FPM's machine only
	}
	if found == *last.paths || err != nil && now.Sub(good) < resolveGrace {
		return &resolution{last.paths, now, good}
	}
	return &resolution{&found, now, good}
}

// resolved returns p without symbolic links.
func (p paths) resolved() (real paths, err error) {
	if real.documentRoot, err = filepath.EvalSymlinks(p.documentRoot); err != nil {
		return p, err
	}
	base := p.base
	if below, err := filepath.Rel(p.documentRoot, base); err == nil && filepath.IsLocal(below) {
		base = filepath.Join(real.documentRoot, below)
	}
	real.base, err = filepath.EvalSymlinks(base)
	return real, err
}

// holds reports whether a script is a file in a directory, without a link that leads out of
// it. A missing directory may be on PHP-FPM's machine, as often with TCP: holds returns
// true, and PHP-FPM's answer decides.
func holds(folder, script string) bool {
	dir, err := os.OpenRoot(folder)
	if err != nil {
		return os.IsNotExist(err)
	}
	defer dir.Close()
	info, err := dir.Stat(script)
	return err == nil && info.Mode().IsRegular()
}

// filename returns SCRIPT_FILENAME for the resolved paths p.
func (c *connection) filename(p *paths) string {
	if c.rt.Root == "" {
		return p.base
	}
	return filepath.Join(p.base, filepath.Base(c.script.Value()))
}

// scriptName returns SCRIPT_NAME: the script's path below the document root, both as
// configured, so that a release does not change it.
func scriptName(documentRoot, script string) string {
	below, found := strings.CutPrefix(script, strings.TrimSuffix(documentRoot, "/")+"/")
	if !found {
		below = filepath.Base(script)
	}
	return "/" + below
}
