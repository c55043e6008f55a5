<?php
declare(strict_types=1);

namespace Wsfpm;

class_exists(Failed::class) || require __DIR__ . '/Failed.php';
class_exists(Refused::class) || require __DIR__ . '/Refused.php';

/**
 * A connection to Redis for scripts that have no library: it opens at the first command, and again after a failure.
 * RESP2; each command and reply within the timeout; replies up to 64 MiB.
 */
final class Connection
{
    /** The longest reply, in bytes, all of its parts together. */
    private const MAX_REPLY = 64 << 20;
    /** The deepest nesting of lists in a reply. */
    private const MAX_DEPTH = 8;

    private string $address;
    /** @var array<string, mixed> PHP's settings of TLS */
    private array $tls = [];
    /** @var list<list<string>> what each new connection begins with: AUTH, SELECT */
    private array $greeting = [];
    /** @var resource|null */
    private mixed $socket = null;
    private string $buffer = '';
    private int $taken = 0;
    private float $deadline = 0.0;

    /**
     * @param string $url redis://[user:password@]host[:port][/database], rediss:// for TLS with the parameters of the gateway's redis.url, or
     *     unix://[user:password@]/path[?db=N]
     */
    public function __construct(#[\SensitiveParameter] string $url, private readonly float $timeout)
    {
        $parts = parse_url(preg_replace('/^unix:\/\/([^\/@]*@)?\//', 'unix://$1socket/', $url) ?? '');
        if (!is_array($parts) || !in_array($parts['scheme'] ?? '', ['redis', 'rediss', 'unix'], true) || !isset($parts['host'])) {
            throw new Refused('want a URL such as redis://127.0.0.1:6379/0, rediss:// for TLS, or unix:///run/redis/redis.sock');
        }
        parse_str($parts['query'] ?? '', $query);
        $path = rawurldecode($parts['path'] ?? '');
        $isUnix = $parts['scheme'] === 'unix';
        $server = "$parts[host]:" . ($parts['port'] ?? 6379);
        [$this->address, $this->tls] = match ($parts['scheme']) {
            'unix' => ["unix://$path", []],
            'redis' => ["tcp://$server", []],
            'rediss' => ["tls://$server", self::tls($query)],
        };
        if (isset($parts['pass'])) {
            $user = rawurldecode($parts['user'] ?? '');
            $this->greeting[] = ['AUTH', ...($user === '' ? [] : [$user]), rawurldecode($parts['pass'])];
        }
        $database = $isUnix ? (string) ($query['db'] ?? '') : trim($path, '/');
        if ($database !== '' && $database !== '0') {
            $this->greeting[] = ['SELECT', $database];
        }
    }

    /**
     * What var_dump() and error pages show: not the password.
     *
     * @return array<string, mixed>
     */
    public function __debugInfo(): array
    {
        return ['address' => $this->address, 'timeout' => $this->timeout];
    }

    /** @return array<string, mixed> */
    public function __serialize(): array
    {
        throw new Refused('a connection cannot be serialized: it holds a password and a socket');
    }

    /**
     * Runs a command and returns its reply: an int, a string, null, or a list of these.
     *
     * @param list<string> $command
     */
    public function run(array $command): mixed
    {
        $this->deadline = microtime(true) + $this->timeout;
        try {
            if ($this->socket === null || $this->isStale()) {
                $this->drop();
                $this->open();
            }
            $this->write(self::encoded($command));
            $reply = $this->reply();
        } catch (Failed $e) {
            $this->drop();
            throw $e;
        }
        return $reply instanceof Failed ? throw new Failed("$command[0]: {$reply->getMessage()}") : $reply;
    }

    /**
     * Reads one reply from a text of RESP, for tests: the value and how many bytes it took.
     *
     * @return array{mixed, int}
     */
    public static function decode(string $resp): array
    {
        $connection = new self('redis://none', 0.0);
        $connection->buffer = $resp;
        $reply = $connection->reply();
        return [$reply, strlen($resp) - strlen($connection->buffer)];
    }

    /**
     * @param array<string, mixed> $query of a rediss:// URL
     * @return array<string, mixed> PHP's settings of TLS
     */
    private static function tls(#[\SensitiveParameter] array $query): array
    {
        $isAny = in_array($query['skip_verify'] ?? '', ['1', 'true'], true);
        $settings = $isAny ? ['verify_peer' => false, 'verify_peer_name' => false] : [];
        foreach (['cacert' => 'cafile', 'cert' => 'local_cert', 'key' => 'local_pk'] as $name => $setting) {
            if (isset($query[$name])) {
                is_string($query[$name]) && is_readable($query[$name]) || throw new Refused("$name of the URL: there is no such file, or PHP may not read it");
                $settings[$setting] = $query[$name];
            }
        }
        return $settings;
    }

    /** Whether there is something to read before a command, more than a ticket of TLS: Redis has closed the idle connection. */
    private function isStale(): bool
    {
        $readable = [$this->socket];
        $none = null;
        return @stream_select($readable, $none, $none, 0) !== 0 && (@fread($this->socket, 1) !== '' || feof($this->socket));
    }

    private function open(): void
    {
        $reasons = [];
        set_error_handler(static function (int $level, string $text) use (&$reasons): bool {
            $reasons[] = preg_replace('/^\S+: |\s+/', ' ', $text);
            return true;
        });
        try {
            $context = stream_context_create(['ssl' => $this->tls]);
            $socket = stream_socket_client($this->address, $code, $why, $this->timeout, STREAM_CLIENT_CONNECT, $context);
        } finally {
            restore_error_handler();
        }
        if ($socket === false) { // the reason of TLS is in a warning only
            throw new Failed("Redis at $this->address cannot be reached: " . ($why ?: trim($reasons[0] ?? '')));
        }
        stream_set_blocking($socket, false);
        [$this->socket, $this->buffer] = [$socket, ''];
        foreach ($this->greeting as $command) {
            try {
                $this->write(self::encoded($command));
                $reply = $this->reply();
            } catch (Failed $e) { // what was to follow has not been sent
                throw new Failed("$command[0] at $this->address has no answer", cause: $e);
            }
            if ($reply instanceof Failed) {
                throw new Failed("$command[0] at $this->address: {$reply->getMessage()}");
            }
        }
    }

    private function drop(): void
    {
        if ($this->socket !== null) {
            fclose($this->socket);
        }
        [$this->socket, $this->buffer] = [null, ''];
    }

    /** @param list<string> $command */
    private static function encoded(#[\SensitiveParameter] array $command): string
    {
        $text = '*' . count($command) . "\r\n";
        foreach ($command as $word) {
            $text .= '$' . strlen($word) . "\r\n$word\r\n";
        }
        return $text;
    }

    /** Writes a command. If that fails, Redis has only a part of it, and does not run it. */
    private function write(#[\SensitiveParameter] string $text): void
    {
        while ($text !== '') {
            $this->await(false);
            $n = @fwrite($this->socket, $text);
            if ($n === false || $n === 0 && feof($this->socket)) {
                throw new Failed('the connection to Redis broke');
            }
            $text = substr($text, $n);
        }
    }

    /** Waits until the socket can be read or written, until the deadline at most. */
    private function await(bool $read): void
    {
        $left = $this->deadline - microtime(true);
        $readable = $read ? [$this->socket] : null;
        $writable = $read ? null : [$this->socket];
        $none = null;
        if ($left <= 0 || (int) @stream_select($readable, $writable, $none, (int) $left, (int) (fmod($left, 1) * 1e6)) === 0) {
            throw new Failed('Redis has not ' . ($read ? 'answered' : 'taken the command') . " within $this->timeout s", $read);
        }
    }

    /** One reply; an error of Redis is returned as Failed. */
    private function reply(): mixed
    {
        $this->taken = 0;
        return $this->value(0);
    }

    private function value(int $depth): mixed
    {
        $line = $this->line();
        $rest = substr($line, 1);
        return match ($line[0] ?? '') {
            '+' => $rest,
            '-' => new Failed($rest),
            ':' => self::number($rest),
            '$' => $this->bulk(self::number($rest)),
            '*' => $this->values(self::number($rest), $depth + 1),
            default => throw new Failed('Redis has sent what is no reply', true),
        };
    }

    private static function number(string $digits): int
    {
        if (preg_match('/^[+-]?\d{1,18}$/D', $digits) !== 1) {
            throw new Failed('Redis has sent what is no reply', true);
        }
        return (int) $digits;
    }

    private function bulk(int $length): ?string
    {
        if ($length === -1) {
            return null;
        }
        $text = $this->take($length < 0 ? self::MAX_REPLY : $length + 2);
        if (!str_ends_with($text, "\r\n")) {
            throw new Failed('Redis has sent what is no reply', true);
        }
        return substr($text, 0, -2);
    }

    /** @return list<mixed>|null */
    private function values(int $count, int $depth): ?array
    {
        if ($count === -1) {
            return null;
        }
        if ($count < 0 || $depth > self::MAX_DEPTH || $count > self::MAX_REPLY / 4) {
            throw new Failed('Redis has sent what is no reply', true);
        }
        $list = [];
        while (count($list) < $count) {
            $list[] = $this->value($depth);
        }
        return $list;
    }

    private function line(): string
    {
        while (($end = strpos($this->buffer, "\r\n")) === false) {
            if (strlen($this->buffer) > 65536) {
                throw new Failed('Redis has sent a line without an end', true);
            }
            $this->read();
        }
        return substr($this->take($end + 2), 0, -2);
    }

    /** The next bytes of the reply. */
    private function take(int $bytes): string
    {
        $this->taken += $bytes;
        if ($this->taken > self::MAX_REPLY) {
            throw new Failed('the reply of Redis has more than ' . self::MAX_REPLY . ' bytes', true);
        }
        while (strlen($this->buffer) < $bytes) {
            $this->read();
        }
        $text = substr($this->buffer, 0, $bytes);
        $this->buffer = substr($this->buffer, $bytes);
        return $text;
    }

    private function read(): void
    {
        if ($this->socket === null) {
            throw new Failed('the reply is cut off', true);
        }
        $text = @fread($this->socket, 65536);
        if ($text === '' && !feof($this->socket)) { // only now: TLS may hold bytes of which the socket shows nothing
            $this->await(true);
            $text = @fread($this->socket, 65536);
        }
        if ($text === false || $text === '' && feof($this->socket)) {
            throw new Failed('the connection to Redis broke', true);
        }
        $this->buffer .= $text;
    }
}
