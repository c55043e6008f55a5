<?php
declare(strict_types=1);

namespace Wsfpm;

class_exists(Command::class) || require __DIR__ . '/Command.php';
class_exists(Event::class) || require __DIR__ . '/Event.php';

/** How Answer's parts are written as headers and lines, and where they can be. */
final class Wire
{
    /** What fits the header block of 64 KiB beside other headers, in bytes; Answer puts more into the body. */
    public const HEADER_BYTES = 32768;
    /** The names of all channels of a connection, a comma each, in bytes. */
    private const CHANNEL_BYTES = 61440;
    /** The longest prefix of relayed texts, in bytes. */
    private const MAX_PREFIX = 64;

    /** A line of a stream. */
    public static function streamed(mixed $line): string
    {
        $text = is_string($line) ? Command::text($line, 'a line of the stream') : Command::json($line, 'a line of the stream');
        if ($text === '' || strpbrk($text, "\r\n") !== false) {
            throw new Refused('a line of the stream is ' . ($text === '' ? 'empty' : 'more than one line: send it as JSON'));
        }
        return "$text\n";
    }

    /**
     * Sends the headers, then each line of a stream as it comes.
     *
     * @param iterable<mixed> $lines
     */
    public static function sendLines(iterable $lines): void
    {
        while (ob_get_level() > 0 && @ob_end_flush()) {
            continue;
        }
        flush(); // the headers, which apply at once
        foreach ($lines as $line) {
            echo self::streamed($line);
            flush();
        }
    }

    /**
     * Sends the lines of a stream for a framework's streamed response. What they throw ends the script, with PHP's own report in the log:
     * the framework would print its error page, whose lines would be messages.
     *
     * @param iterable<mixed> $lines
     */
    public static function sendLinesOrExit(iterable $lines): void
    {
        try {
            self::sendLines($lines);
        } catch (\Throwable $e) {
            error_log("PHP Fatal error:  Uncaught $e\n  thrown in {$e->getFile()} on line {$e->getLine()}");
            exit(255);
        }
    }

    /** The value of a header for a part of the answer. */
    public static function line(mixed $value): string
    {
        return match (true) {
            !is_array($value) => $value,
            isset($value['code']) => rtrim("$value[code] $value[reason]"),
            default => implode(', ', $value),
        };
    }

    /** Whether a header carries a part unchanged: no control characters, no white space at the ends of its texts. */
    public static function fits(mixed $value): bool
    {
        foreach (is_array($value) ? $value : [$value] as $text) {
            $text = (string) $text;
            $isControl = preg_match('/[\x00-\x1f\x7f]/', $text) === 1;
            if ($isControl || trim($text, ' ') !== $text || preg_match('/^[\pZ\x{85}]|[\pZ\x{85}]$/Du', $text) === 1) {
                return false;
            }
        }
        return true;
    }

    /**
     * Refuses more channels than an answer may name.
     *
     * @param list<string> $joined
     * @param list<string> $left
     */
    public static function checkChannels(array $joined, array $left): void
    {
        $count = count($joined) + count($left);
        if ($count > Command::MAX_ITEMS) {
            throw new Refused("join and leave: $count channels, at most " . Command::MAX_ITEMS . ' are allowed');
        }
        $bytes = strlen(implode(',', array_unique($joined))) + 1;
        if ($bytes > self::CHANNEL_BYTES) {
            throw new Refused("join: the names have $bytes bytes, at most " . self::CHANNEL_BYTES . ' are allowed for all channels of a connection');
        }
    }

    /**
     * The value of WS-Relay.
     *
     * @param array<string, bool> $flags
     * @param array<string, int> $numbers
     */
    public static function relay(string $to, array $flags, string $prefix, array $numbers): string
    {
        if (Command::address($to, 'relay') === 'all') {
            throw new Refused('relay: the frames of a client cannot go to all: name a channel, a user or a connection');
        }
        Command::text($prefix, 'relay: the prefix');
        if (strlen($prefix) > self::MAX_PREFIX || str_contains($prefix, ';') || !self::fits($prefix)) {
            throw new Refused('relay: the prefix has at most ' . self::MAX_PREFIX . ' bytes, without ";", control characters, and spaces at its ends');
        }
        if ($prefix === '' && (!isset($flags['binary']) || isset($flags['raw']))) {
            throw new Refused('relay: want binary, a prefix, or both; raw is for texts with a prefix');
        }
        $parts = [$to, ...array_keys($flags), ...($prefix === '' ? [] : ["prefix=$prefix"])];
        foreach (['rate' => [1, 2147483647, ''], 'latest' => [10, 60000, 'ms'], 'copy' => [1, 3600, 's']] as $name => [$least, $most, $unit]) {
            $number = $numbers[$name] ?? null;
            if ($number !== null && ($number < $least || $number > $most)) {
                throw new Refused("relay: $name is $number: want $least$unit to $most$unit");
            }
            $number === null || $parts[] = "$name=$number$unit";
        }
        return implode('; ', $parts);
    }

    /** A subprotocol. */
    public static function token(string $protocol): string
    {
        if (preg_match('/^[!#$%&\'*+.^_`|~0-9A-Za-z-]+$/D', $protocol) !== 1) {
            throw new Refused('protocol: want a token, such as "v2"');
        }
        return $protocol;
    }

    /** A position in the log. */
    public static function position(string $position): string
    {
        if (preg_match('/^(?:0|[1-9]\d{0,18})-(?:0|[1-9]\d{0,18})-(?:0|[0-9a-f]{6})$/D', $position) !== 1) {
            throw new Refused('resume: want a position, such as WS_POSITION');
        }
        return $position;
    }

    /**
     * The headers of an answer for others, too.
     *
     * @param list<string> $vary
     * @return array<string, list<string>>
     */
    public static function cache(int $seconds, array $vary): array
    {
        if ($seconds < 1) {
            throw new Refused("cache: $seconds seconds: want at least 1");
        }
        if (preg_grep('/^[0-9A-Za-z-]+$/D', $vary, PREG_GREP_INVERT) !== []) {
            throw new Refused('cache: vary: want names of headers');
        }
        return ['Cache-Control' => ["public, max-age=$seconds"]] + ($vary === [] ? [] : ['Vary' => [implode(', ', $vary)]]);
    }

    /** Refuses to send where something has been printed already. */
    public static function checkPlace(): void
    {
        $file = $line = null;
        if (headers_sent($file, $line)) {
            throw new Refused("the headers have been sent already: output began in $file, line $line");
        }
        foreach (ob_get_status(true) as $buffer) {
            if (($buffer['buffer_used'] ?? 0) > 0) {
                throw new Refused("something was printed before the answer ($buffer[buffer_used] bytes): it would stand in front of it");
            }
        }
    }

    /**
     * Refuses what only headers could carry, and cannot.
     *
     * @param array<string, mixed> $own parts by name
     * @param list<string> $live
     */
    public static function checkHeaders(array $own, array $live): void
    {
        if (!self::fits($live)) {
            throw new Refused('join: a name with white space at its ends cannot be joined live');
        }
        $bytes = strlen(implode(', ', $live));
        foreach ($own as $part => $value) {
            $bytes += strlen(self::line($value));
            if (!self::fits($value)) {
                throw new Refused("$part: no control characters, and no white space at the ends, in the answer of a stream");
            }
        }
        if ($bytes > 1.9 * self::HEADER_BYTES) {
            throw new Refused("the headers would have $bytes bytes: the gateway takes 64 KiB, all headers together");
        }
    }

    /**
     * Refuses a relay to a channel that the client is not in after the answer.
     *
     * @param list<string> $leave
     * @param list<string> $join
     */
    public static function checkRelay(Event $event, string $relay, array $leave, array $join): void
    {
        $kept = in_array('*', $leave, true) ? [] : array_diff($event->channels, $leave);
        if (preg_match('/^channel:([^;]+)/', $relay, $m) === 1 && !in_array($m[1], [...$kept, ...$join], true)) {
            throw new Refused("relay: the client is not in the channel $m[1]");
        }
    }

    /** Refuses a subprotocol or a position to resume from that this event cannot agree on. */
    public static function checkHandshake(Event $event, ?string $protocol, bool $hasResume): void
    {
        if ($protocol !== null && $event->isConnect() && !in_array($protocol, $event->protocols, true)) {
            throw new Refused("protocol: the client has not offered $protocol");
        }
        if ($protocol !== null && !$event->isConnect() && $protocol !== $event->protocol) {
            throw new Refused('protocol: it is agreed on connect');
        }
        if ($hasResume && !$event->isConnect()) {
            throw new Refused('resume: missed messages are sent after connect');
        }
    }
}
