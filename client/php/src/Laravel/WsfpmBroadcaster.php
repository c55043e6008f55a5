<?php
declare(strict_types=1);

namespace Wsfpm\Laravel;

use Illuminate\Broadcasting\BroadcastException;
use Illuminate\Broadcasting\Broadcasters\{Broadcaster, UsePusherChannelConventions};
use Illuminate\Contracts\Container\Container;
use Symfony\Component\HttpKernel\Exception\AccessDeniedHttpException;
use Wsfpm\{Client, Command, Failed, Refused};

/**
 * The broadcast driver "wsfpm". A channel of Laravel is one of wsfpm under another name, name(): so a page can name no
 * other channel of the site. Its clients get {"event": …, "channel": …, "data": …}. Events that a page misses while it is
 * away are lost, as with Laravel's other drivers.
 */
class WsfpmBroadcaster extends Broadcaster
{
    use UsePusherChannelConventions;

    private const PREFIX = 'echo:';

    /** @param Container $app has Client and Presence, which open a connection to Redis: not before they are needed */
    public function __construct(private readonly Container $app)
    {
    }

    /**
     * The name in wsfpm of a channel: "echo:private-orders.7". Bytes that wsfpm's names do not have are written as in
     * URLs. Refused if that has more than 200 bytes, or the channel is to be encrypted, which this driver cannot do.
     */
    public static function name(string $channel): string
    {
        if ($channel === '' || str_starts_with($channel, 'private-encrypted-')) {
            throw new Refused($channel === '' ? 'a channel has a name' : 'encrypted channels are not supported: use a private one');
        }
        return Command::name(self::PREFIX . rawurlencode($channel), 'channel');
    }

    /** The channel of Laravel that a channel of wsfpm is, or null. */
    public static function channelOf(string $name): ?string
    {
        return str_starts_with($name, self::PREFIX) ? rawurldecode(substr($name, strlen(self::PREFIX))) : null;
    }

    /**
     * Decides by routes/channels.php whether the request's user may join the channel of its field channel_name.
     *
     * @param \Illuminate\Http\Request $request
     * @return array{user_info?: mixed} for a presence channel what its members hear of the user
     * @throws AccessDeniedHttpException
     */
    public function auth($request): array
    {
        $channel = $request->input('channel_name');
        $name = is_string($channel) ? $this->normalizeChannelName($channel) : '';
        if ($name === '' || $this->isGuardedChannel($channel) && !$this->retrieveUser($request, $name)) {
            throw new AccessDeniedHttpException();
        }
        return $this->verifyUserCanAccessChannel($request, $name);
    }

    /**
     * @param \Illuminate\Http\Request $request
     * @param mixed $result of the channel's callback
     * @return array{user_info?: mixed}
     */
    public function validAuthenticationResponse($request, $result): array
    {
        return str_starts_with($request->input('channel_name'), 'presence-') ? ['user_info' => $result] : [];
    }

    /**
     * Sends an event to its channels, in one message to Redis, but not to the connection that the request names in
     * X-Socket-ID.
     *
     * @param array<mixed> $channels
     * @param string $event
     * @param array<string, mixed> $payload
     */
    public function broadcast(array $channels, $event, array $payload = []): void
    {
        $except = self::socket($payload['socket'] ?? null);
        unset($payload['socket']);
        $commands = [];
        foreach ($this->formatChannels($channels) as $channel) {
            $data = ['event' => $event, 'channel' => $channel, 'data' => $payload];
            $commands[] = ['to' => 'channel:' . self::name($channel), 'except' => $except, 'data' => $data];
        }
        try {
            $commands === [] || $this->client()->command(...$commands);
        } catch (Failed $e) {
            throw new BroadcastException("wsfpm: {$e->getMessage()}", 0, $e);
        }
    }

    /**
     * Makes all connections of a user leave a channel, at once. Change what its callback says first: a page that connects again
     * asks again. The page's error() gets the status 403.
     */
    public function revoke(string|int $user, string $channel): void
    {
        $name = self::name($channel);
        $address = 'user:' . Command::name($user, 'revoke');
        if (str_starts_with($channel, 'presence-')) {
            $this->presence()->remove($name, $channel, $address);
        }
        $this->client()->command(['to' => $address, 'leave' => [$name], 'data' => ['channel' => $channel, 'status' => 403]]);
    }

    /** The lists of presence channels. */
    public function presence(): Presence
    {
        return $this->app->make(Presence::class);
    }

    private function client(): Client
    {
        return $this->app->make(Client::class);
    }

    /**
     * The address of the connection that X-Socket-ID names; none for what can be no id, since anyone may send that header.
     *
     * @return list<string>
     */
    private static function socket(mixed $id): array
    {
        return is_string($id) && preg_match('/^[\w.-]{1,200}$/D', $id) === 1 ? ["conn:$id"] : [];
    }
}
