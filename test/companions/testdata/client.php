<?php
declare(strict_types=1);

// Makes a Client of the kind that its third argument names, or takes GatewayClient, and calls each line of its input:
// a method and its arguments as JSON. Prints each result as a line of JSON.

use Wsfpm\Client;
use Wsfpm\GatewayClient;

require $argv[1] . '/GatewayClient.php';
[, , $kind, $at, $more] = $argv;

/** @return Client|class-string */
function client(string $kind, string $at, string $more): Client|string
{
    switch ($kind) {
        case 'phpredis': // with all that Client must go around
            $redis = new Redis();
            [$host, $port] = explode(':', $at);
            $redis->connect($host, (int) $port);
            $redis->setOption(Redis::OPT_PREFIX, 'site:');
            $redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_PHP);
            return new Client($redis);
        case 'phpredis, opened again':
            return new Client(function () use ($at) {
                $redis = new Redis();
                [$host, $port] = explode(':', $at);
                $redis->connect($host, (int) $port);
                return $redis;
            });
        case 'predis:secret':
        case 'predis':
            require 'Predis/autoload.php';
            [$host, $port] = explode(':', $at);
            return new Client(new Predis\Client(['host' => $host, 'port' => $port, 'password' => explode(':', $kind)[1] ?? null], ['prefix' => 'site:']));
        case 'GatewayClient':
            GatewayClient::$registerAddress = $at;
            return GatewayClient::class;
        default:
            return new Client($at, token: $more, timeout: (float) ($GLOBALS['argv'][5] ?? 20));
    }
}

/** Texts that JSON cannot hold are written as {"hex": "…"}. */
function given(mixed $v): mixed
{
    return is_array($v) ? (isset($v['hex']) ? hex2bin($v['hex']) : array_map('given', $v)) : $v;
}

function failure(Throwable $e): array
{
    return ['error' => get_class($e), 'message' => $e->getMessage(), 'file' => basename($e->getFile()), 'unsure' => $e->unsure ?? null];
}

try {
    $client = client($kind, $at, $more);
} catch (Wsfpm\Refused $e) {
    exit(json_encode(failure($e)) . "\n");
}
while (($line = fgets(STDIN)) !== false) {
    $call = given(json_decode($line, true));
    try {
        $result = [$client, array_shift($call)](...$call);
    } catch (RuntimeException | LogicException $e) {
        $result = failure($e);
    }
    echo json_encode($result, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE), "\n";
}
