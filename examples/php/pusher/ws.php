<?php // The Pusher protocol, version 7: what its clients say on a WebSocket.
declare(strict_types=1);

isset($_SERVER['WS_EVENT']) or exit(http_response_code(404));
require __DIR__ . '/App.php';

$app = App::configured();
$socket = $app->plain($_SERVER['WS_USER']);
match ($_SERVER['WS_EVENT']) {
    'connect' => connect($app),
    'message' => message($app, $socket, json_decode(file_get_contents('php://input'))),
    'disconnect' => $app->ended($socket, $_SERVER['WS_CONNECTION']),
};

function connect(App $app): void
{
    header('WS-Accept: 1');
    if (!in_array($_GET['protocol'] ?? '', ['5', '6', '7'], true)) {
        header('WS-Close: 4007 unsupported protocol version');
        return;
    }
    $socket = random_int(1, 1 << 31) . '.' . random_int(1, 1 << 31);
    header('WS-User: ' . $app->name($socket));       // the address by which servers exclude this socket
    say('pusher:connection_established', App::json(['socket_id' => $socket, 'activity_timeout' => 120]));
}

function message(App $app, string $socket, mixed $m): void
{
    $text = fn (mixed $value) => is_string($value) ? $value : '';
    $event = $text($m->event ?? null);
    $channel = $text($m->channel ?? $m->data->channel ?? null);
    $joined = in_array($app->channel($channel), explode(',', $_SERVER['WS_CHANNELS']), true);
    if ($event === 'pusher:ping') {
        header('Cache-Control: public, max-age=60'); // the same for all: wsfpm answers the next ones
        say('pusher:pong', (object) []);
    } elseif ($event === 'pusher:signin') {
        signin($app, $socket, $text($m->data->auth ?? null), $text($m->data->user_data ?? null));
    } elseif ($event === 'pusher:subscribe') {
        $refusal = subscribe($app, $socket, $channel, $joined, $text($m->data->auth ?? null), $text($m->data->channel_data ?? null));
        $refusal === null || say('pusher:subscription_error', ['type' => 'AuthError', 'error' => $refusal, 'status' => 403], $channel);
    } elseif ($event === 'pusher:unsubscribe' && $joined && $channel[0] !== '#') {
        isPresence($channel) ? $app->presence($channel, $socket, $_SERVER['WS_CONNECTION'], null) : header('WS-Leave: ' . $app->name($channel));
    } elseif (str_starts_with($event, 'client-') && $joined && preg_match('/^(presence|private)-(?!encrypted-)/', $channel)) {
        header('WS-Publish: channel:' . $app->name($channel) . '; except=self');
        say($event, $m->data ?? null, $channel, isPresence($channel) ? ['user_id' => $app->userOf($channel, $socket)] : []);
    } elseif ($event !== 'pusher:unsubscribe' && $event !== 'pusher:pong') {
        say('pusher:error', ['code' => null, 'message' => 'not an event that this client may send']);
    }
}

/** Subscribes, or returns why not. */
function subscribe(App $app, string $socket, string $channel, bool $joined, string $auth, string $data): ?string
{
    $name = $app->channel($channel);
    if ($name === null || substr_count($_SERVER['WS_CHANNELS'], ',') >= 60) { // of limits.channels, 64: some may be on their way
        return $name === null ? 'no channel can have this name here' : 'too many channels';
    }
    if ($channel[0] === '#' && !$joined) {           // signin joins it
        return 'only the user, signed in';
    }
    if (preg_match('/^(private|presence)-/', $channel) && !hash_equals($app->auth("$socket:$channel" . ($data === '' ? '' : ":$data")), $auth)) {
        return 'the signature is wrong';
    }
    if (!isPresence($channel)) {
        header("WS-Join: $name");
        say('pusher_internal:subscription_succeeded', '{}', $channel);
        return null;
    }
    $user = json_decode($data === '' ? $_SERVER['WS_STATE'] : $data);
    $id = $data === '' ? $user->id ?? '' : $user->user_id ?? '';
    $info = $user->user_info ?? null;
    if (!is_string($id) && !is_int($id) || $id === '' || strlen("$id") > 128 || strlen(App::json($info)) > 1024) {
        return 'a member needs a user_id of at most 128 bytes, and a user_info of at most 1,024';
    }
    $member = (object) ['user_id' => (string) $id, 'user_info' => $info, 'since' => time()];
    return $app->presence($channel, $socket, $_SERVER['WS_CONNECTION'], $member) ? null : 'already subscribed, or the channel is full';
}

function signin(App $app, string $socket, string $auth, string $data): void
{
    $id = json_decode($data)->id ?? null;
    $name = is_string($id) && $id !== '' && strlen($data) <= 8192 && $_SERVER['WS_STATE'] === '' ? $app->channel("#server-to-user-$id") : null;
    if ($name === null || !hash_equals($app->auth("$socket::user::$data"), $auth)) {
        header('WS-Close: 4009 not signed in');
        say('pusher:error', ['code' => 4009, 'message' => 'not signed in: the signature or the user is wrong']);
        return;
    }
    header("WS-Join: $name");                        // what is sent to the user, and ends the user's connections
    header('WS-State: ' . strtr($data, "\r\n", '  '));
    say('pusher:signin_success', App::json(['user_data' => $data]));
}

function isPresence(string $channel): bool
{
    return str_starts_with($channel, 'presence-');
}

function say(string $event, mixed $data, ?string $channel = null, array $more = []): void
{
    echo App::json(['event' => $event] + ($channel === null ? [] : ['channel' => $channel]) + ['data' => $data] + $more);
}
