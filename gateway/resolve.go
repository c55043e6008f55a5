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
	// resolveEvery is how long resolved paths are believed: a switched link is
	// followed after that time at the latest.
	resolveEvery = 100 * time.Millisecond
	// resolveGrace is how long the last paths go on when the links lead nowhere:
	// not every deploy replaces its link in one step.
	resolveGrace = 5 * time.Second
)

// paths are the two paths of a route that PHP is told, without symbolic links
// unless these could not be resolved. A pair is immutable, and another one as
// soon as the links lead elsewhere.
type paths struct {
	documentRoot string
	base         string // the script, or the folder of the scripts
}

// resolver resolves the symbolic links in a route's paths, as $realpath_root
// of nginx does. PHP's caches know a file by the path that they are given: by
// the path of a link, such as /srv/app/current, PHP would go on with the old
// release after a deploy, until realpath_cache_ttl (120 s) has passed. It is
// safe for concurrent use.
type resolver struct {
	configured paths
	follow     bool // resolve_root

	last atomic.Pointer[resolution]
	mu   sync.Mutex // held while links are looked at
}

// resolution is what a look at the links found.
type resolution struct {
	*paths
	at   time.Time // of the look
	good time.Time // of the last look that led to files
}

// newResolver looks at the links for the first time.
func newResolver(configured paths, follow bool) *resolver {
	r := &resolver{configured: configured, follow: follow}
	r.last.Store(&resolution{paths: &r.configured})
	r.current(time.Now())
	return r
}

// current is where the links lead. It looks at them when the last look is too
// old, which costs some microseconds; else it costs nothing.
func (r *resolver) current(now time.Time) *paths { return r.since(now.Add(-resolveEvery), now) }

// since is where the links led after a moment. Now is the time of a look that
// is needed for it.
func (r *resolver) since(after, now time.Time) *paths {
	last := r.last.Load()
	if !r.follow || last.at.After(after) {
		return last.paths
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if last = r.last.Load(); last.at.After(after) { // another has looked meanwhile
		return last.paths
	}
	next := r.look(last, now)
	r.last.Store(next)
	return next.paths
}

// look resolves the links. The document root comes first and the rest below
// what it resolved to, so that both are of the same release.
func (r *resolver) look(last *resolution, now time.Time) *resolution {
	found, err := r.configured.resolved()
	good := now
	if err != nil {
		good = last.good
		found = r.configured // PHP-FPM may have what this machine has not
	}
	if found == *last.paths || err != nil && now.Sub(good) < resolveGrace {
		return &resolution{last.paths, now, good}
	}
	return &resolution{&found, now, good}
}

// resolved is p without symbolic links.
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

// holds reports whether a script lies in a folder: it is there, and no link in
// it leads out of the folder. A folder that this machine does not have is
// PHP-FPM's alone, as often with tcp: there its own answer decides.
func holds(folder, script string) bool {
	dir, err := os.OpenRoot(folder)
	if err != nil {
		return os.IsNotExist(err)
	}
	defer dir.Close()
	info, err := dir.Stat(script)
	return err == nil && info.Mode().IsRegular()
}

// filename is SCRIPT_FILENAME where the route's links lead to p.
func (c *connection) filename(p *paths) string {
	if c.rt.Root == "" {
		return p.base
	}
	return filepath.Join(p.base, filepath.Base(c.script))
}

// scriptName is SCRIPT_NAME: the script's path below the document root, both as
// configured, so that it does not change with a release.
func scriptName(documentRoot, script string) string {
	below, found := strings.CutPrefix(script, strings.TrimSuffix(documentRoot, "/")+"/")
	if !found {
		below = filepath.Base(script)
	}
	return "/" + below
}
