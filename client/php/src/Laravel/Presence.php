<?php
declare(strict_types=1);

namespace Wsfpm\Laravel;

use Wsfpm\{Command, Redis, Refused};

/**
 * Who is in the presence channels of Laravel Echo, and what the others hear of them. One script in Redis changes the list of a channel
 * and sends what follows: so all clients get the list and its changes in one order, on all nodes. Each change
 * compares the list with the gateway's own [presence], which is right after a node's death too: who is not there has gone.
 */
final class Presence
{
    /** The longest info of a member, in bytes of JSON: each newcomer gets that of all. */
    private const INFO = 4096;
    /** Seconds until the gateway has counted a member for certain. */
    private const UNCOUNTED = 60;
    /** Seconds for which Redis remembers which lists a connection is in. */
    private const REMEMBERED = 86400;
    /** Seconds without a change after which a list ends: all disconnect events of its members were lost. */
    private const KEPT = 30 * 86400;

    /**
     * KEYS: the gateway's presence of the channel; the list, address of a connection => time, member and info; the lists of the
     * connection. ARGV: where commands go, the channel's name in wsfpm and in Laravel, who comes or goes, and for one that
     * comes the member and its info in JSON.
     */
    private const CHANGE = <<<'LUA'
        local counted, list, lists = KEYS[1], KEYS[2], KEYS[3]
        local door, name, channel, who, member, info = unpack(ARGV)
        local now = redis.call('TIME')[1]
        local was, is = {}, {}
        local all = redis.call('HGETALL', list)
        for i = 1, #all, 2 do
          local since, of, its = string.match(all[i + 1], '^(%d+)\n(.-)\n(.*)$')
          if of then was[of] = its end
          local isLost = not of or now - since > {{uncounted}} and redis.call('HEXISTS', counted, of) == 0
          if all[i] == who or of == who or isLost then
            redis.call('HDEL', list, all[i])
          else
            is[of] = its
          end
        end

        local own = '"leave":["' .. name .. '"]'
        if member == '' then
          redis.call('SREM', lists, channel)
        else
          redis.call('HSET', list, who, now .. '\n' .. member .. '\n' .. info)
          redis.call('SADD', lists, channel)
          redis.call('EXPIRE', lists, {{remembered}})
          is[member] = info
          local here = {}
          for of, its in pairs(is) do here[#here + 1] = '[' .. cjson.encode(of) .. ',' .. its .. ']' end
          own = '"join":["' .. name .. '"],"data":{"channel":' .. cjson.encode(channel) .. ',"here":[' .. table.concat(here, ',') .. ']}'
        end

        redis.call('EXPIRE', list, {{kept}})

        local commands, joined, left = {'{"to":' .. cjson.encode(who) .. ',' .. own .. '}'}, {}, {}
        for of, its in pairs(is) do if not was[of] then joined[#joined + 1] = '[' .. cjson.encode(of) .. ',' .. its .. ']' end end
        for of in pairs(was) do if not is[of] then left[#left + 1] = cjson.encode(of) end end
        if #joined + #left > 0 then
          commands[2] = '{"to":"channel:' .. name .. '","except":[' .. cjson.encode(who) .. '],"data":{"channel":' .. cjson.encode(channel)
            .. ',"joined":[' .. table.concat(joined, ',') .. '],"left":[' .. table.concat(left, ',') .. ']}}'
        end
        redis.call('PUBLISH', door, '[' .. table.concat(commands, ',') .. ']')
        LUA;

    public function __construct(private readonly Redis $redis, private readonly string $prefix)
    {
    }

    /**
     * A connection joins a channel: it gets the list, the others hear of a member that was not there yet.
     *
     * @param string $name the channel's in wsfpm
     * @param string $connection its address
     * @param string $member as the gateway counts it: "user:42", or the address of a connection without a user
     * @param mixed $info what the others hear of it, sent as JSON of at most 4096 bytes
     */
    public function enter(string $name, string $channel, string $connection, string $member, mixed $info): void
    {
        $json = Command::json($info, "the info of a member of $channel");
        if (strlen($json) > self::INFO) {
            throw new Refused("the info of a member of $channel has " . strlen($json) . ' bytes, at most ' . self::INFO . ' are allowed');
        }
        $this->change($name, $channel, $connection, $member, $json);
    }

    /** A connection, or all of a user's, leave a channel; the others hear of it when the member has no other one there. */
    public function remove(string $name, string $channel, string $address): void
    {
        $this->change($name, $channel, $address, '', '');
    }

    /**
     * The presence channels of a connection that has ended, which are forgotten now.
     *
     * @return list<string>
     */
    public function ended(string $connection): array
    {
        $key = "{$this->prefix}members:of:$connection";
        $channels = (array) $this->redis->run('SMEMBERS', $key);
        $this->redis->run('DEL', $key);
        return array_map('strval', $channels);
    }

    private function change(string $name, string $channel, string $who, string $member, string $info): void
    {
        $script = strtr(self::CHANGE, ['{{uncounted}}' => self::UNCOUNTED, '{{remembered}}' => self::REMEMBERED, '{{kept}}' => self::KEPT]);
        $keys = ["presence:channel:$name", "members:$name", "members:of:$who"];
        $this->redis->run('EVAL', $script, '3', ...array_map(fn (string $key): string => $this->prefix . $key, $keys),
            ...["{$this->prefix}command", $name, $channel, $who, $member, $info]);
    }
}
