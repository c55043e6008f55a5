<?php
// The WebSocket side of the chat: one run per event, nothing stays in memory.
//
//   the page sends                              it gets
//   (it connects)                               "room": where it is, and the last messages
//   {"type":"here","new":true}                  "here": people and rooms, like the others in the room
//   {"type":"say","room":"lobby","key":"k1","text":"…"}
//                                               "message", like all clients in the room
//   {"type":"private","to":"Ann","key":…}       "private", like Ann
//   {"type":"room","room":"help"}               "room": you are there now, ask who is here
//   {"type":"typing"}                           nothing; the others get "typing"
//
// The page speaks wsfpm.v1 (live.js): its messages have a reply, and it comes back with what
// it missed. The configuration for that is in wsfpm.dev.toml.
declare(strict_types=1);

isset($_SERVER['WS_EVENT']) or exit(http_response_code(404));
require __DIR__ . '/Store.php';
require __DIR__ . '/Presence.php';
require __DIR__ . '/session.php';

const FLAGS = JSON_UNESCAPED_UNICODE | JSON_HEX_TAG | JSON_THROW_ON_ERROR; // no < or >: no client's text looks like an error page of PHP

$store = new Store($_SERVER['CHAT_DIR'] ?? (getenv('CHAT_DIR') ?: sys_get_temp_dir() . '/wsfpm-chat'));
$presence = new Presence($_SERVER['WSFPM_REDIS_URL'] ?? (getenv('WSFPM_REDIS_URL') ?: 'redis://127.0.0.1:6379'));

match ($_SERVER['WS_EVENT']) {
    'connect' => connect($store),
    'message' => message($store, $presence),
    'disconnect' => goodbye($store, $presence),
};

/** The site's own login decides. wsfpm counts the person as here from this answer on. */
function connect(Store $store): void
{
    $me = whoIsLoggedIn();
    if ($me === null) {
        http_response_code(401);
        exit('log in first');
    }
    if (($_GET['me'] ?? $me) !== $me) { // the page is another person's, and so is what it would send
        header('WS-Accept: 1');
        header('WS-Close: 4001 you have logged in as someone else'); // final: the page does not come back
        return;
    }
    $room = roomName($_GET['room'] ?? '');
    if ($room === null || !$store->open($room)) {
        $room = Store::FIRST_ROOMS[0];
    }
    header("WS-User: $me");
    header('WS-Join: everybody, ' . channel($room));
    header("WS-State: $room");
    header('WS-Accept: 1'); // with accept = "header" on the route nothing else lets anybody in
    if ($_SERVER['WS_RESUME'] === 'ok' && $room === ($_GET['room'] ?? null)) {
        return; // the page has the messages, and now gets those that it missed
    }
    // What is stored after this was read is sent after it: nothing falls between.
    reply(['type' => 'room', 'room' => $room, 'messages' => $store->history($room)]);
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

function message(Store $store, Presence $presence): void
{
    if (whoIsLoggedIn() !== $_SERVER['WS_USER']) { // in another tab, perhaps
        header('WS-Close: 4001 you have logged out');   // final: the page does not come back
        return;
    }
    $in = json_decode(file_get_contents('php://input'), true, 4);
    match (is_array($in) ? $in['type'] ?? null : null) {
        'here' => here($store, $presence, $in),
        'say' => say($store, $in),
        'private' => tell($store, $presence, $in),
        'room' => change($store, $in),
        'typing' => typing(),
        default => trouble('What was that?'),
    };
}

/**
 * Who is here, for the page that asks; and for the room, when it is the person's first
 * page there. Asked after the handshake, so that the person is counted. "left" names the
 * room from which the page has come, "all" asks for the messages too.
 */
function here(Store $store, Presence $presence, array $in): void
{
    [$me, $room] = [$_SERVER['WS_USER'], $_SERVER['WS_STATE']];
    $list = $presence->of($room, $store->rooms());
    $answer = listOf($room, $list);
    $commands = [['data' => empty($in['all']) ? $answer : $answer + ['messages' => $store->history($room)]]];
    if ($list !== null && !empty($in['new']) && ($list['people'][$me] ?? 0) < 2) {
        $commands[] = tellRoom($room, $list);
        if (count($list['people']) < 2) { // it may be a new room: add it to all lists
            $commands[] = ['to' => 'channel:everybody', 'except' => ['self'], 'durable' => false,
                'data' => ['type' => 'rooms', 'rooms' => $list['rooms']]];
        }
    }
    $left = roomName($in['left'] ?? null);
    if ($left !== null && $left !== $room) {
        $list = $presence->of($left, $store->rooms());
        if ($list !== null && !isset($list['people'][$me])) { // no other tab of theirs is there
            $commands[] = tellRoom($left, $list);
        }
    }
    commands($commands);
}

/** When the last page of a person in a room is gone, the room learns it. wsfpm no longer counts this connection. */
function goodbye(Store $store, Presence $presence): void
{
    $room = $_SERVER['WS_STATE'];
    if ($room === '') { // connect has closed it
        return;
    }
    $list = $presence->of($room, $store->rooms());
    if ($list !== null && !isset($list['people'][$_SERVER['WS_USER']])) {
        commands([tellRoom($room, $list)]);
    }
}

/** Lists go without the log: a page that comes back asks for a new one. */
function tellRoom(string $room, array $list): array
{
    return ['to' => 'channel:' . channel($room), 'except' => ['self'], 'durable' => false, 'data' => listOf($room, $list)];
}

/** A list as pages get it; "people" is null while Redis is away. */
function listOf(string $room, ?array $list): array
{
    $people = array_map('strval', array_keys($list['people'] ?? []));
    natcasesort($people);
    return ['type' => 'here', 'room' => $room, 'people' => $list === null ? null : array_values($people)]
        + ($list ?? ['rooms' => array_fill_keys(Store::FIRST_ROOMS, 0)]);
}

function say(Store $store, array $in): void
{
    $room = $_SERVER['WS_STATE'];
    if (($in['room'] ?? null) !== $room) { // written while the connection was away, and then another room was chosen
        trouble('You have left that room.');
        return;
    }
    [$key, $text] = content($store, $in);
    // To the whole room, the writer included. A message that is sent again is kept once but
    // published again, since the first time it may not have got so far.
    publish('channel:' . channel($room), $store->keep($room, $_SERVER['WS_USER'], $key, $text));
}

function tell(Store $store, Presence $presence, array $in): void
{
    $to = roomName($in['to'] ?? null); // names of people and of rooms are alike
    if ($to === null || $presence->isHere($to) === false) {
        trouble(($to ?? 'This person') . ' is not here.');
        return;
    }
    [$key, $text] = content($store, $in);
    // Every tab of both. Private messages are in wsfpm's log only: who is away for longer misses them.
    publish("user:$to, user:$_SERVER[WS_USER]", [
        'type' => 'private', 'id' => (int) (microtime(true) * 1000),
        'from' => $_SERVER['WS_USER'], 'to' => $to, 'key' => $key, 'text' => $text,
    ]);
}

function change(Store $store, array $in): void
{
    $room = roomName($in['room'] ?? null);
    if ($room === null) {
        trouble('A room has 2 to 24 letters, digits, - or _.');
        return;
    }
    if (!$store->open($room)) {
        trouble('There are too many rooms.');
        return;
    }
    if ($room !== $_SERVER['WS_STATE']) {
        header('WS-Leave: ' . channel($_SERVER['WS_STATE']));
        header('WS-Join: ' . channel($room));
        header("WS-State: $room");
    }
    reply(['type' => 'room', 'room' => $room]);
}

function typing(): void
{
    // fast: without the log, since it only matters now.
    header('WS-Publish: channel:' . channel($_SERVER['WS_STATE']) . '; except=self; fast');
    reply(['type' => 'typing', 'room' => $_SERVER['WS_STATE'], 'name' => $_SERVER['WS_USER']]);
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
        trouble($text === '' ? 'An empty message.' : 'That is too long.');
        exit;
    }
    $wait = $store->wait($_SERVER['WS_USER']);
    if ($wait > 0) {
        reply(['type' => 'slow', 'wait' => round($wait, 2)]);
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

function trouble(string $text): void
{
    reply(['type' => 'error', 'text' => $text]);
}
