<?php
declare(strict_types=1);

namespace Wsfpm;

class_exists(Client::class) || require __DIR__ . '/Client.php';
class_exists(Event::class) || require __DIR__ . '/Event.php';

/**
 * GatewayWorker's calls by their known names (docs/moving.md): a uid is a user, a group a channel, a client id
 * WS_CONNECTION. All that sends keeps one order. What wsfpm cannot do throws \LogicException, which says what to do.
 *
 *     use Wsfpm\GatewayClient as Gateway;
 *     Gateway::$registerAddress = '127.0.0.1:6379';   // the Redis of wsfpm, or a URL as in Client
 *     Gateway::sendToUid(42, $json);
 *
 * Questions need [presence] in the gateway, with users = true and the channels that are asked about.
 */
final class GatewayClient
{
    /** The Redis of wsfpm: host:port or a URL. */
    public static string $registerAddress = '127.0.0.1:6379';
    /** The gateway's redis.prefix. */
    public static string $prefix = 'ws:';

    private static ?Client $client = null;
    private static string $clientOf = '';

    /** Uses a Client that the site has, over phpredis, Predis or HTTP; null: one of $registerAddress again. */
    public static function setClient(?Client $client): void
    {
        [self::$client, self::$clientOf] = [$client, ''];
    }

    /**
     * @param list<string>|null $client_id_array null: all
     * @param string|list<string>|null $exclude_client_id
     */
    public static function sendToAll(string $message, ?array $client_id_array = null, string|array|null $exclude_client_id = null): bool
    {
        if ($client_id_array === []) {
            return true;
        }
        return self::send($client_id_array === null ? 'all' : self::conns($client_id_array), $message, $exclude_client_id);
    }

    public static function sendToClient(string $client_id, string $message): bool
    {
        return self::send(self::conns([$client_id]), $message);
    }

    /** To the client whose event this is; echo does the same without Redis. */
    public static function sendToCurrentClient(string $message): bool
    {
        return self::sendToClient(self::current(), $message);
    }

    /** @param string|int|list<string|int> $uid */
    public static function sendToUid(string|int|array $uid, string $message): bool
    {
        return self::send(self::named('user', $uid), $message);
    }

    /**
     * @param string|int|list<string|int> $group
     * @param string|list<string>|null $exclude_client_id
     */
    public static function sendToGroup(string|int|array $group, string $message, string|array|null $exclude_client_id = null): bool
    {
        return self::send(self::named('channel', $group), $message, $exclude_client_id);
    }

    /** In an event of that client only, before output: it is a header of its answer. */
    public static function bindUid(string $client_id, string|int $uid): bool
    {
        self::mine($client_id, 'bindUid', 'a client is bound by an answer to one of its own events: header("WS-User: $uid"), best on connect');
        self::header('WS-User', Command::name($uid, 'bindUid'));
        return true;
    }

    /** As bindUid. */
    public static function unbindUid(string $client_id, string|int $uid): bool
    {
        self::mine($client_id, 'unbindUid', 'a client is unbound by an answer to one of its own events: header("WS-User:")');
        if ((string) $uid === ($_SERVER['WS_USER'] ?? '')) {
            self::header('WS-User', '');
        }
        return true;
    }

    /** In the connect event of that client it is a header of the answer; else a command, which later sends to the group follow. */
    public static function joinGroup(string $client_id, string|int $group): bool
    {
        $group = Command::name($group, 'joinGroup');
        if ($client_id === ($_SERVER['WS_CONNECTION'] ?? null) && $_SERVER['WS_EVENT'] === 'connect') {
            self::header('WS-Join', $group, false);
            return true;
        }
        self::client()->join(self::conns([$client_id]), $group);
        return true;
    }

    public static function leaveGroup(string $client_id, string|int $group): bool
    {
        self::client()->leave(self::conns([$client_id]), Command::name($group, 'leaveGroup'));
        return true;
    }

    /** All leave the group. */
    public static function ungroup(string|int $group): bool
    {
        self::client()->leave(self::named('channel', $group), $group);
        return true;
    }

    /** The last message first, then the end, with code 4000. */
    public static function closeClient(string $client_id, ?string $message = null): bool
    {
        $command = ['to' => self::conns([$client_id]), 'close' => ['code' => 4000]];
        self::client()->command($message === null ? $command : $command + ['data' => $message]);
        return true;
    }

    public static function closeCurrentClient(?string $message = null): bool
    {
        return self::closeClient(self::current(), $message);
    }

    /** As closeClient: a client that does not answer the close is dropped. */
    public static function destoryClient(string $client_id): bool
    {
        return self::closeClient($client_id);
    }

    public static function destoryCurrentClient(): bool
    {
        return self::closeClient(self::current());
    }

    /** 1 or 0. Not in a Redis Cluster. */
    public static function isOnline(string $client_id): int
    {
        return min(1, self::client()->listeners(self::conns([$client_id])[0]));
    }

    /** 1 or 0. */
    public static function isUidOnline(string|int $uid): int
    {
        return (int) self::client()->online($uid);
    }

    /** @return list<string> */
    public static function getClientIdByUid(string|int $uid): array
    {
        return self::client()->connections($uid);
    }

    /** Of this event's own client only. */
    public static function getUidByClientId(string $client_id): ?string
    {
        self::mine($client_id, 'getUidByClientId', 'keep a table in Redis or the database, by connect and disconnect');
        return ($_SERVER['WS_USER'] ?? '') === '' ? null : $_SERVER['WS_USER'];
    }

    /** @return array<string|int, string> by uid */
    public static function getUidListByGroup(string|int $group): array
    {
        $uids = [];
        foreach (array_keys(self::client()->members($group)) as $member) {
            if (str_starts_with($member, 'user:')) {
                $uids[substr($member, 5)] = substr($member, 5);
            }
        }
        return $uids;
    }

    public static function getUidCountByGroup(string|int $group): int
    {
        return count(self::getUidListByGroup($group));
    }

    public static function getClientIdCountByGroup(string|int $group): int
    {
        return array_sum(self::client()->members($group));
    }

    public static function getClientCountByGroup(string|int $group): int
    {
        return self::getClientIdCountByGroup($group);
    }

    /** @return array<string|int, string> by uid */
    public static function getAllUidList(): array
    {
        $uids = self::client()->present('user');
        return array_combine($uids, $uids);
    }

    public static function getAllUidCount(): int
    {
        return count(self::client()->present('user'));
    }

    /** @return array<string|int, string> by group */
    public static function getAllGroupIdList(): array
    {
        $groups = self::client()->present('channel');
        return array_combine($groups, $groups);
    }

    /** @return array<string|int, array<string|int, string>> by group */
    public static function getAllGroupUidList(): array
    {
        return array_map(self::getUidListByGroup(...), self::getAllGroupIdList());
    }

    /** @return array<string|int, int> by group */
    public static function getAllGroupUidCount(): array
    {
        return array_map(self::getUidCountByGroup(...), self::getAllGroupIdList());
    }

    /** @return array<string|int, int> by group */
    public static function getAllGroupClientIdCount(): array
    {
        return array_map(self::getClientIdCountByGroup(...), self::getAllGroupIdList());
    }

    /**
     * The state of this event's own client, which setSession has set; null without one.
     *
     * @return array<string, mixed>|null
     */
    public static function getSession(string $client_id): ?array
    {
        self::mine($client_id, 'getSession', 'the state of other clients cannot be read: keep in Redis or the database what others need');
        $session = json_decode($_SERVER['WS_STATE'] ?? '', true);
        return is_array($session) ? $session : null;
    }

    /**
     * Replaces the state of this event's own client, before output: at most 8 KiB as JSON, which its later events have.
     *
     * @param array<string, mixed> $session
     */
    public static function setSession(string $client_id, array $session): bool
    {
        self::mine($client_id, 'setSession', 'the state of other clients cannot be set: keep in Redis or the database what others need');
        self::header('WS-State', Command::state(Command::json($session, 'setSession'), 'setSession'));
        $_SERVER['WS_STATE'] = Command::json($session, 'setSession');
        return true;
    }

    /** @param array<string, mixed> $session */
    public static function updateSession(string $client_id, array $session): bool
    {
        return self::setSession($client_id, array_replace_recursive(self::getSession($client_id) ?? [], $session));
    }

    /**
     * What has no counterpart, by GatewayWorker's name.
     *
     * @param list<mixed> $arguments
     */
    public static function __callStatic(string $name, array $arguments): never
    {
        throw new \LogicException("GatewayClient::$name: " . match ($name) {
            'getAllClientIdCount', 'getAllClientCount' => 'add up the metric wsfpm_connections of all nodes (docs/metrics.md)',
            'getAllClientIdList', 'getClientIdListByGroup', 'getAllGroupClientIdList'
                => 'no command lists connections: send to the group, or keep a table in Redis or the database, by connect and disconnect',
            'getAllClientInfo', 'getAllClientSessions', 'getClientInfoByGroup', 'getClientSessionsByGroup'
                => 'states of other clients cannot be read: keep in Redis or the database what others need, by user',
            'setSocketSession' => 'use setSession in an event of that client',
            default => 'there is no such call',
        });
    }

    /**
     * @param string|list<string> $to
     * @param string|list<string>|null $except
     */
    private static function send(string|array $to, string $message, string|array|null $except = null): bool
    {
        $command = ['to' => $to] + (preg_match('//u', $message) === 1 ? ['data' => $message] : ['base64' => base64_encode($message)]);
        self::client()->command($except === null || $except === [] ? $command : $command + ['except' => self::conns((array) $except)]);
        return true;
    }

    private static function client(): Client
    {
        $of = self::$prefix . self::$registerAddress;
        if (self::$client === null || self::$clientOf !== '' && self::$clientOf !== $of) {
            $url = str_contains(self::$registerAddress, '://') ? self::$registerAddress : 'redis://' . self::$registerAddress;
            [self::$client, self::$clientOf] = [new Client($url, self::$prefix), $of];
        }
        return self::$client;
    }

    /**
     * @param list<string> $ids
     * @return list<string>
     */
    private static function conns(array $ids): array
    {
        return self::named('conn', $ids);
    }

    /**
     * @param string|int|list<string|int> $names
     * @return list<string>
     */
    private static function named(string $kind, string|int|array $names): array
    {
        $addresses = [];
        foreach ((array) $names as $name) {
            $addresses[] = "$kind:" . Command::name($name, $kind);
        }
        return $addresses;
    }

    /** The client whose event this is. */
    private static function current(): string
    {
        return $_SERVER['WS_CONNECTION'] ?? throw new \LogicException('GatewayClient: there is no current client outside of an event');
    }

    private static function mine(string $client_id, string $call, string $cure): void
    {
        if ($client_id !== ($_SERVER['WS_CONNECTION'] ?? null)) {
            throw new \LogicException("GatewayClient::$call: not in an event of that client: $cure");
        }
    }

    private static function header(string $name, string $value, bool $replace = true): void
    {
        $file = $line = null;
        if (headers_sent($file, $line)) {
            throw new Refused("the headers have been sent already: output began in $file, line $line");
        }
        header("$name: $value", $replace);
    }
}
