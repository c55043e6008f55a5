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
