<?php
declare(strict_types=1);

/**
 * The rooms of the chat and their messages, in plain files: no database server is needed.
 *
 *   rooms.json          the rooms: name => when a person last came in
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

    /** The names of the rooms. */
    public function rooms(): array
    {
        $names = array_map('strval', array_keys($this->read('rooms.json')));
        return array_values(array_unique([...self::FIRST_ROOMS, ...$names]));
    }

    /**
     * Notes that a person comes into a room, which is opened if it is not there.
     * Returns false when there are too many. A room in which nothing has happened for
     * a day is forgotten.
     */
    public function open(string $room): bool
    {
        return $this->change('rooms.json', function (array &$rooms) use ($room): bool {
            $now = time();
            foreach ($rooms as $name => $used) {
                $file = "$this->folder/" . self::roomFile((string) $name);
                if (max($used, (int) @filemtime($file)) <= $now - self::ROOM_LIFE) {
                    unset($rooms[$name]);
                    @unlink($file);
                }
            }
            if (!isset($rooms[$room]) && !in_array($room, self::FIRST_ROOMS, true) && count($rooms) >= self::ROOMS) {
                return false;
            }
            $rooms[$room] = $now;
            return true;
        });
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

    /** The last messages of a room. */
    public function history(string $room): array
    {
        return $this->read(self::roomFile($room));
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
