<?php
declare(strict_types=1);

/**
 * The state of the chat, in plain files: no database server is needed.
 *
 *   presence.json       presence: connection id => name, room, last seen
 *   room-<hash>.json    the last messages of one room
 *   pace.json           the time of each person's last message
 *
 * Events of one connection come one after the other, but those of different
 * connections run at the same time in several PHP workers. So every change is
 * made under a lock, and a file is replaced whole: a worker that is killed
 * half-way leaves the old one. This serves some hundred people on one machine;
 * for more, or for several machines, implement these methods with a database.
 */
final class Store
{
    public const FIRST_ROOMS = ['lobby', 'help', 'random'];

    private const HISTORY = 50;       // messages kept per room
    private const ROOMS = 40;         // rooms at most
    private const ROOM_LIFE = 86_400; // seconds until an empty room is forgotten, with its messages
    private const SILENCE = 180;      // seconds without a report until a connection counts as dead

    public function __construct(private string $folder)
    {
        if (!is_dir($folder)) {
            @mkdir($folder, 0700, true);
        }
        // A folder that others may write to is not ours: another user made it first.
        if (!is_writable($folder) || fileperms($folder) & 0022) {
            throw new RuntimeException("$folder must be writable for PHP-FPM only");
        }
    }

    /**
     * Notes that a connection is in a room, and alive. Pages report once a
     * minute; a connection whose server died without a disconnect falls silent
     * and is dropped here. Returns whether the person was not in the room before.
     */
    public function enter(string $connection, string $name, string $room): bool
    {
        return $this->change('presence.json', function (array &$p) use ($connection, $name, $room): bool {
            $now = time();
            $before = $p['here'] ?? [];
            $p['here'] = array_filter($before, fn ($c) => $c['seen'] > $now - self::SILENCE);
            $new = !self::isIn($p['here'], $name, $room);

            $p['here'][$connection] = ['name' => $name, 'room' => $room, 'seen' => $now];
            $p['rooms'][$room] = $now;
            foreach ($p['rooms'] as $name => $used) {
                if ($used <= $now - self::ROOM_LIFE) {
                    unset($p['rooms'][$name]);
                    @unlink("$this->folder/" . self::roomFile((string) $name));
                }
            }
            if ($new || count($before) > count($p['here'])) {
                $p['version'] = self::next($p['version'] ?? 0);
            }
            return $new;
        });
    }

    /**
     * Notes that a connection has left. Returns the room that the person is no
     * longer in, or null when another of their tabs is still there.
     */
    public function leave(string $connection): ?string
    {
        return $this->change('presence.json', function (array &$p) use ($connection): ?string {
            $c = $p['here'][$connection] ?? null;
            if ($c === null) {
                return null;
            }
            unset($p['here'][$connection]);
            $p['rooms'][$c['room']] = time();
            if (self::isIn($p['here'], $c['name'], $c['room'])) {
                return null;
            }
            $p['version'] = self::next($p['version'] ?? 0);
            return $c['room'];
        });
    }

    /**
     * The people of a room, each once, and the number in every room. The
     * version grows: two workers may publish their lists in the wrong order,
     * and a page keeps the newer one.
     */
    public function people(string $room): array
    {
        $p = $this->read('presence.json');
        $in = array_fill_keys([...self::FIRST_ROOMS, ...array_map('strval', array_keys($p['rooms'] ?? []))], []);
        foreach ($p['here'] ?? [] as $c) {
            if ($c['seen'] > time() - self::SILENCE) {
                $in[$c['room']][$c['name']] = true;
            }
        }
        $people = array_map('strval', array_keys($in[$room] ?? []));
        natcasesort($people);
        return [
            'room' => $room,
            'people' => array_values($people),
            'rooms' => array_map('count', $in),
            'version' => $p['version'] ?? 0,
        ];
    }

    /** Whether a person is here at all, in any room. */
    public function isHere(string $name): bool
    {
        foreach ($this->read('presence.json')['here'] ?? [] as $c) {
            if ($c['name'] === $name && $c['seen'] > time() - self::SILENCE) {
                return true;
            }
        }
        return false;
    }

    /** Whether a room exists or may still be opened. */
    public function hasPlaceFor(string $room): bool
    {
        $rooms = $this->read('presence.json')['rooms'] ?? [];
        return in_array($room, self::FIRST_ROOMS, true) || isset($rooms[$room]) || count($rooms) < self::ROOMS;
    }

    /**
     * One message per second and person, however many tabs the person has.
     * Returns the seconds to wait; 0 means go ahead.
     */
    public function wait(string $name): float
    {
        return $this->change('pace.json', function (array &$last) use ($name): float {
            $now = microtime(true);
            $last = array_filter($last, fn ($t) => $t > $now - 1 && $t <= $now);
            if (isset($last[$name])) {
                return $last[$name] + 1 - $now;
            }
            $last[$name] = $now;
            return 0.0;
        });
    }

    /**
     * Keeps a message and returns it with its id, which is its time in
     * milliseconds too. A page that got no answer sends its message again with
     * the same key: then the message that is there already is returned.
     */
    public function keep(string $room, string $from, string $key, string $text): array
    {
        return $this->change(self::roomFile($room), function (array &$messages) use ($room, $from, $key, $text): array {
            foreach ($messages as $m) {
                if ($m['key'] === $key && $m['from'] === $from) {
                    return $m;
                }
            }
            $id = self::next(end($messages)['id'] ?? 0);
            $m = ['type' => 'message', 'id' => $id, 'room' => $room, 'from' => $from, 'key' => $key, 'text' => $text];
            $messages = [...array_slice($messages, 1 - self::HISTORY), $m];
            return $m;
        });
    }

    /** The last messages of a room that came after an id; 0 for all that are kept. */
    public function history(string $room, int $after = 0): array
    {
        return array_values(array_filter($this->read(self::roomFile($room)), fn ($m) => $m['id'] > $after));
    }

    private static function isIn(array $here, string $name, string $room): bool
    {
        foreach ($here as $c) {
            if ($c['name'] === $name && $c['room'] === $room) {
                return true;
            }
        }
        return false;
    }

    /** A number above the last one: the time in milliseconds, where that is above it. */
    private static function next(int $last): int
    {
        return max($last + 1, (int) (microtime(true) * 1000));
    }

    private static function roomFile(string $room): string
    {
        return 'room-' . substr(hash('sha256', $room), 0, 16) . '.json';
    }

    private function read(string $file): array
    {
        // Without a lock: files are replaced whole, so this is the old one or the new one.
        return json_decode((string) @file_get_contents("$this->folder/$file"), true) ?: [];
    }

    /** Runs $change on the content of a file, alone, then writes it back if it is another. */
    private function change(string $file, callable $change): mixed
    {
        $lock = fopen("$this->folder/$file.lock", 'c');
        flock($lock, LOCK_EX);
        try {
            $old = $data = $this->read($file);
            $result = $change($data);
            if ($data !== $old) {
                $json = json_encode($data, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR);
                if (file_put_contents("$this->folder/$file.new", $json) !== strlen($json)) {
                    throw new RuntimeException("$this->folder: disk full?");
                }
                rename("$this->folder/$file.new", "$this->folder/$file");
            }
            return $result;
        } finally {
            flock($lock, LOCK_UN);
            fclose($lock);
        }
    }
}
