<?php
// The WebSocket side of the chat: one run per event, nothing stays in memory.
//
//   the page sends                              it gets
//   {"type":"sync","after":0}                   "sync": messages, people, rooms; others get "joined"
//   {"type":"say","room":"lobby","key":"k1","text":"…"}
//                                               "message", like all clients in the room
//   {"type":"private","to":"Ann","key":…}       "private", like Ann
//   {"type":"room","room":"help"}               "room": you are there now, please sync
//   {"type":"typing"}                           nothing; the others get "typing"
//
// The route: path = "/ws/chat", on_error = "message",
//   error_message = '{"type":"error","text":"The server could not do that."}'
declare(strict_types=1);

isset($_SERVER['WS_EVENT']) or exit(http_response_code(404));
require __DIR__ . '/Store.php';
require __DIR__ . '/session.php';

const FLAGS = JSON_UNESCAPED_UNICODE | JSON_HEX_TAG | JSON_THROW_ON_ERROR; // no < or >: no client's text looks like an error page of PHP

$store = new Store($_SERVER['CHAT_DIR'] ?? (getenv('CHAT_DIR') ?: sys_get_temp_dir() . '/wsfpm-chat'));

match ($_SERVER['WS_EVENT']) {
    'connect' => connect(),
    'message' => message($store),
    'disconnect' => goodbye($store),
};

/** The site's own login decides. Presence begins after the handshake. */
function connect(): void
{
    $me = whoIsLoggedIn();
    if ($me === null) {
        http_response_code(401);
        exit('log in first');
    }
    $room = roomName($_GET['room'] ?? '') ?? Store::FIRST_ROOMS[0];
    header("WS-User: $me");
    header('WS-Join: everybody, ' . channel($room));
    header("WS-State: $room");
    header('WS-Accept: 1'); // with accept = "header" on the route nothing else lets anybody in
    // The page asks for the history now. Read here, before the join is in force, it would have a gap.
    reply(['type' => 'room', 'room' => $room]);
}

function whoIsLoggedIn(): ?string
{
    if (!isset($_COOKIE[session_name()])) {
        return null;
    }
    // Read and closed at once: as long as a session is open, the person's other tabs wait for it.
    // Not strict: an unknown id means no login, and needs no new session with a new cookie.
    beginSession(['read_and_close' => true, 'use_strict_mode' => false, 'cache_limiter' => '']);
    return $_SESSION['name'] ?? null;
}

function message(Store $store): void
{
    if (whoIsLoggedIn() !== $_SERVER['WS_USER']) { // in another tab, perhaps
        header('WS-Close: 4001 you have logged out');   // final: the page does not come back
        return;
    }
    $in = json_decode(file_get_contents('php://input'), true, 4);
    match (is_array($in) ? $in['type'] ?? null : null) {
        'sync' => sync($store, (int) ($in['after'] ?? 0)),
        'say' => say($store, $in),
        'private' => tell($store, $in),
        'room' => change($store, $in),
        'typing' => typing(),
        default => trouble('What was that?'),
    };
}

/** On entering a room, and once a minute after that: the page shows that it is alive, and gets what it may have missed. */
function sync(Store $store, int $after): void
{
    [$me, $room] = [$_SERVER['WS_USER'], $_SERVER['WS_STATE']];
    $new = $store->enter($_SERVER['WS_CONNECTION'], $me, $room);
    $people = $store->people($room);
    $commands = [['data' => ['type' => 'sync', 'messages' => $store->history($room, $after)] + $people]];
    if ($new) {
        $commands[] = ['to' => 'channel:' . channel($room), 'except' => ['self'], 'data' => ['type' => 'joined', 'name' => $me] + $people];
    }
    if ($new && count($people['people']) === 1) { // it may be a new room: add it to all lists
        $commands[] = ['to' => 'channel:everybody', 'except' => ['self'], 'data' => ['type' => 'rooms'] + $people];
    }
    commands($commands);
}

function say(Store $store, array $in): void
{
    $room = $_SERVER['WS_STATE'];
    if (($in['room'] ?? null) !== $room) { // written while the connection was away, and then another room was chosen
        trouble('You have left that room.', $in['key'] ?? null);
        return;
    }
    [$key, $text] = content($store, $in);
    // To the whole room, the writer included: their copy is the receipt. A message that is sent again
    // is kept once but published again, since the first time it may not have got so far.
    publish('channel:' . channel($room), $store->keep($room, $_SERVER['WS_USER'], $key, $text));
}

function tell(Store $store, array $in): void
{
    $to = is_string($in['to'] ?? null) ? $in['to'] : '';
    if (!$store->isHere($to)) {
        trouble("$to is not here.", $in['key'] ?? null);
        return;
    }
    [$key, $text] = content($store, $in);
    // Every tab of both. Private messages are not stored: a person who is away misses them.
    publish("user:$to, user:$_SERVER[WS_USER]", [
        'type' => 'private', 'id' => (int) (microtime(true) * 1000),
        'from' => $_SERVER['WS_USER'], 'to' => $to, 'key' => $key, 'text' => $text,
    ]);
}

function change(Store $store, array $in): void
{
    $room = roomName($in['room'] ?? '');
    if ($room === null || !$store->hasPlaceFor($room)) {
        trouble($room === null ? 'A room has 2 to 24 letters, digits, - or _.' : 'There are too many rooms already.');
        return;
    }
    $commands = [['data' => ['type' => 'room', 'room' => $room]]];
    if ($room !== $_SERVER['WS_STATE']) {
        $left = $store->leave($_SERVER['WS_CONNECTION']);
        if ($left !== null) {
            $commands[] = leftCommand($store, $left);
        }
        header('WS-Leave: ' . channel($_SERVER['WS_STATE']));
        header('WS-Join: ' . channel($room));
        header("WS-State: $room");
    }
    commands($commands);
}

function typing(): void
{
    header('WS-Publish: channel:' . channel($_SERVER['WS_STATE']) . '; except=self');
    reply(['type' => 'typing', 'room' => $_SERVER['WS_STATE'], 'name' => $_SERVER['WS_USER']]);
}

/** The room learns it when the last tab of a person is gone. */
function goodbye(Store $store): void
{
    $left = $store->leave($_SERVER['WS_CONNECTION']);
    if ($left !== null) {
        commands([leftCommand($store, $left)]);
    }
}

function leftCommand(Store $store, string $room): array
{
    return ['to' => 'channel:' . channel($room), 'data' => ['type' => 'left', 'name' => $_SERVER['WS_USER']] + $store->people($room)];
}

/** The key and the text of a message, when it is one and the writer is not too fast. */
function content(Store $store, array $in): array
{
    $key = $in['key'] ?? null;
    $text = is_string($in['text'] ?? null) ? trim($in['text']) : '';
    if (!is_string($key) || !preg_match('/^[\w-]{1,40}$/D', $key)) {
        trouble('A message needs a key.');
        exit;
    }
    if ($text === '' || strlen($text) > 4000) {
        trouble($text === '' ? 'An empty message.' : 'That is too long.', $key);
        exit;
    }
    $wait = $store->wait($_SERVER['WS_USER']);
    if ($wait > 0) {
        reply(['type' => 'slow', 'key' => $key, 'wait' => round($wait, 2)]);
        exit;
    }
    return [$key, $text];
}

/** A name that may stand in a header and in an address, or null. */
function roomName(mixed $name): ?string
{
    return is_string($name) && preg_match('/^[\p{L}\p{N}_-]{2,24}$/uD', $name) ? $name : null;
}

function channel(string $room): string
{
    return "room.$room";
}

function publish(string $addresses, array $message): void
{
    header("WS-Publish: $addresses");
    reply($message);
}

function reply(array $message): void
{
    echo json_encode($message, FLAGS);
}

function commands(array $commands): void
{
    header('Content-Type: application/vnd.wsfpm+json');
    echo json_encode($commands, FLAGS);
}

function trouble(string $text, mixed $key = null): void
{
    reply(['type' => 'error', 'key' => $key, 'text' => $text]);
}
