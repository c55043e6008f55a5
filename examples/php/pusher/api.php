<?php // Pusher's HTTP API, for the site's servers: /apps/{id}/events and what lies beside it.
declare(strict_types=1);

require __DIR__ . '/App.php';

set_exception_handler(function (Throwable $e): void { // PHP's own answer is 200 where display_errors is on
    error_log((string) $e);
    answer(500, 'internal error');
});
$app = App::configured();
[$path, $query] = explode('?', $_SERVER['REQUEST_URI'], 2) + [1 => ''];
$path = rawurldecode($path);                         // as the server has signed it
[$method, $body] = [$_SERVER['REQUEST_METHOD'], file_get_contents('php://input')];
$app->signed($method, $path, $query, $body, time()) || answer(401, 'the signature, the time or body_md5 is wrong');
preg_match('~^/apps/([^/]+)/(.+)$~Ds', $path, $of) && $of[1] === $app->id || answer(404, 'no such application');
$request = "$method $of[2]";
$data = json_decode($body, true);
$asked = array_filter(explode(',', (string) ($_GET['info'] ?? '')), 'strlen');

if ($request === 'POST events') {
    publish($app, [$data]);
} elseif ($request === 'POST batch_events') {
    publish($app, $data['batch'] ?? null);
} elseif ($request === 'GET channels') {
    $begins = fn ($name) => $name[0] !== '#' && str_starts_with($name, (string) ($_GET['filter_by_prefix'] ?? ''));
    $names = array_filter($app->channels(), $begins);
    answer(200, ['channels' => (object) array_combine($names, array_map(fn ($name) => (object) about($app, $name, $asked), $names))]);
} elseif (preg_match('~^GET channels/([^/]+)(/users)?$~D', $request, $of) && $app->channel($of[1]) !== null) {
    isset($of[2]) || answer(200, ['occupied' => in_array($of[1], $app->channels(), true)] + about($app, $of[1], $asked));
    str_starts_with($of[1], 'presence-') || answer(400, 'only a presence channel has users');
    answer(200, ['users' => array_map(fn ($id) => ['id' => (string) $id], array_keys($app->users($of[1])))]);
} elseif (preg_match('~^POST users/(.+)/terminate_connections$~Ds', $request, $of) && ($name = $app->channel("#server-to-user-$of[1]")) !== null) {
    $app->send([['to' => "channel:$name", 'close' => ['code' => 4009, 'reason' => 'terminated']]]);
    answer(200, (object) []);
}
answer(400, 'no such request');

/** Publishes at most ten events: all of them or none. */
function publish(App $app, mixed $events): never
{
    is_array($events) && count($events) >= 1 && count($events) <= 10 || answer(400, 'between 1 and 10 events are needed');
    $commands = [];
    foreach ($events as $e) {
        $channels = $e['channels'] ?? [$e['channel'] ?? null];
        [$name, $data, $socket] = [$e['name'] ?? null, $e['data'] ?? null, $e['socket_id'] ?? null];
        is_string($name) && $name !== '' && strlen($name) <= 200 && is_string($data) || answer(400, 'an event needs a name, and data as text');
        is_array($channels) && count($channels) >= 1 && count($channels) <= 100 || answer(400, 'an event needs between 1 and 100 channels');
        $socket === null || is_string($socket) && preg_match('/^\d+\.\d+$/D', $socket) || answer(400, 'socket_id is wrong');
        foreach ($channels as $channel) {
            $to = 'channel:' . ($app->channel($channel) ?? answer(400, 'there can be no channel of this name'));
            $commands[] = ['to' => $to, 'data' => ['event' => $name, 'channel' => $channel, 'data' => $data]]
                + ($socket === null ? [] : ['except' => ['user:' . $app->name($socket)]]);
        }
    }
    $app->send($commands);
    answer(200, (object) []);
}

/** What is asked about a channel. */
function about(App $app, string $channel, array $asked): array
{
    return array_combine($asked, array_map(fn ($what) => match (true) {
        $what === 'subscription_count' => $app->connections($channel),
        $what === 'user_count' && str_starts_with($channel, 'presence-') => count($app->users($channel)),
        default => answer(400, 'only a presence channel has a user_count'),
    }, $asked));
}

function answer(int $status, mixed $what): never
{
    http_response_code($status);
    header('Content-Type: ' . ($status === 200 ? 'application/json' : 'text/plain'));
    exit($status === 200 ? App::json($what) : "$what\n");
}
