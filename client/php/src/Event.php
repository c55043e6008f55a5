<?php
declare(strict_types=1);

namespace Wsfpm;

/**
 * The event for which a script runs: a typed, read-only view of $_SERVER['WS_…'] and of the body
 * (docs/contract.md, 1). Cookies, session, $_GET and HTTP_… are where they always are.
 *
 *     $event = Event::current() ?? exit(http_response_code(404));
 *     if ($event->isConnect()) …
 */
final class Event
{
    /** "connect", "message" or "disconnect". */
    public readonly string $type;
    /** The connection's id, for the address "conn:<id>". */
    public readonly string $connection;
    /** The gateway's process. */
    public readonly string $node;
    /** The user that an answer has bound, "" for none. */
    public readonly string $user;
    /** @var list<string> the channels that the connection has joined */
    public readonly array $channels;
    /** What the last answer with a state has set, "" for none. */
    public readonly string $state;
    /** The agreed subprotocol, such as "wsfpm.v1", or "". */
    public readonly string $protocol;
    /** When the client connected, in Unix seconds. */
    public readonly int $connectedAt;
    /** Names this event in logs; the same for a repeat of the same event. */
    public readonly string $requestId;
    /** An operator runs a recorded event again: pay nothing, mail nothing. */
    public readonly bool $isReplay;

    /** A message's bytes as the client has sent them, "" for other events. */
    public readonly string $body;
    /** A binary message. */
    public readonly bool $isBinary;
    /** The message's number on its connection, from 1; 0 for other events. */
    public readonly int $number;
    /** The id of a message that runs once (docs/contract.md, 9), or null. */
    public readonly ?string $messageId;
    /** 1, or 2 when an earlier attempt may have run; 0 without an id. */
    public readonly int $attempt;

    /** The message is a copy of so many relayed frames (docs/relay.md): json() is the list; else 0. */
    public readonly int $relayed;
    /** So many relayed frames before them were not kept. */
    public readonly int $relayMissed;

    /** @var list<string> the subprotocols that a connecting client offers */
    public readonly array $protocols;
    /** On connect "new", "ok" (print no state) or "gap" (docs/contract.md, 7), else "". */
    public readonly string $resume;
    /** On connect the client's position in the log, or "". */
    public readonly string $last;
    /** On connect the log's position before this script ran, or "". */
    public readonly string $position;

    /** On disconnect the close code, 1006 for a connection that was lost; else 0. */
    public readonly int $closeCode;
    /** On disconnect the reason, or "". */
    public readonly string $closeReason;
    /** On disconnect how long the connection held, in seconds; else 0. */
    public readonly float $duration;
    /** On disconnect: it was the user's last connection on any node (with presence.users). */
    public readonly bool $userLeft;

    /**
     * Reads an event from parameters as in $_SERVER, for tests and frameworks.
     *
     * @param array<string, mixed> $server
     */
    public function __construct(array $server, string $body = '')
    {
        $text = fn (string $name): string => (string) ($server["WS_$name"] ?? '');
        $list = fn (string $name): array => $text($name) === '' ? [] : array_map('trim', explode(',', $text($name)));
        $this->type = $text('EVENT');
        $this->connection = $text('CONNECTION');
        $this->node = $text('NODE');
        $this->user = $text('USER');
        $this->channels = $list('CHANNELS');
        $this->state = $text('STATE');
        $this->protocol = $text('PROTOCOL');
        $this->connectedAt = (int) $text('CONNECTED_AT');
        $this->requestId = $text('REQUEST_ID');
        $this->isReplay = $text('REPLAY') === '1';
        $this->body = $body;
        $this->isBinary = $text('OPCODE') === 'binary';
        $this->number = (int) $text('SEQ');
        $this->messageId = isset($server['WS_MESSAGE_ID']) ? $text('MESSAGE_ID') : null;
        $this->attempt = (int) $text('ATTEMPT');
        $this->relayed = (int) $text('RELAYED');
        $this->relayMissed = (int) $text('RELAY_MISSED');
        $this->protocols = $list('PROTOCOLS');
        $this->resume = $text('RESUME');
        $this->last = $text('LAST');
        $this->position = $text('POSITION');
        $this->closeCode = (int) $text('CLOSE_CODE');
        $this->closeReason = $text('CLOSE_REASON');
        $this->duration = (float) $text('DURATION');
        $this->userLeft = $text('USER_LEFT') === '1';
    }

    /** The event for which this script runs, or null: it was opened as a web page, or runs in a shell. */
    public static function current(): ?self
    {
        if (!isset($_SERVER['WS_EVENT'])) {
            return null;
        }
        return new self($_SERVER, $_SERVER['WS_EVENT'] === 'message' ? (string) file_get_contents('php://input') : '');
    }

    /** A client wants to connect: the answer lets it in, or refuses it. */
    public function isConnect(): bool
    {
        return $this->type === 'connect';
    }

    /** A client has sent a message. */
    public function isMessage(): bool
    {
        return $this->type === 'message';
    }

    /** A client has gone. */
    public function isDisconnect(): bool
    {
        return $this->type === 'disconnect';
    }

    /** The body as a JSON value, objects as arrays; null when it is none. A client may send anything: check what is in it. */
    public function json(): mixed
    {
        return json_decode($this->body, true);
    }

    /** The address of this connection, for publishers. */
    public function address(): string
    {
        return "conn:$this->connection";
    }
}
