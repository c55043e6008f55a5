package config

// AnyPath is the path of a route that answers every path. The flag --script
// makes such a route; in a file it is written path = "*".
const AnyPath = "*"

// ScriptVar is the variable part of a path: it stands for the name of a script
// of letters, digits, "_" and "-" in the route's root.
const ScriptVar = "{script}"

// The events of a connection, as in [Route.Events] and WS_EVENT.
const (
	EventConnect    = "connect"
	EventMessage    = "message"
	EventDisconnect = "disconnect"
)

// Reactions to a failed handler, as in [Route.OnError].
const (
	OnErrorKeep    = "keep"    // nothing
	OnErrorMessage = "message" // the route's error message
	OnErrorClose   = "close"   // close code 1011
)

// What of a connection parts the answers of a cache, as in [Route.CacheKey].
const (
	CacheUser     = "user"
	CacheState    = "state"
	CacheChannels = "channels"
)

// Conditions for accepting a connect, as in [Route.Accept].
const (
	Accept2xx    = "2xx"    // a status of 200 to 299
	AcceptHeader = "header" // such a status and the header WS-Accept: 1
)

// Route maps a path to a script. A changed route applies to new connections.
type Route struct {
	// Path is matched exactly. Its last part may be {script}: "/ws/{script}"
	// with root = "/srv/app/ws" runs chat.php there for /ws/chat. "*" answers
	// every path. An exact path goes before one with {script}, that before "*",
	// and a route with a host before one without. Required.
	Path string `toml:"path"`

	// Host holds the host names for which the route stands, without port; a
	// final dot does not count.
	// Default: any.
	Host []string `toml:"host"`

	// Script is the PHP file, absolute, as PHP-FPM sees it.
	Script string `toml:"script"`

	// Root is the folder of the scripts that {script} names, absolute.
	Root string `toml:"root"`

	// DocumentRoot becomes DOCUMENT_ROOT; SCRIPT_NAME is the script's path
	// below it. Default: the script's folder, or [Route.Root].
	DocumentRoot string `toml:"document_root"`

	// ResolveRoot resolves the symbolic links in [Route.Script], [Route.Root] and
	// DocumentRoot, again and again, as $realpath_root of nginx does: after a deploy that
	// switches a link the next event runs the new release. What this machine
	// does not have is passed on as it is. Default: true; false is for a
	// PHP-FPM that has the files elsewhere, such as in a container.
	ResolveRoot bool `toml:"resolve_root"`

	// FPM names the pool that runs the script. Default: "default", or the only
	// pool there is. A list in the file names the spares too.
	FPM string `toml:"fpm" rest:"Spares"`

	// Spares names the failover pools, in order: fpm = ["local", "spare"]. One takes
	// an event if nothing of it was sent to the pools before. Default: none.
	Spares []string `toml:"-"`

	// Origins holds the origins of pages that may connect, such as
	// "https://example.com"; "*" lets every page in. Default: pages of the same
	// host. It protects visitors: browsers send the login cookie from foreign
	// pages too.
	Origins []string `toml:"origins"`

	// RequireOrigin refuses handshakes without Origin, which come from
	// programs, not from browsers. Default: false.
	RequireOrigin bool `toml:"require_origin"`

	// Public accepts every client without a connect event. It is required if
	// [Route.Events] has no "connect". Default: false.
	Public bool `toml:"public"`

	// Dev sends PHP's error text to clients. Never in production. Default:
	// false.
	Dev bool `toml:"dev"`

	// DetectPHPErrors makes an answer a failure when it shows PHP's own error
	// text, although its status is 200. Default: true. Without it a login
	// script that crashes may accept every client.
	DetectPHPErrors bool `toml:"detect_php_errors"`

	// Events holds the events that PHP is called for. Default: "connect",
	// "message" and "disconnect".
	Events []string `toml:"events"`

	// ContentType is CONTENT_TYPE of text messages. Default: "text/plain;
	// charset=utf-8". With "application/x-www-form-urlencoded" PHP parses
	// messages into $_POST; "multipart/form-data" is refused.
	ContentType string `toml:"content_type"`

	// OnError is the reaction to a failed message: "keep" the connection and send
	// nothing, send error_message ("message"), or "close" with 1011. Default:
	// "keep".
	OnError string `toml:"on_error"`

	// ErrorMessage is the text for OnError "message".
	ErrorMessage string `toml:"error_message"`

	// ExpireCode is the close code of a client whose session has ended, see WS-Expires.
	// Default: 4401.
	ExpireCode int `toml:"expire_code"`

	// SlowCode is the close code of a client that reads too slowly. Default: 4408. A client
	// of another protocol may take it for final: pusher-js comes back after codes below
	// 4300 only.
	SlowCode int `toml:"slow_code"`

	// Accept is what makes a connect accepted: a status of "2xx", or in
	// addition the header WS-Accept: 1 ("header"), which a careful script sends
	// last. Default: "2xx".
	Accept string `toml:"accept"`

	// AnswerStatuses holds further statuses, such as "4xx" or "422", whose
	// bodies are ordinary answers. Default: none, all others are failures.
	AnswerStatuses []string `toml:"answer_statuses"`

	// Protocols holds the WebSocket subprotocols that the route speaks, best
	// first. Default: none.
	Protocols []string `toml:"protocols"`

	// Compression lets clients agree on permessage-deflate (RFC 7692), without
	// context takeover. Messages of 512 bytes and more are then sent
	// compressed, a push once for all who take it so. It costs CPU, and where
	// a message holds a secret beside text of an attacker's, its length may
	// betray the secret. Default: false.
	Compression bool `toml:"compression"`

	// Resume lets a client that comes back get the messages of the log that it has missed.
	// Default: false.
	Resume bool `toml:"resume"`

	// ResumeAge is the age of the oldest message that a client that comes back gets. If it
	// has missed an older one, it gets none, and is told so. Default: 10m. A client may
	// forge the place to which it comes back: this bounds what it can read of the past of
	// the channels that the script lets it join.
	ResumeAge Duration `toml:"resume_age"`

	// GapMessage is the text that a client gets when it may have missed messages, unless it
	// speaks wsfpm.v1, which has its own. Default: "", it gets none.
	GapMessage string `toml:"gap_message"`

	// Record lets wsfpm record --route write down the events of all clients of the route;
	// without it only those of one user or connection. Default: false.
	Record bool `toml:"record"`

	// Params are further FastCGI parameters; they are set last and win. WS_*,
	// PHP_VALUE, PHP_ADMIN_VALUE and CONTENT_LENGTH are errors.
	Params map[string]string `toml:"params"`

	// PassHeaders holds request headers that are passed to PHP although they would be
	// dropped by default. Default: none.
	PassHeaders []string `toml:"pass_headers"`

	// ServerName is SERVER_NAME where the handshake has no usable Host.
	// Default: "".
	ServerName string `toml:"server_name"`

	// ServerPort is SERVER_PORT for clients that come by a unix socket.
	// Default: 0, which is 443 with HTTPS and else 80.
	ServerPort int `toml:"server_port"`

	// MessageLimit is the longest message of a client; a longer one is closed
	// with 1009. Default: 64KiB. Above PHP's post_max_size (8M) PHP leaves
	// $_POST empty and logs a warning for each such message.
	MessageLimit Size `toml:"message_limit"`

	// AnswerLimit is the longest answer of a script, streams aside; a longer
	// one is a failure. Default: 16MiB.
	AnswerLimit Size `toml:"answer_limit"`

	// Timeout is how long PHP may take for one event, and for a stream its
	// longest silence. Default: 30s.
	Timeout Duration `toml:"timeout"`

	// StreamTimeout is how long a streamed answer may run. Default: 10m.
	StreamTimeout Duration `toml:"stream_timeout"`

	// Registry keeps a record of each connection in Redis: if this node dies, another one
	// runs the disconnect event. It needs Redis. The first one needs a restart. Default: false.
	Registry bool `toml:"registry"`

	// Once is for how long a client of wsfpm.v1 with a user may send a message with an
	// id again: PHP runs once, or is told of a second attempt. At least twice [Route.Timeout].
	// It needs Redis 7. The first one needs a restart. Default: 0, which keeps nothing.
	Once Duration `toml:"once"`

	// OnceAnswer is the largest answer that is kept for a message sent again.
	// Default: 16KiB.
	OnceAnswer Size `toml:"once_answer"`

	// Cache is the memory for answers to messages that say "Cache-Control: public,
	// max-age=N": other clients with the same message get them, without PHP. At least
	// 256KiB. Default: 0, none.
	Cache Size `toml:"cache"`

	// CacheKey holds what of the connection parts such answers: clients share them if
	// their "user", "state" and "channels" are the same too. [] is for answers that are the
	// same for all clients. Default: all three.
	CacheKey []string `toml:"cache_key"`

	// CacheMaxAge is the largest max-age that is believed: an answer with a larger one is
	// not kept, and the log has a line. Default: 60s. PHP's session.cache_limiter = public
	// says three hours, of pages with a session's content.
	CacheMaxAge Duration `toml:"cache_max_age"`
}

// Pools returns the route's pools in failover order.
func (route *Route) Pools() []string {
	return append([]string{route.FPM}, route.Spares...)
}
