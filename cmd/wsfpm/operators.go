package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"wsfpm/cmd/wsfpm/doctor"
	"wsfpm/gateway/admin"
	"wsfpm/gateway/config"
	"wsfpm/gateway/live"
)

// controlSockets is the limit of open connections to the control socket.
const controlSockets = 16

// operators are the listeners for operators; nil: off.
type operators struct {
	admin, control net.Listener
}

// openOperators opens the listeners that are configured, both or none.
func openOperators(ctx context.Context, cfg *config.Config, log *zap.Logger) (o operators, err error) {
	private := *cfg
	private.ListenMode, private.ListenGroup = 0o600, ""
	for _, each := range []struct {
		key, address string
		rights       *config.Config
		to           *net.Listener
	}{
		{"admin", cfg.Admin, cfg, &o.admin},
		{"control", cfg.Control, &private, &o.control},
	} {
		if each.address == "" {
			continue
		}
		var err error
		if file, isUnix := strings.CutPrefix(each.address, "unix:"); isUnix {
			*each.to, err = listenAlone(ctx, file, each.rights, log)
		} else {
			*each.to, err = new(net.ListenConfig).Listen(ctx, "tcp", each.address)
		}
		if err != nil {
			o.close()
			return operators{}, fmt.Errorf("%s: listen on %s: %w", each.key, each.address, err)
		}
	}
	return o, nil
}

func (o operators) close() {
	for _, l := range []net.Listener{o.admin, o.control} {
		if l != nil {
			_ = l.Close() // nothing was accepted yet
		}
	}
}

// serveOperators serves the listeners for operators.
func (s *server) serveOperators(cfg *config.Config, o operators) {
	options := adminOptions(cfg, s)
	if o.admin != nil {
		s.admin = adminServer(cfg, s, options)
		s.accept(s.admin, o.admin)
	}
	if o.control != nil {
		s.control = controlServer(cfg, s, options)
		s.accept(s.control, admin.Peers(o.control, s.log))
	}
}

// adminOptions returns what the admin listener shows; the control socket shows some of it.
func adminOptions(cfg *config.Config, s *server) admin.Options {
	o := admin.Options{
		Gateway:       reachable{s.gateway, s.clients},
		Feed:          live.NewFeed(s.gateway.Observe),
		Sessions:      new(admin.Sessions),
		Bus:           s.bus.Stats,
		Store:         s.gateway.Store,
		Token:         cfg.AdminToken,
		Private:       strings.HasPrefix(cfg.Admin, "unix:"),
		Hosts:         adminHosts(cfg),
		Sockets:       &admin.Sockets{Most: s.files.admin()},
		Version:       readVersion().version,
		Logger:        s.log,
		ConfigRefused: s.refused.Load,
		LogDropped:    s.dropped,
	}
	if s.durable != nil {
		o.Log = s.durable.Stats
	}
	return o
}

// adminServer returns the server of the admin listener.
func adminServer(cfg *config.Config, s *server, o admin.Options) *http.Server {
	server := newServer(cfg, admin.New(o), s.log)
	server.ConnState = o.Sockets.State
	return server
}

// adminHosts returns the host names of the admin listener.
func adminHosts(cfg *config.Config) []string {
	host, _, err := net.SplitHostPort(cfg.Admin)
	if err != nil {
		return cfg.AdminHosts // a unix socket has no name
	}
	return append([]string{strings.ToLower(host)}, cfg.AdminHosts...)
}

// controlServer returns the server of the control socket.
func controlServer(cfg *config.Config, s *server, o admin.Options) *http.Server {
	control := admin.NewControl(s.gateway, s.log)
	control.Show(o)
	control.HandleFunc("POST "+doctor.SelftestPath, func(w http.ResponseWriter, r *http.Request) {
		control.Audit(r, "arm a self-test", "one socket")
		token, err := s.gateway.ArmSelftest(r.URL.Query().Has("silent"))
		if err != nil {
			admin.Problem(w, http.StatusTooManyRequests, err.Error())
			return
		}
		_, _ = io.WriteString(w, token) // the peer may have left
	})
	control.Record(o.Feed, s.gateway.Recordable)
	server := newServer(cfg, control, s.log)
	server.ConnContext, server.ConnState = admin.PeerContext, (&admin.Sockets{Most: controlSockets}).State
	return server
}
