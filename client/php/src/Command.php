<?php
declare(strict_types=1);

namespace Wsfpm;

class_exists(Refused::class) || require __DIR__ . '/Refused.php';

/**
 * The rules for commands, names and texts (docs/contract.md, 2 to 4), which Answer and Client
 * share. testdata/ holds these and the gateway's own parser to the same verdicts.
 */
final class Command
{
    /** The longest name of a user or a channel, in bytes. */
    public const MAX_NAME = 200;
    /** The longest state of a connection, in bytes. */
    public const MAX_STATE = 8192;
    /** The longest reason of a close, in bytes. */
    public const MAX_REASON = 123;
    /** The most commands in a list, addresses, channels, or paths in a command. */
    public const MAX_ITEMS = 1000;
    /** The largest Unix time in seconds: of 11 digits. */
    public const MAX_TIME = 99_999_999_999;
    /** The longest path to purge, in bytes. */
    public const MAX_PATH = 1000;

    private const FIELDS = ['to', 'except', 'data', 'base64', 'join', 'leave', 'close', 'purge', 'durable', 'user', 'state', 'expires', 'relay'];

    /**
     * The JSON of one command or of a list, after a check of all.
     *
     * @param list<array<string, mixed>> $commands
     * @param bool $answer it is a script's answer: "to" may be missing, "self" may be excepted
     */
    public static function encode(array $commands, bool $answer): string
    {
        if (count($commands) > self::MAX_ITEMS) {
            throw new Refused(count($commands) . ' commands, at most ' . self::MAX_ITEMS . ' are allowed');
        }
        foreach (array_values($commands) as $i => $command) {
            self::check($command, $answer, 'command ' . ($i + 1) . ': ');
        }
        $objects = array_map(fn (array $command): object => (object) $command, array_values($commands));
        return self::json(count($objects) === 1 ? $objects[0] : $objects, 'command');
    }

    /**
     * Checks one command.
     *
     * @param array<string, mixed> $command
     */
    public static function check(array $command, bool $answer, string $where = ''): void
    {
        foreach ($command as $field => $value) {
            if (!in_array($field, self::FIELDS, true)) {
                throw new Refused("{$where}unknown field " . self::shown($field) . ': want ' . implode(', ', self::FIELDS));
            }
        }
        self::target($command, $answer, $where);
        if (array_key_exists('base64', $command)) {
            self::base64($command, $where);
        }
        if (isset($command['data']) && is_string($command['data'])) {
            self::text($command['data'], "{$where}data");
        }
        $count = 0;
        foreach (['join' => false, 'leave' => true] as $field => $star) {
            if (array_key_exists($field, $command)) {
                $count += count(self::names($command[$field], $where . $field, $star));
            }
        }
        if ($count > self::MAX_ITEMS) {
            throw new Refused("$where$count channels, at most " . self::MAX_ITEMS . ' are allowed');
        }
        self::rest($command, $where);
    }

    /**
     * A name of a user or a channel; a whole number stands for its digits.
     */
    public static function name(mixed $name, string $what): string
    {
        $name = self::string($name, $what, 'a name');
        $why = match (true) {
            $name === '' => 'is empty',
            strlen($name) > self::MAX_NAME => 'has ' . strlen($name) . ' bytes, at most ' . self::MAX_NAME . ' are allowed',
            preg_match('//u', $name) !== 1 => 'is not UTF-8',
            $name[0] === ' ' || str_ends_with($name, ' ') => 'begins or ends with a space',
            preg_match('/[\x{00}-\x{1f}\x{7f}-\x{9f}]/u', $name) === 1 => 'has a control character',
            strpbrk($name, ',;*') !== false => 'has "' . strpbrk($name, ',;*')[0] . '" in it',
            default => '',
        };
        if ($why !== '') {
            throw new Refused("$what: the name " . self::shown($name) . " $why");
        }
        return $name;
    }

    /**
     * Names of channels: one or a list.
     *
     * @return list<string>
     */
    public static function names(mixed $names, string $what, bool $star = false): array
    {
        $checked = [];
        foreach (self::items($names, $what) as $name) {
            $checked[] = $star && $name === '*' ? '*' : self::name($name, $what);
        }
        return $checked;
    }

    /** An address: "conn:<id>", "user:<name>", "channel:<name>" or "all". */
    public static function address(mixed $address, string $what): string
    {
        $address = self::string($address, $what, 'an address, such as "user:42"');
        if ($address === 'all') {
            return $address;
        }
        [$kind, $name] = explode(':', $address, 2) + [1 => null];
        if ($name === null || !in_array($kind, ['conn', 'user', 'channel'], true)) {
            throw new Refused("$what: the address " . self::shown($address) . ': want conn:<id>, user:<name>, channel:<name> or all');
        }
        self::name($name, $what);
        return $address;
    }

    /**
     * Addresses: one or a list, which is not empty.
     *
     * @return list<string>
     */
    public static function addresses(mixed $to, string $what): array
    {
        $checked = [];
        foreach (self::items($to, $what) as $address) {
            $checked[] = self::address($address, $what);
        }
        if ($checked === []) {
            throw new Refused("$what: an empty list: name the clients, for instance \"user:42\"");
        }
        return $checked;
    }

    /** A text must be UTF-8. */
    public static function text(string $text, string $what): string
    {
        if (preg_match('//u', $text) !== 1) {
            throw new Refused("$what: a text that is not UTF-8: send bytes as binary");
        }
        return $text;
    }

    /** A JSON text of any value. */
    public static function json(mixed $value, string $what): string
    {
        try {
            return json_encode($value, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION);
        } catch (\JsonException $e) {
            throw new Refused("$what: no JSON can be made of it: {$e->getMessage()}");
        }
    }

    /** A close: its code is one that scripts may use, its reason fits. */
    public static function close(int $code, string $reason, string $what): void
    {
        if (!in_array($code, [1000, 1001, 1008, 1011, 1012, 1013], true) && ($code < 3000 || $code > 4999)) {
            throw new Refused("$what: close code $code: want 1000, 1001, 1008, 1011 to 1013, or 3000 to 4999");
        }
        self::text($reason, "$what: the reason");
        if (strlen($reason) > self::MAX_REASON) {
            throw new Refused("$what: the reason has " . strlen($reason) . ' bytes, at most ' . self::MAX_REASON . ' are allowed');
        }
    }

    /** A state of a connection. */
    public static function state(mixed $state, string $what): string
    {
        $state = self::string($state, $what, 'a string');
        if (strlen($state) > self::MAX_STATE) {
            throw new Refused("$what has " . strlen($state) . ' bytes, at most ' . self::MAX_STATE . ' are allowed');
        }
        if (str_contains($state, "\0")) {
            throw new Refused("$what has a NUL byte");
        }
        return $state;
    }

    /** The end of a session: a Unix time in seconds, "never" or "". */
    public static function expires(mixed $at, string $what): string
    {
        $at = self::string($at, $what, 'a Unix time or "never"');
        if ($at !== 'never' && $at !== '' && (preg_match('/^0*\d{1,12}$/D', $at) !== 1 || (int) $at > self::MAX_TIME)) {
            throw new Refused("$what: " . self::shown($at) . ': want a Unix time in seconds, such as time() + 3600, or "never"');
        }
        return $at;
    }

    /**
     * Paths of routes whose stored answers are dropped: one, a list, or "*".
     *
     * @return list<string>
     */
    public static function paths(mixed $paths, string $what): array
    {
        $checked = [];
        foreach (self::items($paths, $what) as $path) {
            $path = self::string($path, $what, 'the path of a route');
            if ($path !== '*' && !str_starts_with($path, '/') || strlen($path) > self::MAX_PATH || str_contains($path, "\0")) {
                throw new Refused("$what: " . self::shown($path) . ': want the path of a route, such as "/ws/prices", or "*"');
            }
            $checked[] = $path;
        }
        if ($checked === [] || count($checked) > self::MAX_ITEMS) {
            throw new Refused("$what: " . count($checked) . ' paths: want 1 to ' . self::MAX_ITEMS);
        }
        return $checked;
    }

    /**
     * Checks what the log asks for beyond check(): docs/contract.md, 3, "The log".
     *
     * @param array<string, mixed> $command
     */
    public static function durable(array $command, string $what): void
    {
        foreach (isset($command['except']) ? self::items($command['except'], $what) : [] as $address) {
            if ($address !== 'self' && !str_starts_with($address, 'conn:') && !str_starts_with($address, 'user:')) {
                throw new Refused("$what: except: the log can except conn: and user: only");
            }
        }
        if (!array_key_exists('data', $command) && !isset($command['base64']) && !isset($command['close'])) {
            throw new Refused("$what: a durable command needs data or a close");
        }
        if (($command['data'] ?? null) === '' || ($command['base64'] ?? null) === '') {
            throw new Refused("$what: the data of a durable command is empty");
        }
    }

    /** @param array<string, mixed> $command */
    private static function target(array $command, bool $answer, string $where): void
    {
        $has = fn (string ...$fields): bool => array_intersect($fields, array_keys($command)) !== [];
        $why = match (true) {
            !$has('to') && $has('purge') => count($command) === 1 ? '' : '"purge" without "to" stands alone: put it into a command of its own, before this one',
            !$has('to') && !$answer => '"to" is missing: name the clients, for instance "user:42"',
            !$has('to') && $has('except') => '"except" without "to"',
            !$has('to') && $has('durable') => '"durable" without "to": the reply to the connection itself is never stored',
            $has('to') && $has('user', 'state', 'expires') => '"user", "state" and "expires" are for the connection itself: they cannot stand beside "to"',
            default => '',
        };
        if ($why !== '') {
            throw new Refused($where . $why);
        }
        $count = $has('to') ? count(self::addresses($command['to'], "{$where}to")) : 0;
        foreach ($has('except') ? self::items($command['except'], "{$where}except") : [] as $address) {
            $count++;
            if ($address === 'self' && !$answer) {
                throw new Refused("{$where}except: \"self\" has a meaning in a script's answer only: name the connection, \"conn:<id>\"");
            }
            $address === 'self' || self::address($address, "{$where}except");
        }
        if ($count > self::MAX_ITEMS) {
            throw new Refused("$where$count addresses, at most " . self::MAX_ITEMS . ' are allowed');
        }
    }

    /** @param array<string, mixed> $command */
    private static function base64(array $command, string $where): void
    {
        if (array_key_exists('data', $command)) {
            throw new Refused("{$where}both \"data\" and \"base64\": want one of them");
        }
        $text = is_string($command['base64']) ? str_replace(["\r", "\n"], '', $command['base64']) : '?';
        $digits = strspn($text, 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
        if (strlen($text) % 4 !== 0 || !in_array(substr($text, $digits), ['', '=', '=='], true)) {
            throw new Refused("{$where}base64: want a string in base64");
        }
    }

    /** @param array<string, mixed> $command */
    private static function rest(array $command, string $where): void
    {
        if (array_key_exists('close', $command)) {
            $close = is_object($command['close']) ? get_object_vars($command['close']) : $command['close'];
            if (!is_array($close) || array_diff(array_keys($close), ['code', 'reason']) !== [] || !is_int($close['code'] ?? null)) {
                throw new Refused("{$where}close: want [\"code\" => 4001, \"reason\" => \"signed out\"]");
            }
            $reason = array_key_exists('reason', $close) ? self::string($close['reason'], "{$where}close: the reason", 'a string') : '';
            self::close($close['code'], $reason, "{$where}close");
        }
        if (array_key_exists('user', $command) && $command['user'] !== '') {
            self::name($command['user'], "{$where}user");
        }
        if (array_key_exists('state', $command)) {
            self::text(self::state($command['state'], "{$where}state"), "{$where}state");
        }
        if (array_key_exists('expires', $command)) {
            self::expires($command['expires'], "{$where}expires");
        }
        if (array_key_exists('relay', $command) && $command['relay'] !== '') {
            throw new Refused("{$where}relay: want \"\", which ends it: an answer begins one");
        }
        if (array_key_exists('purge', $command)) {
            self::paths($command['purge'], "{$where}purge");
        }
        if (array_key_exists('durable', $command)) {
            $durable = $command['durable'];
            $beside = array_intersect(['join', 'leave', 'purge', 'relay'], array_keys(array_filter($command, fn (mixed $value): bool => $value !== [])));
            if (!is_bool($durable) || $durable && $beside !== []) {
                throw new Refused("{$where}durable: want true or false, and true not beside join, leave, purge and relay");
            }
            $durable && self::durable($command, "{$where}durable");
        }
    }

    /**
     * One text or a list of texts, each still to be checked.
     *
     * @return list<mixed>
     */
    private static function items(mixed $value, string $what): array
    {
        if (is_array($value) && array_is_list($value)) {
            return $value;
        }
        return [self::string($value, $what, 'a string or a list of them')];
    }

    /** A string; a whole number stands for its digits. */
    private static function string(mixed $value, string $what, string $want): string
    {
        if (is_int($value) || is_string($value)) {
            return (string) $value;
        }
        throw new Refused("$what: got " . get_debug_type($value) . ", want $want");
    }

    /** A value as an error shows it: short, without control characters. */
    private static function shown(string|int $value): string
    {
        $short = strlen((string) $value) > 80 ? substr((string) $value, 0, 80) . '…' : (string) $value;
        return (string) json_encode($short, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
    }
}
