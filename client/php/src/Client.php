<?php
declare(strict_types=1);

namespace Wsfpm;

class_exists(Command::class) || require __DIR__ . '/Command.php';
class_exists(Redis::class) || require __DIR__ . '/Redis.php';
class_exists(Http::class) || require __DIR__ . '/Http.php';

/**
 * Pushes, commands and questions from any script, cron job or worker (docs/contract.md, 3, 4 and 8), over phpredis,
 * Predis, a connection of its own, or HTTP. What the gateway would drop is refused here, with the caller's file and
 * line (Refused); what Redis or the gateway did not take is Failed.
 *
 *     $ws = new Client($redis);                        // phpredis or Predis, as the site has it
 *     $ws = new Client('redis://127.0.0.1:6379');      // a connection of its own
 *     $ws->push('user:42', ['order' => 'shipped']);    // to who is connected
 *     $ws->store('user:42', ['order' => 'shipped']);   // through the log: to who is away, later
 */
final class Client
{
    private readonly Redis|Http $door;

    /**
     * @param object|string $to a \Redis, a Predis\Client, a Closure that returns one, which is called again when that has broken, or a URL: redis://[user:password@]host[:port][/database], rediss:// for TLS, with the parameters of the gateway's redis.url,
     *     unix://[user:password@]/path/redis.sock, http://host:port or http+unix:///path/admin.sock for the gateway's admin listener
     * @param string $prefix the gateway's redis.prefix
     * @param string $stream the gateway's durable.stream, "" for <prefix>log
     * @param string $token the gateway's admin_token, for HTTP
     * @param float $timeout for a connection of its own, in seconds: to connect, and for each command
     * @param int $limit the gateway's redis.push_limit, in bytes
     */
    public function __construct(
        #[\SensitiveParameter] object|string $to,
        private readonly string $prefix = 'ws:',
        private readonly string $stream = '',
        #[\SensitiveParameter] string $token = '',
        float $timeout = 3.0,
        private readonly int $limit = 1 << 20,
    ) {
        $this->door = is_string($to) && str_starts_with($to, 'http') ? new Http($to, $token, $timeout) : new Redis($to, $timeout);
    }

    /**
     * Sends data to those who are connected. A string is sent as it is, any other value as JSON.
     *
     * @param string|list<string> $to addresses: "user:42", "channel:lobby", "conn:<id>", "all"
     * @param string|list<string> $except addresses that get nothing
     * @return int by Redis the nodes that heard it (in a Cluster those of the server asked), by HTTP the connections of the node asked
     */
    public function push(string|array $to, mixed $data, string|array $except = [], bool $binary = false): int
    {
        $command = $this->message($to, $data, $except, $binary);
        if (!is_string($to) || $binary || $except !== [] || $this->door instanceof Http) {
            return $this->command($command);
        }
        Command::check($command, false);
        return (int) $this->door->run('PUBLISH', $this->prefix . $to, is_string($data) ? $data : Command::json($data, 'data'));
    }

    /**
     * Stores data in the log: those who are connected get it now, those who are away when they come back to a route
     * with resume. After the commit of what it is about, never before.
     *
     * @param string|list<string> $to
     * @param string|list<string> $except "conn:…" and "user:…" only
     * @return string the receipt: its id
     */
    public function store(string|array $to, mixed $data, string|array $except = [], bool $binary = false): string
    {
        $command = $this->message($to, $data, $except, $binary) + ['durable' => true];
        $fields = $except === [] ? [] : ['except', implode(',', (array) $except)];
        return $this->append($command, ...$fields, ...[$binary ? 'binary' : 'data', is_string($data) ? $data : Command::json($data, 'data')]);
    }

    /**
     * Carries out commands of docs/contract.md, 4, in this order, all or none.
     *
     * @param array<string, mixed> ...$commands
     * @return int as push()
     */
    public function command(array ...$commands): int
    {
        $json = Command::encode(array_values($commands), false);
        if ($this->door instanceof Http) {
            return (int) ($this->door->push($json)['delivered'] ?? 0);
        }
        foreach ($commands as $command) {
            if (array_key_exists('durable', $command)) {
                throw new Refused('durable: through Redis, use store()');
            }
        }
        return (int) $this->door->run('PUBLISH', "{$this->prefix}command", $json);
    }

    /**
     * Makes clients join channels. Later commands to the channel reach them.
     *
     * @param string|list<string> $to
     * @param string|int|list<string|int> $channels
     */
    public function join(string|array $to, string|int|array $channels): int
    {
        return $this->command(['to' => $to, 'join' => $channels]);
    }

    /**
     * Makes clients leave channels; "*" is all of them.
     *
     * @param string|list<string> $to
     * @param string|int|list<string|int> $channels
     */
    public function leave(string|array $to, string|int|array $channels): int
    {
        return $this->command(['to' => $to, 'leave' => $channels]);
    }

    /**
     * Ends all connections of users. A client whose connect script runs at this moment has none yet, and is let in: kick() ends that, too.
     *
     * @param string|int|list<string|int> $users
     */
    public function disconnect(string|int|array $users, int $code = 4001, string $reason = ''): int
    {
        return $this->close(self::users($users, 'disconnect'), $code, $reason);
    }

    /**
     * Ends all connections of users through the log: also those that are being made, and those of nodes that are without Redis now.
     * Refuse the users first: who connects later is asked as ever. A gateway without a log (durable.keep = 0) does not hear of it.
     *
     * @param string|int|list<string|int> $users
     * @return string the receipt: its id
     */
    public function kick(string|int|array $users, int $code = 4001, string $reason = ''): string
    {
        $command = ['to' => self::users($users, 'kick'), 'close' => ['code' => $code, 'reason' => $reason], 'durable' => true];
        return $this->append($command, 'close', rtrim("$code $reason"));
    }

    /**
     * Ends the connections that addresses mean.
     *
     * @param string|list<string> $to
     */
    public function close(string|array $to, int $code = 4001, string $reason = ''): int
    {
        return $this->command(['to' => $to, 'close' => ['code' => $code, 'reason' => $reason]]);
    }

    /**
     * Drops the stored answers of routes, "*" of all (docs/cache.md).
     *
     * @param string|list<string> $paths
     */
    public function purge(string|array $paths): int
    {
        return $this->command(['purge' => $paths]);
    }

    /** Whether a user has a connection, on any node. Needs presence.users = true in the gateway; listeners() needs nothing. */
    public function online(string|int $user): bool
    {
        return $this->ask('EXISTS', 'user:' . Command::name($user, 'online')) === 1;
    }

    /**
     * The ids of a user's connections. Needs presence.users = true.
     *
     * @return list<string>
     */
    public function connections(string|int $user): array
    {
        $ids = [];
        foreach ((array) $this->ask('HKEYS', 'user:' . Command::name($user, 'connections')) as $address) {
            $ids[] = preg_replace('/^conn:/', '', (string) $address);
        }
        return $ids;
    }

    /**
     * The members of a channel, which presence.channels must name: "user:42", or "conn:<id>" for a client without
     * a user, with the number of its connections.
     *
     * @return array<string, int>
     */
    public function members(string|int $channel): array
    {
        $pairs = (array) $this->ask('HGETALL', 'channel:' . Command::name($channel, 'members'));
        $members = [];
        for ($i = 0; $i + 1 < count($pairs); $i += 2) {
            $members[(string) $pairs[$i]] = (int) $pairs[$i + 1];
        }
        return $members;
    }

    /** The number of members of a channel, which presence.channels must name. */
    public function count(string|int $channel): int
    {
        return (int) $this->ask('HLEN', 'channel:' . Command::name($channel, 'count'));
    }

    /** The number of nodes with a connection that the address means: 0 is none. Needs no configuration; not in a Cluster, not for "all". */
    public function listeners(string $address): int
    {
        $name = $this->prefix . Command::address($address, 'listeners');
        return (int) ($this->redis()->run('PUBSUB', 'NUMSUB', $name)[1] ?? 0);
    }

    /**
     * The names that presence knows of a kind, "user" or "channel": with SCAN, so one that comes or goes meanwhile may be missing.
     *
     * @return list<string>
     */
    public function present(string $kind): array
    {
        $key = "{$this->prefix}presence:$kind:";
        $names = [];
        $cursor = '0';
        do {
            [$cursor, $keys] = (array) $this->redis()->run('SCAN', (string) $cursor, 'MATCH', addcslashes($key, '*?[]\\') . '*', 'COUNT', '1000') + ['0', []];
            foreach ($keys as $found) {
                $names[substr((string) $found, strlen($key))] = true;
            }
        } while ((string) $cursor !== '0');
        return array_map('strval', array_keys($names));
    }

    /**
     * Stores a command in the log, as these fields beside "to".
     *
     * @param array<string, mixed> $command
     */
    private function append(array $command, string ...$fields): string
    {
        Command::check($command, false);
        if ($this->door instanceof Http) {
            return (string) ($this->door->push(Command::encode([$command], false))['ids'][0] ?? throw new Failed('the gateway has sent no id'));
        }
        $stream = $this->stream === '' ? "{$this->prefix}log" : $this->stream;
        return (string) $this->door->run('XADD', $stream, '*', 'to', implode(',', (array) $command['to']), ...$fields);
    }

    /**
     * The addresses of users.
     *
     * @param string|int|list<string|int> $users
     * @return list<string>
     */
    private static function users(string|int|array $users, string $what): array
    {
        $to = [];
        foreach ((array) $users as $user) {
            $to[] = 'user:' . Command::name($user, $what);
        }
        return $to;
    }

    /** A question to the keys of presence. */
    private function ask(string $command, string $name): mixed
    {
        return $this->redis()->run($command, "{$this->prefix}presence:$name");
    }

    private function redis(): Redis
    {
        return $this->door instanceof Redis ? $this->door : throw new Failed('who is there is in Redis: make this Client of a connection to Redis');
    }

    /**
     * The command of a push.
     *
     * @param string|list<string> $to
     * @param string|list<string> $except
     * @return array<string, mixed>
     */
    private function message(string|array $to, mixed $data, string|array $except, bool $binary): array
    {
        if ($binary && !is_string($data)) {
            throw new Refused('binary data is a string');
        }
        $text = is_string($data) ? $data : Command::json($data, 'data');
        if (strlen($text) > $this->limit) {
            throw new Refused('data has ' . strlen($text) . " bytes, at most {$this->limit} are allowed (redis.push_limit)");
        }
        return ['to' => $to] + ($binary ? ['base64' => base64_encode($data)] : ['data' => $data]) + ($except === [] ? [] : ['except' => $except]);
    }
}
