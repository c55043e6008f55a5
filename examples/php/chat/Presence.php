<?php
declare(strict_types=1);

/**
 * Who is here: wsfpm keeps it in Redis ([presence] of its configuration), right over
 * all tabs and nodes, also after a node has died. Here it is only read.
 *
 * With the extension redis it is
 *
 *   $redis->multi()->time()->hGetAll('ws:presence:channel:room.lobby')->exec();
 *
 * but this example runs without any extension, and so speaks to Redis by itself.
 */
final class Presence
{
    private const KEY = 'ws:presence:'; // ws: is wsfpm's redis.prefix

    /** url: redis://[[user]:password@]host[:port][/database] */
    public function __construct(private string $url)
    {
    }

    /**
     * The people of a room, each with the number of their connections there, and how
     * many are in each of the other rooms. "at" is Redis's clock: of two lists the one
     * with the higher number is right, in whatever order they arrive. Null: it is
     * unknown, because Redis does not answer.
     */
    public function of(string $room, array $rooms): ?array
    {
        $answers = $this->ask(['TIME'], ['HGETALL', self::KEY . "channel:room.$room"],
            ...array_map(fn ($r) => ['HLEN', self::KEY . "channel:room.$r"], $rooms));
        if ($answers === null) {
            return null;
        }
        [[$seconds, $micros], $members] = $answers;
        $people = [];
        foreach (array_chunk($members, 2) as [$member, $connections]) {
            $people[substr($member, strlen('user:'))] = (int) $connections;
        }
        return [
            'at' => (int) $seconds * 1_000_000 + (int) $micros,
            'people' => $people,
            'rooms' => array_combine($rooms, array_slice($answers, 2)),
        ];
    }

    /** Whether a person is here at all, in any room; null: unknown. */
    public function isHere(string $name): ?bool
    {
        $answers = $this->ask(['EXISTS', self::KEY . "user:$name"]);
        return $answers === null ? null : $answers[0] === 1;
    }

    /** Runs commands in one transaction: their answers belong to one moment. Null when Redis cannot. */
    private function ask(array ...$commands): ?array
    {
        $url = parse_url($this->url) ?: [];
        $redis = @stream_socket_client('tcp://' . ($url['host'] ?? '127.0.0.1') . ':' . ($url['port'] ?? 6379), $code, $error, 1);
        if ($redis === false) {
            return null;
        }
        stream_set_timeout($redis, 1);
        $commands = [['SELECT', trim($url['path'] ?? '', '/') ?: '0'], ['MULTI'], ...$commands, ['EXEC']];
        if (isset($url['pass'])) {
            array_unshift($commands, ['AUTH', rawurldecode(($url['user'] ?? '') ?: 'default'), rawurldecode($url['pass'])]);
        }
        $words = fn (array $words) => '*' . count($words) . "\r\n" . implode(array_map(fn ($w) => '$' . strlen($w) . "\r\n$w\r\n", $words));
        fwrite($redis, implode(array_map($words, $commands)));
        try {
            foreach ($commands as $ignored) {
                $answer = self::answer($redis);
            }
            return $answer;
        } catch (UnexpectedValueException) {
            return null;
        } finally {
            fclose($redis);
        }
    }

    /** Reads one answer: a text, a number, or a list of answers. */
    private static function answer($redis): string|int|array
    {
        $line = fgets($redis);
        $rest = trim(substr((string) $line, 1));
        return match ($line[0] ?? '') {
            '+' => $rest,
            ':' => (int) $rest,
            '$' => substr((string) stream_get_contents($redis, (int) $rest + 2), 0, -2),
            '*' => array_map(fn () => self::answer($redis), array_fill(0, max(0, (int) $rest), null)),
            default => throw new UnexpectedValueException("Redis: $rest"),
        };
    }
}
