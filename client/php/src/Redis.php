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
    /** An exception's message that is an error of Redis, not one of the connection: it begins with a word in capitals. */
    private const REPLY = '/^(?:`[A-Z]+` failed: )?[A-Z]{2,} /';

    /** Opens a connection again: phpredis itself makes no new one once it could not. */
    private readonly ?\Closure $open;
    private ?object $redis = null;

    /** @param object|string $to a \Redis, a Predis\Client, a Closure that returns one, or a URL as in Client */
    public function __construct(#[\SensitiveParameter] object|string $to, float $timeout)
    {
        $this->open = $to instanceof \Closure ? $to : null;
        if ($this->open === null) {
            $this->redis = is_string($to) ? new Connection($to, $timeout) : self::library($to);
        }
    }

    /** Runs a command. Its reply is an int, a string, null, or a list of these; an error of Redis is Failed. */
    public function run(string ...$command): mixed
    {
        $redis = $this->redis ??= $this->opened($command[0]);
        if ($redis instanceof Connection) {
            return $redis->run($command);
        }
        try {
            return $redis instanceof \Redis ? self::phpredis($redis, $command) : self::predis($redis, $command);
        } catch (Failed $e) {
            $cause = $e->getPrevious();
            if ($this->open !== null && $cause !== null && !self::answered($cause)) {
                $this->redis = null;
            }
            throw $e;
        }
    }

    private function opened(string $command): object
    {
        try {
            return self::library(($this->open)());
        } catch (\RedisException $e) {
            throw new Failed("$command: {$e->getMessage()}", false, $e);
        }
    }

    private static function library(mixed $redis): object
    {
        if (!$redis instanceof \Redis && !(is_object($redis) && method_exists($redis, 'executeRaw'))) {
            throw new Refused(get_debug_type($redis) . ': want a \Redis (phpredis), a Predis\Client, a Closure that returns one, or a URL');
        }
        return $redis;
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

    /** A library's exception. With an error of Redis, or without a connection, the command has not run. */
    /** Whether an exception is Redis's own answer: the connection is well then, and the command has not run. */
    private static function answered(\Throwable $e): bool
    {
        return preg_match(self::REPLY, $e->getMessage()) === 1;
    }

    private static function failed(string $command, \Exception $e): Failed
    {
        $mayHaveRun = !self::answered($e) && !str_starts_with($e->getMessage(), 'Connection refused');
        return new Failed("$command: {$e->getMessage()}", $mayHaveRun, $e);
    }
}
