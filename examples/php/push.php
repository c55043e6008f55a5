<?php
// Sends a message to WebSocket clients from the command line, from cron, from a
// queue worker: from anywhere. Through Redis, or through wsfpm's admin listener.
//
//   php push.php user:42 'Your order has been shipped'
//   php push.php --redis redis://10.0.0.5:6379 channel:lobby '{"type":"notice","text":"Tea is ready"}'
//   php push.php --admin unix:/run/wsfpm/admin.sock all 'Back in five minutes'
//   php push.php --json '{"to":"user:42","close":{"code":4001,"reason":"signed out"}}'
//   date | php push.php all -
//
// In your own code one line is enough: $redis->publish('ws:user:42', $text).
declare(strict_types=1);

PHP_SAPI === 'cli' or exit(http_response_code(404));

const USAGE = <<<'TEXT'
usage: php push.php [--redis URL | --admin URL [--token T]] [--prefix ws:] ADDRESS DATA
       php push.php [--redis URL | --admin URL [--token T]] [--prefix ws:] --json COMMAND

  ADDRESS   user:NAME, channel:NAME, conn:ID or all
  DATA      the text; - reads it from standard input
  COMMAND   a whole command, such as {"to":["user:42"],"except":["user:7"],"data":"hi"}
  --redis   redis://[user:password@]host:port, rediss://… or unix:///path (default: $WSFPM_REDIS_URL, else redis://127.0.0.1:6379)
  --admin   unix:/path or host:port (default: $WSFPM_ADMIN)
  --token   the admin listener's token (default: $WSFPM_ADMIN_TOKEN, which other users of the machine cannot see)
  --prefix  redis.prefix of the gateway (default: ws:)

Exit status: 0 at least one receiver, 1 no receiver, 2 the message could not be sent.

TEXT;

try {
    exit(main(array_slice($argv, 1)));
} catch (InvalidArgumentException $e) {
    fwrite(STDERR, 'push: ' . $e->getMessage() . "\n\n" . USAGE);
    exit(2);
} catch (Exception $e) {
    fwrite(STDERR, 'push: ' . $e->getMessage() . "\n");
    exit(2);
}

function main(array $args): int
{
    $options = parse($args);
    if ($options['help']) {
        echo USAGE;
        return 0;
    }
    if ($options['admin'] !== '') {
        $command = $options['json'] ?? encode(['to' => $options['address'], 'data' => $options['data']]);
        $count = pushByAdmin($options['admin'], $options['token'], $command);
        echo $count === 1 ? "1 connection\n" : "$count connections\n";
        return $count > 0 ? 0 : 1;
    }
    // A channel named by the address takes the text unchanged; ws:command takes commands.
    $count = $options['json'] === null
        ? publish($options['redis'], $options['prefix'] . $options['address'], $options['data'])
        : publish($options['redis'], $options['prefix'] . 'command', $options['json']);
    echo $count === 1 ? "1 node\n" : "$count nodes\n";
    return $count > 0 ? 0 : 1;
}

/** Reads the command line; throws InvalidArgumentException with the mistake. */
function parse(array $args): array
{
    $options = [
        'redis' => getenv('WSFPM_REDIS_URL') ?: '', 'admin' => '', 'token' => getenv('WSFPM_ADMIN_TOKEN') ?: '',
        'prefix' => 'ws:', 'json' => null, 'help' => false, 'address' => '', 'data' => '',
    ];
    $given = $rest = [];
    while ($args !== []) {
        $arg = array_shift($args);
        if ($arg === '--help' || $arg === '-h') {
            return ['help' => true] + $options;
        }
        if ($arg === '--') {
            array_push($rest, ...$args);
            break;
        }
        if (!str_starts_with($arg, '--')) {
            $rest[] = $arg;
            continue;
        }
        [$name, $value] = explode('=', substr($arg, 2), 2) + [1 => null];
        if (!in_array($name, ['redis', 'admin', 'token', 'prefix', 'json'], true)) {
            throw new InvalidArgumentException("unknown option --$name");
        }
        $options[$name] = $value ?? array_shift($args) ?? throw new InvalidArgumentException("--$name needs a value");
        $given[$name] = true;
    }
    if (isset($given['redis'], $given['admin'])) {
        throw new InvalidArgumentException('either --redis or --admin, not both');
    }
    if (!isset($given['redis']) && !isset($given['admin'])) {
        $options['admin'] = getenv('WSFPM_ADMIN') ?: '';
    }
    $options['redis'] = $options['redis'] ?: 'redis://127.0.0.1:6379';

    if ($options['json'] !== null) {
        $rest === [] or throw new InvalidArgumentException('--json takes the place of ADDRESS and DATA');
        checkCommand($options['json']);
        return $options;
    }
    count($rest) === 2 or throw new InvalidArgumentException('ADDRESS and DATA are needed');
    [$options['address'], $options['data']] = $rest;
    if ($options['data'] === '-') {
        $options['data'] = rtrim(stream_get_contents(STDIN), "\r\n");
    }
    checkAddress($options['address']);
    if ($options['data'] === '' || !preg_match('//u', $options['data'])) {
        throw new InvalidArgumentException('DATA must be UTF-8 text and not empty; for bytes use --json with "base64"');
    }
    return $options;
}

/** Checks that it is a command with addresses; the gateway checks its other fields. */
function checkCommand(string $json): void
{
    $command = json_decode($json, true, 64);
    if (!is_array($command) || array_is_list($command)) {
        throw new InvalidArgumentException('--json: COMMAND must be one JSON object');
    }
    if (empty($command['to'])) {
        throw new InvalidArgumentException('--json: the command needs "to"');
    }
    foreach ((array) $command['to'] as $address) {
        checkAddress(is_string($address) ? $address : '');
    }
}

function checkAddress(string $address): void
{
    if ($address !== 'all' && !preg_match('/^(user|channel|conn):[^\x00-\x1f\x7f,;*]{1,200}$/uD', $address)) {
        throw new InvalidArgumentException("not an address: '$address'");
    }
}

function encode(array $command): string
{
    return json_encode($command, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR);
}

/** Publishes and returns the number of nodes that received it. Uses phpredis if it is installed. */
function publish(string $url, string $channel, string $payload): int
{
    if (preg_match('~^unix://(?:(?<user>[^:@/]*):(?<pass>[^@/]*)@)?(?<path>/[^?]+)~', $url, $u)) { // parse_url() refuses these
        [$host, $port, $target, $secure] = [$u['path'], 0, "unix://$u[path]", []];
    } else {
        $u = parse_url($url) ?: [];
        $tls = ($u['scheme'] ?? '') === 'rediss';
        if (!isset($u['host']) || !$tls && $u['scheme'] !== 'redis') {
            throw new InvalidArgumentException("not a Redis URL: '$url'");
        }
        [$host, $port] = [($tls ? 'tls://' : '') . $u['host'], $u['port'] ?? 6379];
        $target = ($tls ? '' : 'tcp://') . "$host:$port";
        $secure = $tls ? secure($u['query'] ?? '') : [];
    }
    // A database number does not matter here: Pub/Sub is common to all of them.
    $auth = array_filter([rawurldecode($u['user'] ?? ''), rawurldecode($u['pass'] ?? '')], 'strlen');
    $auth = array_values($auth);

    if (extension_loaded('redis')) {
        try {
            $redis = new Redis();
            $redis->connect($host, $port, 3.0, null, 0, 0, ...($secure === [] ? [] : [['stream' => $secure]]));
            $auth === [] || $redis->auth($auth);
            return (int) $redis->publish($channel, $payload);
        } catch (RedisException $e) {
            throw new RuntimeException("Redis at $target: " . $e->getMessage());
        }
    }

    $context = stream_context_create(['ssl' => $secure]);
    $socket = @stream_socket_client($target, $code, $error, 3, STREAM_CLIENT_CONNECT, $context) ?: throw new RuntimeException("Redis at $target: $error");
    stream_set_timeout($socket, 3);
    $auth === [] || redis($socket, 'AUTH', ...$auth);
    return redis($socket, 'PUBLISH', $channel, $payload);
}

/** PHP's settings of TLS for the parameters of a rediss:// URL, which are those of the gateway's redis.url. */
function secure(string $query): array
{
    parse_str($query, $given);
    $secure = [];
    foreach (['cacert' => 'cafile', 'cert' => 'local_cert', 'key' => 'local_pk'] as $name => $setting) {
        if (isset($given[$name])) {
            is_readable($given[$name]) || throw new RuntimeException("Redis: $name=$given[$name] cannot be read");
            $secure[$setting] = $given[$name];
        }
    }
    return in_array($given['skip_verify'] ?? '', ['1', 'true'], true) ? $secure + ['verify_peer' => false, 'verify_peer_name' => false] : $secure;
}

/** One Redis command over the wire: an array of strings goes out, a line comes back. */
function redis($socket, string ...$words): int
{
    $out = '*' . count($words) . "\r\n";
    foreach ($words as $word) {
        $out .= '$' . strlen($word) . "\r\n$word\r\n";
    }
    fwrite($socket, $out);
    $line = fgets($socket);
    if ($line === false || $line[0] === '-') {
        throw new RuntimeException('Redis: ' . ($line ? trim(substr($line, 1)) : 'no answer'));
    }
    return (int) substr($line, 1);
}

/** Posts a command to the admin listener and returns the number of connections that it reached. */
function pushByAdmin(string $url, string $token, string $command): int
{
    // unix:/path, or host:port with or without http:// in front
    if (!preg_match('~^(?:unix:(?<path>/.+)|(?:http://)?(?<host>[\w.-]+|\[[\da-f:]+\])(?<port>:\d+)?/?)$~Di', $url, $u)) {
        throw new InvalidArgumentException("not an admin URL: '$url'");
    }
    $host = $u['host'] ?? 'localhost';
    $target = $u['path'] !== '' ? "unix://$u[path]" : "tcp://$host" . ($u['port'] ?? ':80');
    if (preg_match('/[\x00-\x20\x7f]/', $token)) {
        throw new InvalidArgumentException('--token: holds a space or a line break');
    }
    $request = "POST /push HTTP/1.0\r\nHost: $host\r\n"
        . "Content-Type: application/json\r\nContent-Length: " . strlen($command) . "\r\n"
        . ($token === '' ? '' : "Authorization: Bearer $token\r\n") . "\r\n$command";

    $socket = @stream_socket_client($target, $code, $error, 3) ?: throw new RuntimeException("wsfpm at $target: $error");
    stream_set_timeout($socket, 10);
    fwrite($socket, $request);
    [$head, $answer] = explode("\r\n\r\n", (string) stream_get_contents($socket), 2) + ['', ''];
    $status = (int) (explode(' ', $head)[1] ?? 0);
    if ($status !== 200) {
        throw new RuntimeException($status === 0 ? 'wsfpm: no answer' : "wsfpm: status $status: " . trim($answer));
    }
    return json_decode($answer, true)['delivered'] ?? throw new RuntimeException("wsfpm: cannot read '$answer'");
}
