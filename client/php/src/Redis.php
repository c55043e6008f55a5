<?php
declare(strict_types=1);

namespace Wsfpm;

class_exists(Failed::class) || require __DIR__ . '/Failed.php';
class_exists(Connection::class) || require __DIR__ . '/Connection.php';

/**
 * One command of Redis over phpredis, Predis or a connection of its own, past all of their prefixes, serializers and
 * compression: Redis gets the bytes that the contract names.
 */
final class Redis
{
    private readonly object $redis;

    /** @param object|string $to a \Redis, a Predis\Client, or a URL as in Client */
    public function __construct(#[\SensitiveParameter] object|string $to, float $timeout)
    {
        $this->redis = is_string($to) ? new Connection($to, $timeout) : $to;
        if (!$this->redis instanceof Connection && !$this->redis instanceof \Redis && !method_exists($this->redis, 'executeRaw')) {
            throw new Refused(get_debug_type($to) . ': want a \Redis (phpredis), a Predis\Client or a URL');
        }
    }

    /** Runs a command. Its reply is an int, a string, null, or a list of these; an error of Redis is Failed. */
    public function run(string ...$command): mixed
    {
        if ($this->redis instanceof Connection) {
            return $this->redis->run($command);
        }
        return $this->redis instanceof \Redis ? self::phpredis($this->redis, $command) : self::predis($this->redis, $command);
    }

    /** @param list<string> $command */
    private static function phpredis(\Redis $redis, array $command): mixed
    {
        if ($redis->getMode() !== \Redis::ATOMIC) {
            throw new Refused('the connection is within multi() or pipeline(), where a command has no reply: give Client another one');
        }
        try {
            $redis->clearLastError();
            $reply = $redis->rawCommand(...$command);
            $error = $redis->getLastError();
        } catch (\RedisException $e) {
            throw self::failed($command[0], $e);
        }
        return $error === null ? $reply : throw new Failed("$command[0]: $error");
    }

    /** @param list<string> $command */
    private static function predis(object $redis, array $command): mixed
    {
        $isError = false;
        try {
            $reply = $redis->executeRaw($command, $isError);
        } catch (\Exception $e) {
            throw self::failed($command[0], $e);
        }
        return $isError ? throw new Failed("$command[0]: $reply") : $reply;
    }

    /** A library's exception. With an error of Redis, which begins with a word in capitals, or without a connection, the command has not run. */
    private static function failed(string $command, \Exception $e): Failed
    {
        $hasNotRun = preg_match('/^(?:(?:`[A-Z]+` failed: )?[A-Z]{2,} |Connection refused)/', $e->getMessage()) === 1;
        return new Failed("$command: {$e->getMessage()}", !$hasNotRun, $e);
    }
}
