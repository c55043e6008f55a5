<?php
declare(strict_types=1);

namespace Wsfpm\Laravel;

use Illuminate\Auth\Access\AuthorizationException;
use Illuminate\Contracts\Broadcasting\Factory;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Http\Request;
use Symfony\Component\HttpKernel\Exception\HttpExceptionInterface;
use Wsfpm\{Answer, Event, Failed, Refused};

/**
 * Serves Laravel Echo with the connector client/js/echo.js: Route::websocket('/ws/echo', EchoHandler::class).
 *
 * A client sends {"subscribe": [channels]}, {"leave": channel} or {"whisper": event, "channel": …, "data": …}. It is in a channel when
 * wsfpm says so: WS_CHANNELS, which no client can forge. Anyone may join a public channel, as ever with Laravel;
 * routes/channels.php decides on private- and presence- ones. Channels that a client may not join, and callbacks that fail, cost it
 * no other channel.
 */
class EchoHandler
{
    /** Channels of one connection, and in one message; some of the gateway's limits.channels, 64, may be on their way. */
    private const CHANNELS = 60;
    /** The longest name of a whisper, in bytes. */
    private const EVENT = 200;
    /** The deepest nesting in a message of a client, less than what JSON is made of. */
    private const DEPTH = 400;

    public function __construct(private readonly Factory $broadcasts, private readonly ExceptionHandler $exceptions)
    {
    }

    public function __invoke(Event $event, Request $request): Answer
    {
        if ($event->isConnect()) {
            return Answer::json(['socket' => $event->connection])->user($this->user($request));
        }
        if ($event->isDisconnect()) {
            return $this->ended($event);
        }
        $message = json_decode($event->body, false, self::DEPTH);
        $names = $message->subscribe ?? null;
        return match (true) {
            is_array($names) && count($names) <= self::CHANNELS && array_filter($names, 'is_string') === $names => $this->subscribe($event, $request, $names),
            is_string($message->leave ?? null) => $this->leave($event, $message->leave),
            is_string($message->whisper ?? null) && is_string($message->channel ?? null) => $this->whisper($event, $message),
            default => Answer::json(['status' => 400]),
        };
    }

    /** The id of the user who connects, that of the route's guard; "" for a guest. */
    protected function user(Request $request): string
    {
        $user = $request->user();
        return (string) match (true) {
            $user === null => '',
            method_exists($user, 'getAuthIdentifierForBroadcasting') => $user->getAuthIdentifierForBroadcasting(),
            default => $user->getAuthIdentifier(),
        };
    }

    /** @param list<string> $names */
    private function subscribe(Event $event, Request $request, array $names): Answer
    {
        if ($this->user($request) !== $event->user) {
            return Answer::nothing()->close(4401, 'the login has changed'); // the page comes back as who it is now
        }
        $free = self::CHANNELS - count($event->channels);
        $replies = $join = $leave = [];
        foreach (array_unique($names) as $channel) {
            $name = self::nameOf($channel);
            $isNew = !in_array($name, $event->channels, true);
            $status = $name === null ? 400 : ($isNew && $free <= 0 ? 429 : $this->join($event, $request, $name, $channel));
            $replies[$channel] = ['status' => $status];
            if ($status === 200) {
                $free -= (int) $isNew;
                self::isPresence($channel) || $join[] = $name;
            } elseif (!$isNew) { // the right has ended
                $leave[] = $this->left($event, $name, $channel);
            }
        }
        return Answer::json((object) $replies)->join($join)->leave($leave);
    }

    /** 200, or why the user may not join a channel. One who may is in a presence channel then. */
    private function join(Event $event, Request $request, string $name, string $channel): int
    {
        $broadcaster = $this->broadcaster();
        if (!$broadcaster->isGuardedChannel($channel)) {
            return 200;
        }
        $presence = self::isPresence($channel) ? $broadcaster->presence() : null; // without Redis the message fails, and the page asks again
        try {
            $granted = $broadcaster->auth($request->merge(['channel_name' => $channel]));
            $member = $event->user === '' ? $event->address() : "user:$event->user";
            $presence?->enter($name, $channel, $event->address(), $member, $granted['user_info']);
            return 200;
        } catch (Failed $e) {
            throw $e;
        } catch (AuthorizationException) { // of a Gate
            return 403;
        } catch (HttpExceptionInterface $e) {
            return $e->getStatusCode();
        } catch (\Throwable $e) {
            $this->exceptions->report($e);
            return 500;
        }
    }

    private function leave(Event $event, string $channel): Answer
    {
        $name = self::nameOf($channel);
        if ($name === null) {
            return Answer::json(['status' => 400]);
        }
        return Answer::json(['status' => 200])->leave($this->left($event, $name, $channel));
    }

    /** Takes a connection out of a channel's members, and returns the name that it is to leave. */
    private function left(Event $event, string $name, string $channel): string
    {
        if (self::isPresence($channel)) {
            $this->broadcaster()->presence()->remove($name, $channel, $event->address());
        }
        return $name;
    }

    /** A client's own event, for the others of a private or presence channel that it is in. */
    private function whisper(Event $event, object $message): Answer
    {
        $name = self::nameOf($message->channel);
        if (strlen($message->whisper) > self::EVENT || $name === null || json_encode($message->data ?? null) === false) { // 1e999 is INF
            return Answer::json(['status' => 400]);
        }
        if (!$this->broadcaster()->isGuardedChannel($message->channel) || !in_array($name, $event->channels, true)) {
            return Answer::json(['status' => 403]);
        }
        $data = ['event' => "client-$message->whisper", 'channel' => $message->channel, 'data' => $message->data ?? null];
        return Answer::json(['status' => 200])->publish("channel:$name", $data, except: 'self', durable: false);
    }

    private function ended(Event $event): Answer
    {
        $presence = $this->broadcaster()->presence();
        $joined = array_filter(array_map([WsfpmBroadcaster::class, 'channelOf'], $event->channels), fn (?string $channel): bool => self::isPresence($channel ?? ''));
        foreach (array_unique([...$joined, ...$presence->ended($event->address())]) as $channel) {
            $presence->remove(WsfpmBroadcaster::name($channel), $channel, $event->address());
        }
        return Answer::nothing();
    }

    private function broadcaster(): WsfpmBroadcaster
    {
        $broadcaster = $this->broadcasts->connection();
        return $broadcaster instanceof WsfpmBroadcaster ? $broadcaster : throw new \LogicException('the broadcast driver is not wsfpm: set BROADCAST_DRIVER, from Laravel 11 on BROADCAST_CONNECTION');
    }

    /** The name in wsfpm of a channel that a client has named; null: there can be no such channel. */
    private static function nameOf(string $channel): ?string
    {
        try {
            return WsfpmBroadcaster::name($channel);
        } catch (Refused) {
            return null;
        }
    }

    private static function isPresence(string $channel): bool
    {
        return str_starts_with($channel, 'presence-');
    }
}
