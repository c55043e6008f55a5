package admin

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"wsfpm/fcgi"
	"wsfpm/gateway"
	"wsfpm/gateway/bus"
	"wsfpm/gateway/ws"
)

// collector turns the counters of the other packages into metrics when they
// are asked for. Labels come from fixed sets and from the configuration only.
type collector struct {
	options Options
}

func newCollector(o Options) *collector { return &collector{o} }

// Describe leaves the collector unchecked: what it sends depends on the
// configured pools.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all metrics.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	m := metrics{out}
	s := c.options.Gateway.Stats()
	m.gauge("wsfpm_build_info", "The program's version; always 1.", 1, "version", c.options.Version, "node", s.Node)
	m.gauge("wsfpm_ready", "1 when /ready is green.", flag(c.options.Gateway.Ready() == nil))
	m.gauge("wsfpm_config_current", "0 when the last reload was refused: an older configuration is in force.", flag(!c.options.ConfigRefused()))
	m.counter("wsfpm_log_lines_dropped_total", "Log lines that were never written: the reader of the log was too slow or had gone.", float64(c.options.LogDropped()))
	if c.options.Sockets != nil {
		m.gauge("wsfpm_admin_sockets", "Open connections of operators.", float64(c.options.Sockets.open.Load()))
	}
	m.clients(s)
	m.events(s)
	m.socket(s.Socket)
	for name, p := range s.Pools {
		m.pool(name, p, s.Streams[name], s.StreamsRefused[name], s.Failovers[name])
	}
	if c.options.Bus != nil {
		m.bus(c.options.Bus())
	}
}

// metrics writes metrics; labels come as name, value, name, value …
type metrics struct{ out chan<- prometheus.Metric }

func (m metrics) gauge(name, help string, v float64, labels ...string) {
	m.send(prometheus.GaugeValue, name, help, v, labels)
}

func (m metrics) counter(name, help string, v float64, labels ...string) {
	m.send(prometheus.CounterValue, name, help, v, labels)
}

func (m metrics) send(kind prometheus.ValueType, name, help string, v float64, labels []string) {
	names, values := split(labels)
	m.out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, v, values...)
}

func split(labels []string) (names, values []string) {
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	return names, values
}

func (m metrics) clients(s gateway.Stats) {
	m.gauge("wsfpm_connections", "Clients connected now.", float64(s.Connections))
	m.gauge("wsfpm_draining", "1 while the process drains.", flag(s.Draining))
	for state, n := range map[string]int{"reading": s.Sockets.Reading, "answering": s.Sockets.Answering, "websocket": s.Sockets.WebSocket} {
		m.gauge("wsfpm_sockets", "Open sockets of clients, by what they wait for.", float64(n), "state", state)
	}
	m.gauge("wsfpm_sockets_limit", "Sockets of clients that may be open at most; 0: any number.", float64(s.Sockets.Most))
	m.counter("wsfpm_connections_opened_total", "Upgraded handshakes.", float64(s.Opened))
	for r, n := range s.Refusals {
		m.counter("wsfpm_handshakes_refused_total", "Refused handshakes by status and reason.", float64(n), "status", strconv.Itoa(r.Status), "reason", r.Reason)
	}
	for reason, n := range map[string]int64{"late": s.Late, "broken": s.Broken, "tls": s.TLS} {
		m.counter("wsfpm_handshakes_unread_total", "Connections that ended before a whole handshake had come, by reason.", float64(n), "reason", reason)
	}
	for code, n := range s.Closes {
		m.counter("wsfpm_connections_closed_total", "Ended connections by close code; 3000 stands for all of an application's own.", float64(n), "code", strconv.Itoa(code))
	}
	for limit, n := range s.Limits {
		m.counter("wsfpm_limits_reached_total", "Times that a limit on clients was reached, by its key in the configuration.", float64(n), "limit", limit)
	}
	m.counter("wsfpm_messages_dropped_total", "Messages that waited for PHP when their connection broke.", float64(s.Dropped))
	m.counter("wsfpm_deliveries_total", "Pushes and commands handed to clients, per client.", float64(s.Delivered))
	m.counter("wsfpm_redis_stalls_total", "Times that Redis was not read because deliveries were behind.", float64(s.Delivery.Stalls))
	m.gauge("wsfpm_redis_waiting_bytes", "Pushes received that wait for delivery.", float64(s.Delivery.Bytes))
	m.counter("wsfpm_publish_failed_total", "Pushes of scripts and of POST /push that Redis did not take.", float64(s.PublishFailed))
	m.counter("wsfpm_joins_unconfirmed_total", "Replies that went out before Redis had confirmed their subscriptions.", float64(s.JoinsUnconfirmed))
	m.counter("wsfpm_disconnects_lost_total", "Disconnect events that PHP never got.", float64(s.DisconnectsLost))
	for name, n := range s.Disconnects {
		m.gauge("wsfpm_disconnects_waiting", "Disconnect events that wait for PHP or run.", float64(n), "fpm", name)
	}
	m.counter("wsfpm_panics_total", "Bugs that one connection met and the others survived.", float64(s.Panics))
	m.gauge("wsfpm_outbound_bytes", "What waits for clients that do not keep up; a push that many wait for counts once.", float64(s.OutboundBytes))
	m.gauge("wsfpm_inbound_bytes", "Messages being received or waiting for PHP.", float64(s.InboundBytes))
}

func (m metrics) events(s gateway.Stats) {
	desc := prometheus.NewDesc("wsfpm_event_duration_seconds",
		"Events by kind and outcome, from the wait for a PHP worker to the end of the answer.", []string{"event", "outcome"}, nil)
	for _, e := range s.Events {
		m.out <- prometheus.MustNewConstHistogram(desc, e.Count, e.Sum, e.Buckets, e.Kind, e.Outcome)
	}
}

func (m metrics) socket(s ws.Snapshot) {
	for direction, n := range map[string]int64{"in": s.MessagesIn, "out": s.MessagesOut} {
		m.counter("wsfpm_messages_total", "WebSocket messages by direction.", float64(n), "direction", direction)
	}
	for direction, n := range map[string]int64{"in": s.BytesIn, "out": s.BytesOut} {
		m.counter("wsfpm_message_bytes_total", "Bytes on the clients' sockets by direction, frame headers included.", float64(n), "direction", direction)
	}
	m.counter("wsfpm_messages_evicted_total", "Messages without progress whose memory others needed; their clients were closed with 1013.", float64(s.MessagesEvicted))
	m.counter("wsfpm_slow_readers_total", "Clients closed with 4408.", float64(s.SlowReaders))
	m.counter("wsfpm_pings_total", "Pings sent.", float64(s.PingsSent))
	m.counter("wsfpm_pongs_missed_total", "Clients lost because they did not answer a ping.", float64(s.PongsMissed))
}

func (m metrics) pool(name string, p fcgi.Stats, streams, streamsRefused int, failovers int64) {
	gauge := func(metric, help string, v float64) { m.gauge("wsfpm_fpm_"+metric, help, v, "fpm", name) }
	counter := func(metric, help string, v uint64) { m.counter("wsfpm_fpm_"+metric, help, float64(v), "fpm", name) }
	gauge("in_use", "Workers that run a script for somebody.", float64(p.Running))
	gauge("settling", "Workers that run on after their answer or their timeout.", float64(p.Settling))
	gauge("idle", "Kept connections, each of which holds a worker.", float64(p.Idle))
	gauge("limit", "Workers that are used at most now.", float64(p.Limit))
	gauge("max_connections", "Workers that may be used by configuration.", float64(p.Config))
	gauge("streams", "Streamed answers running.", float64(streams))
	gauge("up", "0 while PHP-FPM cannot be reached.", flag(!p.Down))
	for lane, n := range p.Waiting {
		m.gauge("wsfpm_fpm_waiting", "Events that wait for a worker.", float64(n), "fpm", name, "event", lanes[lane])
	}
	for failure, n := range p.Failures {
		m.counter("wsfpm_fpm_failures_total", "Failed requests by phase and reason.", float64(n), "fpm", name, "phase", failure.Phase.String(), "reason", failure.Reason)
	}
	m.counter("wsfpm_fpm_wait_seconds_total", "Time that events have waited for a worker.", p.WaitSum.Seconds(), "fpm", name)
	counter("waits_total", "Events that had to wait for a worker.", p.Waited)
	counter("completed_total", "Answers read to their proven end.", p.Completed)
	counter("dials_total", "Connections made.", p.Dials)
	counter("dial_errors_total", "Connections that could not be made.", p.DialErrors)
	counter("reuses_total", "Requests on a kept connection.", p.Reuses)
	counter("recycles_total", "Kept connections that PHP-FPM closed.", p.Recycles)
	counter("retries_total", "Requests sent again, of which nothing had left.", p.Retries)
	counter("settled_total", "Workers that ran on after their answer or their timeout.", p.Settled)
	counter("settle_timeouts_total", "Of these, given up while the script ran on.", p.SettleTimeouts)
	counter("stalls_total", "Requests that no worker read for 50 ms.", p.Stalls)
	counter("shed_total", "Events refused because the queue was full or too slow.", p.Overloads)
	counter("passed_over_total", "Events that later ones went before, because their user or address had its share of the pool.", p.PassedOver)
	counter("failovers_total", "Events that the pool did not take and that went on to the route's next pool.", uint64(failovers))
	counter("streams_refused_total", "Streamed answers beyond max_streams.", uint64(streamsRefused))
	counter("stderr_bytes_total", "What scripts wrote to stderr.", p.StderrBytes)
}

// lanes names the queues of a pool by what waits in them.
var lanes = [...]string{"message", "connect", "disconnect"}

func (m metrics) bus(s bus.Stats) {
	for _, state := range []string{"local", "connecting", "up", "down", "closed"} {
		m.gauge("wsfpm_redis_state", "1 for the state that the connection to Redis is in.", flag(s.State == state), "state", state)
	}
	m.counter("wsfpm_redis_connections_total", "Subscribing connections made; all but the first are reconnects.", float64(s.Epochs))
	m.gauge("wsfpm_redis_names", "Connections, users and channels that are subscribed to.", float64(s.Names))
	m.gauge("wsfpm_redis_names_confirmed", "Of these, confirmed by Redis.", float64(s.NamesConfirmed))
	for door, n := range map[string]uint64{"fast": s.ReceivedFast, "command": s.ReceivedCommand, "relay": s.ReceivedRelay} {
		m.counter("wsfpm_pushes_received_total", "Pushes received from Redis.", float64(n), "door", door)
	}
	for reason, n := range map[string]uint64{"too_large": s.DroppedTooLarge, "not_utf8": s.DroppedNotUTF8, "address": s.DroppedAddress, "command": s.DroppedCommand} {
		m.counter("wsfpm_pushes_dropped_total", "Pushes received and not passed on.", float64(n), "reason", reason)
	}
	m.counter("wsfpm_published_total", "Pushes that Redis took from this process.", float64(s.Published))
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
