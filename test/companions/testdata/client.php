<?php
declare(strict_types=1);

// Makes a Client of the kind that its first argument names, and calls each line of its input:
// a method and its arguments as JSON. Prints each result as a line of JSON.

use Wsfpm\Client;

require $argv[1] . '/Client.php';
[, , $kind, $at, $more] = $argv;

function client(string $kind, string $at, string $more): Client
{
    switch ($kind) {
        case 'phpredis': // with all that Client must go around
            $redis = new Redis();
            [$host, $port] = explode(':', $at);
            $redis->connect($host, (int) $port);
            $redis->setOption(Redis::OPT_PREFIX, 'site:');
            $redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_PHP);
            return new Client($redis);
        case 'predis':
            require 'Predis/autoload.php';
            [$host, $port] = explode(':', $at);
            return new Client(new Predis\Client(['host' => $host, 'port' => $port], ['prefix' => 'site:']));
        default:
            return new Client($at, token: $more, timeout: 20.0);
    }
}

/** Texts that JSON cannot hold are written as {"hex": "…"}. */
function given(mixed $v): mixed
{
    return is_array($v) ? (isset($v['hex']) ? hex2bin($v['hex']) : array_map('given', $v)) : $v;
}

$client = client($kind, $at, $more);
while (($line = fgets(STDIN)) !== false) {
    $call = given(json_decode($line, true));
    try {
        $result = $client->{array_shift($call)}(...$call);
    } catch (RuntimeException | LogicException $e) {
        $result = ['error' => get_class($e), 'message' => $e->getMessage(), 'file' => basename($e->getFile()), 'unsure' => $e->unsure ?? null];
    }
    echo json_encode($result, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE), "\n";
}
