package admin

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"wsfpm/fcgi"
	"wsfpm/gateway"
	"wsfpm/gateway/bus"
	"wsfpm/gateway/durable"
	"wsfpm/gateway/registry"
	"wsfpm/gateway/ws"
)

// collector converts the counters of the other packages to metrics on each scrape.
// Label values come from fixed sets and from the configuration only.
type collector struct {
	options Options
}

// Describe sends nothing, which makes the collector unchecked: its metrics depend on
// the configured pools.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all metrics.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	m := metrics{out}
	s := c.options.Gateway.Stats()
	m.gauge("wsfpm_build_info", "The program's version; always 1.", 1, "version", c.options.Version, "node", s.Node)
	m.gauge("wsfpm_ready", "1 while /ready answers 200.", flag(c.options.Gateway.Ready() == nil))
	m.gauge("wsfpm_config_current", "0 if the last reload failed: the previous configuration is in force.", flag(!c.options.ConfigRefused()))
	m.counter("wsfpm_log_lines_dropped_total", "Log lines dropped because the reader of the log was too slow or gone.", float64(c.options.LogDropped()))
	if c.options.Sockets != nil {
		m.gauge("wsfpm_admin_sockets", "Open connections to the admin listener.", float64(c.options.Sockets.open.Load()))
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
	m.durable(c.options.Log())
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
		m.gauge("wsfpm_sockets", "Open sockets of clients by state.", float64(n), "state", state)
	}
	m.gauge("wsfpm_sockets_limit", "Limit of open sockets of clients; 0: none.", float64(s.Sockets.Most))
	m.counter("wsfpm_connections_opened_total", "Connections upgraded to WebSocket.", float64(s.Opened))
	for r, n := range s.Refusals {
		m.counter("wsfpm_handshakes_refused_total", "Refused handshakes by status and reason.", float64(n), "status", strconv.Itoa(r.Status), "reason", r.Reason)
	}
	for reason, n := range map[string]int64{"late": s.Late, "broken": s.Broken, "tls": s.TLS} {
		m.counter("wsfpm_handshakes_unread_total", "Connections that ended before a complete handshake, by reason.", float64(n), "reason", reason)
	}
	for code, n := range s.Closes {
		m.counter("wsfpm_connections_closed_total", "Closed connections by close code; 3000 stands for all application codes.", float64(n), "code", strconv.Itoa(code))
	}
	for outcome, n := range s.Resumes {
		m.counter("wsfpm_resumes_total", "Clients that came back with a position, by outcome.", float64(n), "outcome", outcome)
	}
	for limit, n := range s.Limits {
		m.counter("wsfpm_limits_reached_total", "Times that a limit of clients was reached, by configuration key.", float64(n), "limit", limit)
	}
	for outcome, n := range s.Frames {
		m.counter("wsfpm_relayed_frames_total", "Frames of clients that a relay took (WS-Relay), by outcome.", float64(n), "outcome", outcome)
	}
	m.counter("wsfpm_relay_resyncs_total", "Clients closed with 1012 because relayed frames were lost.", float64(s.Resynced))
	m.counter("wsfpm_messages_dropped_total", "Messages dropped because their connection ended before PHP received them.", float64(s.Dropped))
	m.counter("wsfpm_deliveries_total", "Pushes and commands delivered, counted per client.", float64(s.Delivered))
	m.counter("wsfpm_redis_stalls_total", "Times that reading from Redis paused because a delivery queue was full.", float64(s.Delivery.Stalls))
	m.gauge("wsfpm_redis_waiting_bytes", "Bytes of received pushes waiting for delivery.", float64(s.Delivery.Bytes))
	m.counter("wsfpm_publish_failed_total", "Pushes of scripts and of POST /push that could not be published to Redis.", float64(s.PublishFailed))
	m.counter("wsfpm_joins_unconfirmed_total", "Replies sent before Redis had confirmed their subscriptions.", float64(s.JoinsUnconfirmed))
	for outcome, n := range map[string]int64{"first": s.Once.First, "second": s.Once.Second, "answered": s.Once.Answered, "busy": s.Once.Busy,
		"unknown": s.Once.Unknown, "mismatch": s.Once.Mismatch, "many": s.OnceMany} {
		m.counter("wsfpm_once_messages_total", "Messages with an id on routes with once, by outcome.", float64(n), "outcome", outcome)
	}
	for outcome, n := range map[string]int64{"hit": s.Cache.Hits, "wait": s.Cache.Waits, "miss": s.Cache.Misses} {
		m.counter("wsfpm_cache_messages_total", "Messages on routes with a cache, by what answered them.", float64(n), "outcome", outcome)
	}
	m.gauge("wsfpm_cache_bytes", "Memory of stored answers and of what is known of their keys.", float64(s.Cache.Bytes))
	m.counter("wsfpm_once_unstored_total", "Outcomes of such messages that Redis did not take.", float64(s.Once.Unstored))
	if s.Registry != nil {
		m.registry(s.Registry)
	}
	m.counter("wsfpm_disconnects_lost_total", "Disconnect events that never reached PHP.", float64(s.DisconnectsLost))
	for name, n := range s.Disconnects {
		m.gauge("wsfpm_disconnects_waiting", "Disconnect events waiting for PHP or running.", float64(n), "fpm", name)
	}
	m.counter("wsfpm_panics_total", "Recovered panics; each ended one connection.", float64(s.Panics))
	m.gauge("wsfpm_outbound_bytes", "Bytes queued for slow clients; a push queued for many counts once.", float64(s.OutboundBytes))
	m.gauge("wsfpm_inbound_bytes", "Bytes of messages being received or waiting for PHP.", float64(s.InboundBytes))
}

func (m metrics) events(s gateway.Stats) {
	desc := prometheus.NewDesc("wsfpm_event_duration_seconds",
		"Duration of events by kind and outcome, from queueing for a worker to the end of the answer.", []string{"event", "outcome"}, nil)
	for _, e := range s.Events {
		m.out <- prometheus.MustNewConstHistogram(desc, e.Count, e.Sum, e.Buckets, e.Kind, e.Outcome)
	}
}

func (m metrics) registry(s *registry.Stats) {
	m.gauge("wsfpm_registry_up", "0 while Redis does not take the registry's writes.", flag(s.Up))
	if !s.LastBeat.IsZero() {
		m.gauge("wsfpm_registry_beat_timestamp_seconds", "Time of this node's last beat in Redis, since 1970.", float64(s.LastBeat.UnixMilli())/1000)
	}
	m.gauge("wsfpm_registry_nodes", "Nodes that beat.", float64(s.Nodes))
	m.gauge("wsfpm_registry_connections", "This node's connections in the registry.", float64(s.Registered))
	m.gauge("wsfpm_registry_waiting", "Records that wait to be written.", float64(s.Waiting))
	m.gauge("wsfpm_registry_forgetting", "Records of ended connections that wait to be removed.", float64(s.Forgetting))
	m.gauge("wsfpm_registry_evicts", "1 if Redis may evict keys (maxmemory-policy).", flag(s.Evicts))
	m.counter("wsfpm_registry_beats_total", "Beats that went through.", float64(s.Beats))
	m.counter("wsfpm_registry_failures_total", "Calls of the registry that Redis did not answer, or refused.", float64(s.Failed))
	m.counter("wsfpm_registry_unknown_total", "Disconnect events run although Redis did not confirm that they were this node's.", float64(s.Unknown))
	m.counter("wsfpm_registry_taken_over_total", "Disconnect events not run because another node had run them.", float64(s.ClaimedAway))
	m.counter("wsfpm_registry_claimed_total", "Times that other nodes took this one for dead.", float64(s.Claimed))
	m.counter("wsfpm_registry_claims_total", "Dead nodes that this one claimed.", float64(s.Claims))
	m.counter("wsfpm_registry_lost_connections_total", "Connections of dead nodes that this one took over.", float64(s.Lost))
	m.counter("wsfpm_registry_repaired_total", "Records that differed from this node's connections and were repaired.", float64(s.Repaired))
	for what, n := range map[string]int64{"user_came": s.UsersCame, "user_left": s.UsersLeft, "member_came": s.MembersCame, "member_left": s.MembersLeft} {
		m.counter("wsfpm_presence_changes_total", "Changes of presence over all nodes that this one caused.", float64(n), "change", what)
	}
}

func (m metrics) socket(s ws.Snapshot) {
	for direction, n := range map[string]int64{"in": s.MessagesIn, "out": s.MessagesOut} {
		m.counter("wsfpm_messages_total", "WebSocket messages by direction.", float64(n), "direction", direction)
	}
	for direction, n := range map[string]int64{"in": s.BytesIn, "out": s.BytesOut} {
		m.counter("wsfpm_message_bytes_total", "Bytes on the clients' sockets by direction, frame headers included.", float64(n), "direction", direction)
	}
	m.counter("wsfpm_messages_evicted_total", "Incomplete messages evicted to free memory; their clients were closed with 1013.", float64(s.MessagesEvicted))
	m.counter("wsfpm_slow_readers_total", "Slow clients closed with 4408.", float64(s.SlowReaders))
	m.counter("wsfpm_pings_total", "Pings sent.", float64(s.PingsSent))
	m.counter("wsfpm_pongs_missed_total", "Clients dropped because they did not answer a ping.", float64(s.PongsMissed))
}

func (m metrics) pool(name string, p fcgi.Stats, streams, streamsRefused int, failovers int64) {
	gauge := func(metric, help string, v float64) { m.gauge("wsfpm_fpm_"+metric, help, v, "fpm", name) }
	counter := func(metric, help string, v uint64) { m.counter("wsfpm_fpm_"+metric, help, float64(v), "fpm", name) }
	gauge("in_use", "Workers executing a request.", float64(p.Running))
	gauge("settling", "Workers still running a script after its answer or timeout.", float64(p.Settling))
	gauge("idle", "Idle connections, each of which occupies a worker.", float64(p.Idle))
	gauge("limit", "Current concurrency limit, in workers.", float64(p.Limit))
	gauge("max_connections", "Configured limit of workers.", float64(p.Config))
	gauge("streams", "Streamed answers in progress.", float64(streams))
	gauge("up", "0 while PHP-FPM cannot be reached.", flag(!p.Down))
	for lane, n := range p.Waiting {
		m.gauge("wsfpm_fpm_waiting", "Events waiting for a worker.", float64(n), "fpm", name, "event", lanes[lane])
	}
	for failure, n := range p.Failures {
		m.counter("wsfpm_fpm_failures_total", "Failed requests by phase and reason.", float64(n), "fpm", name, "phase", failure.Phase.String(), "reason", failure.Reason)
	}
	m.counter("wsfpm_fpm_wait_seconds_total", "Total time that events waited for a worker.", p.WaitSum.Seconds(), "fpm", name)
	counter("waits_total", "Events that had to wait for a worker.", p.Waited)
	counter("completed_total", "Answers read to their end.", p.Completed)
	counter("dials_total", "Connections opened.", p.Dials)
	counter("dial_errors_total", "Connection attempts that failed.", p.DialErrors)
	counter("reuses_total", "Requests on a reused connection.", p.Reuses)
	counter("recycles_total", "Idle connections closed by PHP-FPM.", p.Recycles)
	counter("retries_total", "Requests sent again after an attempt that sent no byte.", p.Retries)
	counter("settled_total", "Times that a worker was still running a script after its answer or timeout.", p.Settled)
	counter("settle_timeouts_total", "Of these, no longer waited for while the script was still running.", p.SettleTimeouts)
	counter("stalls_total", "New connections not accepted by a worker within 50 ms.", p.Stalls)
	counter("shed_total", "Events shed because the queue was full or too slow.", p.Overloads)
	counter("passed_over_total", "Events overtaken by later ones because their user or address had its share of the pool.", p.PassedOver)
	counter("failovers_total", "Events passed on to the route's next pool.", uint64(failovers))
	counter("streams_refused_total", "Streamed answers refused because of max_streams.", uint64(streamsRefused))
	counter("stderr_bytes_total", "Bytes that scripts wrote to stderr.", p.StderrBytes)
}

// lanes names the queues of a pool by their events.
var lanes = [...]string{"message", "connect", "disconnect"}

func (m metrics) bus(s bus.Stats) {
	for _, state := range []string{"local", "connecting", "up", "down", "closed"} {
		m.gauge("wsfpm_redis_state", "1 for the current state of the connection to Redis.", flag(s.State == state), "state", state)
	}
	m.counter("wsfpm_redis_connections_total", "Subscribing connections opened; all but the first are reconnects.", float64(s.Epochs))
	m.gauge("wsfpm_redis_names", "Subscribed connections, users and channels.", float64(s.Names))
	m.gauge("wsfpm_redis_names_confirmed", "Of these, confirmed by Redis.", float64(s.NamesConfirmed))
	for door, n := range map[string]uint64{"fast": s.ReceivedFast, "command": s.ReceivedCommand, "relay": s.ReceivedRelay, "frame": s.ReceivedFrame} {
		m.counter("wsfpm_pushes_received_total", "Pushes received from Redis.", float64(n), "door", door)
	}
	for reason, n := range map[string]uint64{"too_large": s.DroppedTooLarge, "not_utf8": s.DroppedNotUTF8, "address": s.DroppedAddress, "command": s.DroppedCommand} {
		m.counter("wsfpm_pushes_dropped_total", "Received pushes that were dropped, by reason.", float64(n), "reason", reason)
	}
	m.counter("wsfpm_published_total", "Pushes published to Redis.", float64(s.Published))
}

func (m metrics) durable(s durable.Stats) {
	for _, state := range []string{"off", "loading", "live", "down", "shut"} {
		m.gauge("wsfpm_log_state", "1 for the current state of the log of durable messages.", flag(s.State == state), "state", state)
	}
	m.gauge("wsfpm_log_entries", "Entries of the log held in memory.", float64(s.Entries))
	m.gauge("wsfpm_log_bytes", "Memory of these entries.", float64(s.Bytes))
	m.gauge("wsfpm_log_span_seconds", "Time between the oldest and the newest of these entries.", s.Span.Seconds())
	m.gauge("wsfpm_log_lag_seconds", "Age of the newest entry when it was read; 0 after a look that found none.", s.Lag.Seconds())
	m.gauge("wsfpm_log_ahead_seconds", "How far the time of the newest entry lies ahead of Redis's clock.", s.Ahead.Seconds())
	m.counter("wsfpm_log_read_total", "Entries read from the log.", float64(s.Read))
	for reason, n := range s.Bad {
		m.counter("wsfpm_log_bad_total", "Entries of the log that were dropped, by reason.", float64(n), "reason", reason)
	}
	for reason, n := range s.Gaps {
		m.counter("wsfpm_log_gaps_total", "Times that entries of the log may have been missed, by reason.", float64(n), "reason", reason)
	}
	m.counter("wsfpm_log_appended_total", "Entries appended to the log.", float64(s.Appended))
	m.counter("wsfpm_log_append_failed_total", "Entries that could not be appended, or may not have been.", float64(s.Failed))
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
