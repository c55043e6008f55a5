<?php
declare(strict_types=1);

namespace Wsfpm;

class_exists(Failed::class) || require __DIR__ . '/Failed.php';
class_exists(Refused::class) || require __DIR__ . '/Refused.php';

/** POST /push on the gateway's admin listener (docs/contract.md, 3). Each push is a connection. */
final class Http
{
    /** The longest answer, in bytes. */
    private const MAX_ANSWER = 1 << 20;

    private readonly string $address;
    private readonly string $host;

    /** @param string $url http://host:port, or http+unix:///path */
    public function __construct(string $url, #[\SensitiveParameter] private readonly string $token, private readonly float $timeout)
    {
        if (preg_match('/^http\+unix:\/\/(\/.+)$/D', $url, $m) === 1) {
            [$this->address, $this->host] = ["unix://$m[1]", 'localhost'];
            return;
        }
        if (preg_match('/^http:\/\/([^\/?#@\s]+:\d+)\/?$/D', $url, $m) !== 1) {
            throw new Refused('want http://host:port or http+unix:///path of the admin listener');
        }
        [$this->address, $this->host] = ["tcp://$m[1]", $m[1]];
    }

    /**
     * What var_dump() and error pages show: not the token.
     *
     * @return array<string, mixed>
     */
    public function __debugInfo(): array
    {
        return ['address' => $this->address, 'timeout' => $this->timeout];
    }

    /** @return array<string, mixed> */
    public function __serialize(): array
    {
        throw new Refused('a door cannot be serialized: it holds a token');
    }

    /**
     * Sends commands and returns the gateway's answer.
     *
     * @return array{delivered?: int, ids?: list<string>, error?: string}
     */
    public function push(string $json): array
    {
        if (preg_match('/[\x00-\x20\x7f]/', $this->token) === 1) {
            throw new Refused('the token has white space or a control character in it');
        }
        $request = "POST /push HTTP/1.0\r\nHost: $this->host\r\nContent-Type: application/json\r\nContent-Length: " . strlen($json) . "\r\n"
            . ($this->token === '' ? '' : "Authorization: Bearer $this->token\r\n") . "\r\n$json";
        [$head, $body] = explode("\r\n\r\n", $this->exchange($request), 2) + [1 => ''];
        $answer = json_decode($body, true);
        if (preg_match('/^HTTP\/1\.[01] (\d{3})/', $head, $m) !== 1) {
            throw new Failed("$this->address has not answered as the admin listener does", true);
        }
        if ($m[1] !== '200' || !is_array($answer)) {
            $why = is_array($answer) && is_string($answer['error'] ?? null) ? $answer['error'] : "status $m[1]";
            throw new Failed("POST /push at $this->address: $why", $m[1] >= '500');
        }
        return $answer;
    }

    /** Writes the request and reads the answer to its end. */
    private function exchange(#[\SensitiveParameter] string $request): string
    {
        $deadline = microtime(true) + $this->timeout;
        $code = 0;
        $why = '';
        $socket = @stream_socket_client($this->address, $code, $why, $this->timeout);
        if ($socket === false) {
            throw new Failed("the gateway at $this->address cannot be reached: $why");
        }
        stream_set_blocking($socket, false);
        $answer = '';
        try {
            while (!feof($socket)) {
                $this->await($socket, $request !== '', $deadline);
                if ($request !== '') {
                    $request = substr($request, (int) @fwrite($socket, $request));
                }
                $answer .= (string) @fread($socket, 65536);
                if (strlen($answer) > self::MAX_ANSWER) {
                    throw new Failed("the answer of $this->address has more than " . self::MAX_ANSWER . ' bytes', true);
                }
            }
        } finally {
            fclose($socket);
        }
        return $answer;
    }

    /**
     * Waits until the socket can be read, or written when asked for, until the deadline at most.
     *
     * @param resource $socket
     */
    private function await(mixed $socket, bool $write, float $deadline): void
    {
        $left = $deadline - microtime(true);
        $readable = [$socket];
        $writable = $write ? [$socket] : null;
        $none = null;
        if ($left <= 0 || (int) @stream_select($readable, $writable, $none, (int) $left, (int) (fmod($left, 1) * 1e6)) === 0) {
            throw new Failed("$this->address has not " . ($write ? 'taken the request' : 'answered') . " within $this->timeout s", !$write);
        }
    }
}
