package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"wsfpm/gateway"
	"wsfpm/gateway/config"
	"wsfpm/gateway/redisurl"
)

// Options say what is looked at, and from where.
type Options struct {
	// URL is that of a socket, ws:// or wss://, as a page of the site has it.
	URL string
	// CA is a PEM file with the certificates of a private CA; empty: the system's.
	CA string
	// Connect maps ports of the URL's host, and 80, to addresses that are dialed instead,
	// HOST:PORT: a machine behind a load balancer, or before DNS is changed.
	Connect map[string]string
	// Proxy is the proxy whose directives are printed; empty: as its answers name it.
	Proxy string
	// Silence is how long a silent socket must stay open; 0: see [silence].
	Silence time.Duration
	// Config is the gateway's configuration; nil: it is not on this machine.
	Config *config.Config
	// Ask sends a request to the control socket of Config. Required with Config.
	Ask func(ctx context.Context, method, path string) (*http.Response, error)
	// Probe is the script that reports the settings of PHP; empty: as it is installed.
	Probe string
	// Looks are further checks of the inside.
	Looks []Look
}

// Status is the outcome of a check.
type Status string

// The outcomes.
const (
	OK      Status = "ok"
	NotRun  Status = "not run" // neither good nor bad: the text says why
	Warning Status = "warning"
	Fault   Status = "fault"
)

// Result is the outcome of one check.
type Result struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Text   string `json:"text"`           // what was seen; it may have bytes of others
	Cure   string `json:"cure,omitempty"` // what to change, lines to paste
}

// check is one check.
type check struct {
	name string
	// run looks at one thing, and may find several.
	run func(ctx context.Context, v *visit) []finding
	// cures has what to change, by the finding's problem.
	cures map[string]cure
}

// finding is what a check has found.
type finding struct {
	status  Status
	problem string // the key of check.cures
	text    string
}

func ok(format string, args ...any) finding {
	return finding{status: OK, text: fmt.Sprintf(format, args...)}
}
func notRun(format string, args ...any) finding {
	return finding{status: NotRun, text: fmt.Sprintf(format, args...)}
}
func warning(problem, format string, args ...any) finding {
	return finding{Warning, problem, fmt.Sprintf(format, args...)}
}
func fault(problem, format string, args ...any) finding {
	return finding{Fault, problem, fmt.Sprintf(format, args...)}
}

// visit is one run of all checks, in their order; each may use what those before have seen.
type visit struct {
	Options
	url   *url.URL
	roots *x509.CertPool
	proxy proxy // as its answers name it, or as the options do

	unverified bool   // the certificate is not valid: the other checks go on without it
	stopped    string // why no handshake can reach the gateway; empty: one has
	refused    bool   // the gateway refuses the site's own origin
	anyPage    bool   // the gateway lets pages of any origin in

	mirror  *gateway.Selftest // nil: there was no self-test
	socket  *socket           // of the self-test
	silence <-chan finding    // of a second one
	limit   int64             // {limit} in a cure
}

// secure reports whether the URL is one of TLS.
func (v *visit) secure() bool { return v.url.Scheme == "wss" }

// Run runs all checks, one after the other. An error means that the options are wrong.
func Run(ctx context.Context, o Options) ([]Result, error) {
	v, err := open(o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if v.socket != nil {
			v.socket.close()
		}
	}()
	var results []Result
	for _, c := range v.checks() {
		for _, found := range c.run(ctx, v) {
			results = append(results, Result{Check: c.name, Status: found.status, Text: redisurl.Redact(found.text), Cure: v.fill(c.cures[found.problem])})
		}
	}
	return results, nil
}

// checks are all checks, in their order.
func (v *visit) checks() []check {
	all := []check{
		{"dns", one(lookUp), nil},
		{"tls", reached(handshakeTLS), tlsCures},
		{"redirect", reached(redirect), redirectCures},
		{"upgrade", reached(upgrade), upgradeCures},
		{"self-test", reached(selftest), selftestCures},
		{"messages", one(messages), nil},
		{"host", mirrored(host), originCures},
		{"origin", reached(origin), originCures},
		{"scheme", reached(scheme), schemeCures},
		{"client address", mirrored(clientAddress), addressCures},
		{"cookies", mirrored(carried), carriedCures},
		{"compression", mirrored(compression), compressionCures},
	}
	for _, l := range v.Looks {
		all = append(all, look(l))
	}
	return append(all,
		check{"php", php, phpCures()},
		check{"workers", workers, workersCures},
		check{"redis server", redisServer, redisCures},
		check{"system", system, systemCures},
		check{"silence", one(silence), silenceCures}) // it has begun with the self-test
}

// one is a check that finds one thing.
func one(run func(context.Context, *visit) finding) func(context.Context, *visit) []finding {
	return func(ctx context.Context, v *visit) []finding { return []finding{run(ctx, v)} }
}

// reached is a check that does not run when an earlier one has found that nothing can answer.
func reached(run func(context.Context, *visit) finding) func(context.Context, *visit) []finding {
	return one(func(ctx context.Context, v *visit) finding {
		if v.stopped != "" {
			return notRun("%s", v.stopped)
		}
		return run(ctx, v)
	})
}

// mirrored is a check of what PHP is told, which only a self-test shows.
func mirrored(run func(m *gateway.Selftest, v *visit) finding) func(context.Context, *visit) []finding {
	return one(func(_ context.Context, v *visit) finding {
		if v.mirror == nil {
			return notRun("only a self-test shows it")
		}
		return run(v.mirror, v)
	})
}

// needsConfig is why a check of the inside does not run.
const needsConfig = "it needs --config, on the gateway's machine"

// open checks the options.
func open(o Options) (*visit, error) {
	v := &visit{Options: o, proxy: proxy(o.Proxy)}
	var err error
	if v.url, err = url.Parse(o.URL); err != nil {
		return nil, err
	}
	v.url.Scheme = strings.Replace(v.url.Scheme, "http", "ws", 1)
	if v.url.Scheme != "ws" && v.url.Scheme != "wss" || v.url.Hostname() == "" || v.url.User != nil || v.url.Fragment != "" {
		return nil, fmt.Errorf("%q is not the URL of a socket: write one as the page has it, such as wss://example.com/ws/chat", o.URL)
	}
	if v.url.Path == "" {
		v.url.Path = "/"
	}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		v.roots = x509.NewCertPool()
		if !v.roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("--ca: the file has no certificate in PEM form")
		}
	}
	return v, nil
}
