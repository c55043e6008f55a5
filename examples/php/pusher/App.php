<?php
declare(strict_types=1);

/** One application of the Pusher protocol: its names in wsfpm, its signatures, and who is in its presence channels. */
final class App
{
    private const MEMBERS = 200;   // connections in a presence channel: each newcomer gets the whole list
    private const UNCOUNTED = 60;  // seconds until wsfpm's presence has a member for certain

    private const TRIES = 1000;    // of a transaction: one fails when another connection has changed the list

    private ?Redis $redis = null;

    private function __construct(public readonly string $id, private string $key, private string $secret, private array $redisURL)
    {
    }

    /** From the route's params, or from the environment: env[…] in PHP-FPM's pool. */
    public static function configured(): self
    {
        $of = fn ($name) => ($_SERVER[$name] ?? getenv($name)) ?: throw new LogicException("$name is not set");
        strlen($of('PUSHER_APP_SECRET')) >= 20 || throw new LogicException('PUSHER_APP_SECRET has less than 20 bytes');
        $url = parse_url($of('WSFPM_REDIS_URL'));
        isset($url['host']) && ($url['scheme'] ?? '') === 'redis' && preg_match('~^/?\d*$~D', $url['path'] ?? '')
            || throw new LogicException('WSFPM_REDIS_URL: want redis://[[user:]password@]host[:port][/database]');
        return new self($of('PUSHER_APP_ID'), $of('PUSHER_APP_KEY'), $of('PUSHER_APP_SECRET'), $url);
    }

    /**
     * The name in wsfpm of a channel or a socket, apart from all others of the site. Bytes that
     * such names cannot have are written as in URLs, %2C. Null: it has more than 200 bytes.
     */
    public function name(string $plain): ?string
    {
        $name = "pusher:$this->id:" . rawurlencode($plain);
        return strlen($name) <= 200 ? $name : null;
    }

    /** The opposite of name(). */
    public function plain(string $name): string
    {
        return rawurldecode(substr($name, strlen("pusher:$this->id:")));
    }

    /** The name in wsfpm of a channel that a client or a server has named; null: there can be no such channel. */
    public function channel(mixed $plain): ?string
    {
        $good = is_string($plain) && preg_match('/^(?:[-\w=@,.;]{1,200}|#server-to-user-.+)$/Ds', $plain);
        return $good ? $this->name($plain) : null;
    }

    /** Key and signature, as the site's server gives them to its pages. */
    public function auth(string $text): string
    {
        return "$this->key:" . hash_hmac('sha256', $text, $this->secret);
    }

    /** Whether an HTTP request comes from a server that has the secret, and is at most ten minutes old. */
    public function signed(string $method, string $path, string $query, string $body, int $now): bool
    {
        $of = [];
        foreach (explode('&', $query) as $pair) {
            [$name, $value] = array_map('rawurldecode', explode('=', $pair, 2) + [1 => '']);
            if (isset($of[$name])) {
                return false;
            }
            $of[$name] = $value;
        }
        ksort($of, SORT_STRING);
        $signed = array_diff_key($of, ['auth_signature' => 0]);
        $text = "$method\n$path\n" . implode('&', array_map(fn ($name, $value) => "$name=$value", array_keys($signed), $signed));
        return hash_equals($this->auth($text), ($of['auth_key'] ?? '') . ':' . ($of['auth_signature'] ?? ''))
            && ctype_digit($of['auth_timestamp'] ?? '') && abs($now - (int) $of['auth_timestamp']) <= 600
            && ($body === '' || hash_equals(md5($body), $of['body_md5'] ?? ''));
    }

    public static function json(mixed $value): string
    {
        return json_encode($value, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR);
    }

    /** Sends commands of wsfpm, in this order. */
    public function send(array $commands): void
    {
        $this->redis()->publish('ws:command', self::json($commands));
    }

    /** The occupied channels. */
    public function channels(): array
    {
        $all = $this->redis()->pubsub('channels', 'ws:channel:' . $this->name('') . '*');
        return array_map(fn ($name) => $this->plain(substr($name, strlen('ws:channel:'))), $all);
    }

    /** The number of connections in a channel. */
    public function connections(string $channel): int
    {
        return $this->redis()->hLen('ws:presence:channel:' . $this->name($channel));
    }

    /** The members of a presence channel: user id => what the site's server said of the user. */
    public function users(string $channel): array
    {
        return array_column($this->members($channel)[1], null, 'user_id');
    }

    /** The user of a connection in a presence channel. */
    public function userOf(string $channel, string $socket): ?string
    {
        return json_decode($this->redis()->hGet($this->key('members', $channel), $socket) ?: 'null')->user_id ?? null;
    }

    /**
     * A connection enters a presence channel as a member, or leaves it: null. False: it is in it
     * already, or the channel is full.
     *
     * One transaction changes the list and sends what follows: the connection joins and gets the
     * list, the others get the change. Clients get these in the order of the transactions, on all
     * nodes: no change falls between a list and what comes after it.
     */
    public function presence(string $channel, string $socket, string $connection, ?object $member): bool
    {
        [$name, $key, $redis] = [$this->name($channel), $this->key('members', $channel), $this->redis()];
        $event = fn ($what, $data) => ['event' => "pusher_internal:$what", 'channel' => $channel, 'data' => self::json($data)];
        $others = fn ($what, $data) => ['to' => "channel:$name", 'except' => ["conn:$connection"], 'data' => $event($what, $data)];
        for ($try = 0; $try < self::TRIES; $try++) {
            $redis->watch($key);
            [$all, $next] = $this->members($channel);
            if (isset($all[$socket]) === isset($member) || isset($member) && count($next) >= self::MEMBERS) {
                $redis->unwatch();
                return $member === null;
            }
            $redis->multi()->hDel($key, $socket, ...array_map('strval', array_keys(array_diff_key($all, $next))));
            unset($next[$socket]);
            $member === null || $next[$socket] = $member;
            [$was, $is] = [array_column($all, null, 'user_id'), array_column($next, null, 'user_id')];
            if ($member === null) {
                $redis->sRem($this->key('of', $socket), $channel);
                $commands = [['to' => "conn:$connection", 'leave' => [$name]]];
            } else {
                $redis->hSet($key, $socket, self::json($member))->sAdd($this->key('of', $socket), $channel);
                $list = ['ids' => array_map('strval', array_keys($is)), 'hash' => (object) array_column($is, 'user_info', 'user_id'), 'count' => count($is)];
                $commands = [['to' => "conn:$connection", 'join' => [$name], 'data' => $event('subscription_succeeded', ['presence' => $list])]];
            }
            foreach (array_diff_key($was, $is) as $m) {
                $commands[] = $others('member_removed', ['user_id' => $m->user_id]);
            }
            foreach (array_diff_key($is, $was) as $m) {
                $commands[] = $others('member_added', ['user_id' => $m->user_id, 'user_info' => $m->user_info]);
            }
            $this->send($commands);
            if ($redis->exec() !== false) {
                return true;
            }
        }
        throw new RuntimeException("the members of $channel change too fast");
    }

    /** A connection has ended: it leaves its presence channels. */
    public function ended(string $socket, string $connection): void
    {
        foreach ($this->redis()->sMembers($this->key('of', $socket)) as $channel) {
            $this->presence($channel, $socket, $connection, null);
        }
    }

    /**
     * The members of a presence channel by socket: all of the list, and those of them that wsfpm
     * has, too. The disconnect event of any other was lost, because PHP was away for long.
     */
    private function members(string $channel): array
    {
        $all = array_map('json_decode', $this->redis()->hGetAll($this->key('members', $channel)));
        $here = array_flip($this->redis()->hKeys('ws:presence:channel:' . $this->name($channel)));
        $is = fn ($member, $socket) => isset($here['user:' . $this->name((string) $socket)]) || $member->since > time() - self::UNCOUNTED;
        return [$all, array_filter($all, $is, ARRAY_FILTER_USE_BOTH)];
    }

    private function key(string $kind, string $of): string
    {
        return "pusher:$this->id:$kind:$of";
    }

    /** wsfpm's Redis, of which redisURL has the parts. */
    private function redis(): Redis
    {
        if ($this->redis === null) {
            $url = $this->redisURL;
            $redis = new Redis();
            $redis->connect($url['host'], $url['port'] ?? 6379, 3.0);
            isset($url['pass']) && $redis->auth(array_values(array_filter([rawurldecode($url['user'] ?? ''), rawurldecode($url['pass'])], 'strlen')));
            $redis->select((int) trim($url['path'] ?? '', '/'));
            $this->redis = $redis;
        }
        return $this->redis;
    }
}
