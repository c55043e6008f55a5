<?php
declare(strict_types=1);

namespace Wsfpm;

class_exists(Command::class) || require __DIR__ . '/Command.php';
class_exists(Event::class) || require __DIR__ . '/Event.php';
class_exists(Wire::class) || require __DIR__ . '/Wire.php';

/**
 * The answer of a script to an event (docs/contract.md, 2). Each call checks what it is given and
 * throws Refused, with the file and line of the caller, where the gateway would refuse or cut it.
 * Nothing is sent before send(), and nothing of an answer counts that is not sent whole.
 *
 *     Answer::text("Hello $me")->user($me)->join('lobby')->send();
 *     Answer::nothing()->publish('channel:lobby', $text, except: 'self')->send();
 */
final class Answer
{

    /** @var iterable<mixed>|null the lines of a stream */
    private ?iterable $lines = null;
    private int $status = 200;
    /** @var array<string, mixed> join, leave, user, state and close of the connection itself, as in a command */
    private array $own = [];
    /** @var list<string> channels of which the client gets no missed messages */
    private array $live = [];
    /** @var list<array<string, mixed>> commands for others */
    private array $others = [];
    /** @var array<string, list<string>> */
    private array $headers = [];

    private function __construct(private ?string $body, private string $type)
    {
    }

    /** One text message in UTF-8; "" is none. On connect it is the first message. */
    public static function text(string $text): self
    {
        Command::text($text, 'the answer');
        if (str_starts_with($text, "\xef\xbb\xbf")) {
            throw new Refused('the answer begins with a byte order mark, which the gateway removes');
        }
        if ($text !== '' && preg_match('/[^\s\x{85}\pZ]/u', $text) === 0) {
            throw new Refused('the answer is blank: the gateway sends nothing for it; nothing() says that it is meant');
        }
        return new self($text === '' ? null : $text, 'text/plain; charset=utf-8');
    }

    /** One text message: the JSON text of a value. */
    public static function json(mixed $value): self
    {
        return new self(Command::json($value, 'the answer'), 'application/json');
    }

    /** One binary message. */
    public static function binary(string $bytes): self
    {
        return new self($bytes === '' ? null : $bytes, 'application/octet-stream');
    }

    /** No message: on connect the client is let in, and other parts may follow. */
    public static function nothing(): self
    {
        return new self(null, 'text/plain; charset=utf-8');
    }

    /**
     * A stream: each item becomes one text message as soon as the iterable, such as a generator, yields it; what
     * is no string is sent as JSON. publish() and other commands cannot be added.
     *
     * @param iterable<mixed> $lines
     */
    public static function stream(iterable $lines): self
    {
        $answer = new self(null, 'application/x-ndjson');
        $answer->lines = $lines;
        return $answer;
    }

    /** On connect: refuses the client with this HTTP status. On a message: the event fails, and the route's on_error applies. */
    public static function refuse(int $status = 403, string $text = ''): self
    {
        if ($status < 300 || $status > 599) {
            throw new Refused("the status $status refuses nothing: want 300 to 599");
        }
        $answer = new self($text === '' ? null : Command::text($text, 'the answer'), 'text/plain; charset=utf-8');
        $answer->status = $status;
        return $answer;
    }

    /** Binds the connection to a user; null or "" unbinds it. */
    public function user(string|int|null $user): self
    {
        $this->once('user');
        $this->own['user'] = $user === null || $user === '' ? '' : Command::name($user, 'user');
        return $this;
    }

    /** Replaces the state of the connection, which later events get: at most 8 KiB; "" clears it. */
    public function state(string $state): self
    {
        $this->once('state');
        $this->own['state'] = Command::state($state, 'state');
        return $this;
    }

    /** Ends the connection at this Unix time, with 4401 or the route's expire_code, such as the end of the login; null: never. */
    public function expires(?int $at): self
    {
        $this->once('expires');
        $this->own['expires'] = $at === null ? 'never' : Command::expires($at, 'expires');
        return $this;
    }

    /**
     * Joins channels.
     *
     * @param string|int|list<string|int> $channels
     * @param bool $live the client gets no messages of these that it missed (docs/contract.md, 7)
     */
    public function join(string|int|array $channels, bool $live = false): self
    {
        $names = Command::names($channels, 'join');
        $live ? array_push($this->live, ...$names) : $this->add('join', $names);
        Wire::checkChannels([...$this->own['join'] ?? [], ...$this->live], $this->own['leave'] ?? []);
        return $this;
    }

    /**
     * Leaves channels; "*" is all of them.
     *
     * @param string|int|list<string|int> $channels
     */
    public function leave(string|int|array $channels): self
    {
        $this->add('leave', Command::names($channels, 'leave', true));
        Wire::checkChannels([...$this->own['join'] ?? [], ...$this->live], $this->own['leave'] ?? []);
        return $this;
    }

    /** Ends the connection, after all other parts: 4000 to 4999 are the site's own codes; the reason has at most 123 bytes. */
    public function close(int $code = 1000, string $reason = ''): self
    {
        $this->once('close');
        Command::close($code, $reason, 'close');
        $this->own['close'] = ['code' => $code, 'reason' => $reason];
        return $this;
    }

    /**
     * Sends data to others. A string is sent as it is, any other value as JSON.
     *
     * @param string|list<string> $to addresses: "user:42", "channel:lobby", "conn:<id>", "all"
     * @param string|list<string> $except addresses, or "self"
     * @param bool|null $durable through the log, or not; null: as the route says (docs/contract.md, 3)
     */
    public function publish(string|array $to, mixed $data, string|array $except = [], ?bool $durable = null, bool $binary = false): self
    {
        if ($binary && !is_string($data)) {
            throw new Refused('publish: binary data is a string');
        }
        $command = ['to' => $to] + ($binary ? ['base64' => base64_encode($data)] : ['data' => $data]);
        $except === [] || $command['except'] = $except;
        $durable === null || $command['durable'] = $durable;
        return $this->command($command);
    }

    /**
     * Ends connections of others. On connect it skips those that came in later than this one.
     *
     * @param string|list<string> $to
     * @param string|list<string> $except addresses, or "self"
     */
    public function disconnect(string|array $to, int $code = 4001, string $reason = '', string|array $except = []): self
    {
        $command = ['to' => $to, 'close' => ['code' => $code, 'reason' => $reason]];
        return $this->command($except === [] ? $command : $command + ['except' => $except]);
    }

    /**
     * Drops the stored answers of routes, "*" of all (docs/cache.md).
     *
     * @param string|list<string> $paths
     */
    public function purge(string|array $paths): self
    {
        return $this->command(['purge' => $paths]);
    }

    /**
     * Any command of docs/contract.md, 4.
     *
     * @param array<string, mixed> $command
     */
    public function command(array $command): self
    {
        Command::check($command, true);
        if (count($this->others) >= Command::MAX_ITEMS - 1) {
            throw new Refused('an answer has at most ' . Command::MAX_ITEMS . ' commands');
        }
        $this->others[] = $command;
        return $this;
    }

    /**
     * From now on these frames of the client go to an address without PHP (docs/relay.md): binary ones, texts with a prefix, or both.
     *
     * @param string $to a channel that the client is in, a user or a connection
     * @param bool $raw texts as they are, without their sender around them
     * @param bool $echo the client gets its own frames too
     * @param int $rate frames a second; 0: the gateway's limit
     * @param int $latest in milliseconds: of such a span only the newest frame is sent; 0: all are
     * @param int $copy in seconds: PHP gets what was sent at most so often, as Event::$relayed; 0: never
     */
    public function relay(string $to, bool $binary = false, string $prefix = '', bool $raw = false, bool $echo = false, int $rate = 0, int $latest = 0, int $copy = 0): self
    {
        $flags = array_filter(['binary' => $binary, 'raw' => $raw, 'echo' => $echo]);
        return $this->header('WS-Relay', Wire::relay($to, $flags, $prefix, array_filter(['rate' => $rate, 'latest' => $latest, 'copy' => $copy])));
    }

    /** Ends the client's relay: such frames are dropped from now on, or with $php come to PHP again. */
    public function endRelay(bool $php = false): self
    {
        return $this->header('WS-Relay', $php ? 'php' : '');
    }

    /** On connect: agrees on this subprotocol, which the client has offered. */
    public function protocol(string $protocol): self
    {
        return $this->header('WS-Protocol', Wire::token($protocol));
    }

    /** On connect: accepts the client on a route with accept = "header". */
    public function accept(): self
    {
        return $this->header('WS-Accept', '1');
    }

    /** On connect: the client gets only missed messages after this position; null: none of them (docs/contract.md, 7). */
    public function resume(?string $position): self
    {
        return $this->header('WS-Resume', $position === null ? 'no' : Wire::position($position));
    }

    /**
     * On a route with a cache: gives this answer to others that send the same message, for so many seconds.
     *
     * @param list<string> $vary what must be the same besides: "WS-User", "WS-State", "WS-Channels", headers of the handshake
     */
    public function cache(int $seconds, array $vary = []): self
    {
        $this->headers += Wire::cache($seconds, $vary);
        return $this;
    }

    /** The HTTP status, for a framework's response. */
    public function status(): int
    {
        return $this->status;
    }

    /**
     * The headers by name, for a framework's response; one may stand twice.
     *
     * @return array<string, list<string>>
     */
    public function headers(): array
    {
        $this->checkParts();
        isset($_SERVER['WS_EVENT']) && $this->checkEvent(new Event($_SERVER));
        $headers = ['Content-Type' => [$this->hasCommands() ? 'application/vnd.wsfpm+json' : $this->type]];
        foreach (array_diff_key($this->own, $this->inBody()) as $field => $value) {
            $headers['WS-' . ucfirst($field)] = [Wire::line($value)];
        }
        if ($this->live !== []) {
            $headers['WS-Join'][] = implode(', ', $this->live) . '; live';
        }
        return $headers + $this->headers;
    }

    /** @return iterable<mixed>|null the lines of a stream, which Wire::sendLinesOrExit() sends for a framework's response */
    public function lines(): ?iterable
    {
        return $this->lines;
    }

    /** The body, for a framework's response; that of a stream is all of its lines. */
    public function body(): string
    {
        $this->checkParts();
        if ($this->lines !== null) {
            $body = '';
            foreach ($this->lines as $line) {
                $body .= Wire::streamed($line);
            }
            return $body;
        }
        if (!$this->hasCommands()) {
            return (string) $this->body;
        }
        $own = $this->inBody();
        if ($this->body !== null) {
            $own += $this->type === 'application/octet-stream' ? ['base64' => base64_encode($this->body)] : ['data' => $this->body];
        }
        return Command::encode($own === [] ? $this->others : [$own, ...$this->others], true);
    }

    /** Sends the answer. Nothing may have been printed before, and nothing may be printed after it. */
    public function send(): void
    {
        Wire::checkPlace();
        $headers = $this->headers();
        $body = $this->lines === null ? $this->body() : '';
        http_response_code($this->status);
        foreach ($headers as $name => $values) {
            foreach ($values as $i => $value) {
                header("$name: $value", $i === 0);
            }
        }
        echo $body;
        if ($this->lines !== null) {
            Wire::sendLines($this->lines);
        }
    }

    /** Whether the body is a list of commands: for others, or for what no header carries unchanged. */
    private function hasCommands(): bool
    {
        return $this->others !== [] || $this->inBody() !== [];
    }

    /**
     * The parts for the connection itself that go into a command, since no header carries them unchanged.
     *
     * @return array<string, mixed>
     */
    private function inBody(): array
    {
        if ($this->lines !== null || $this->status !== 200) {
            return [];
        }
        $body = array_filter($this->own, fn (mixed $value): bool => !Wire::fits($value));
        $bytes = array_sum(array_map(fn (mixed $value): int => strlen(Wire::line($value)), $this->own));
        if ($bytes > Wire::HEADER_BYTES || isset($body['join']) || isset($body['leave'])) {
            $body += array_intersect_key($this->own, ['join' => true, 'leave' => true]); // both: a command leaves first
        }
        return $body;
    }

    /** Refuses parts that do not go together. */
    private function checkParts(): void
    {
        $effects = $this->own !== [] || $this->others !== [] || $this->live !== [];
        $extras = preg_grep('/^WS-/', array_keys($this->headers)) !== [];
        if ($this->status !== 200 && ($effects || $this->headers !== [])) {
            throw new Refused("an answer with status $this->status has no effect but its text: nothing else may be added to it");
        }
        if ($this->lines !== null && $this->others !== []) {
            throw new Refused('a stream has its own lines only: publish from it with Client');
        }
        if (isset($this->headers['Cache-Control']) && ($effects || $extras || $this->lines !== null || $this->body === null)) {
            throw new Refused('cache: an answer for others as well is nothing but a text, JSON or bytes');
        }
        Wire::checkHeaders(array_diff_key($this->own, $this->inBody()), $this->live);
    }

    /** Refuses what this event's answer cannot have. */
    private function checkEvent(Event $event): void
    {
        $isForOwn = $this->own !== [] || $this->live !== [] || $this->body !== null || $this->lines !== null || isset($this->headers['WS-Relay']);
        if ($event->isDisconnect() && $isForOwn) {
            throw new Refused('the client has gone: an answer to disconnect can only publish, disconnect others and purge');
        }
        Wire::checkRelay($event, $this->headers['WS-Relay'][0] ?? '', $this->own['leave'] ?? [], [...$this->own['join'] ?? [], ...$this->live]);
        Wire::checkHandshake($event, $this->headers['WS-Protocol'][0] ?? null, isset($this->headers['WS-Resume']));
    }

    /** @param list<string> $names */
    private function add(string $field, array $names): void
    {
        $names === [] || $this->own[$field] = [...$this->own[$field] ?? [], ...$names];
    }

    private function header(string $name, string $value): self
    {
        isset($this->headers[$name]) && throw new Refused("$name stands twice");
        $this->headers[$name] = [$value];
        return $this;
    }

    private function once(string $part): void
    {
        if (isset($this->own[$part])) {
            throw new Refused("$part stands twice");
        }
    }
}
