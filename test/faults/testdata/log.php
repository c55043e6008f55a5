<?php
// The programme of the log: connect joins and sends the state, a message is stored for a room. Each event is noted.
isset($_SERVER['WS_EVENT']) or exit(http_response_code(404));
$began = microtime(true); // what is stored from now on is behind WS_POSITION
file_put_contents(__DIR__ . '/journal', implode(' ', [$_SERVER['WS_EVENT'], $_SERVER['WS_CONNECTION'], (int) ($began * 1e6), $_SERVER['WS_REQUEST_ID']]) . "\n", FILE_APPEND | LOCK_EX);
if ($_SERVER['WS_EVENT'] === 'connect') {
    header('X-Connection: ' . $_SERVER['WS_CONNECTION']);
    header('WS-User: ' . $_GET['user']);
    header('WS-Join: ' . $_GET['room']);
    echo json_encode(['state' => $began, 'resume' => $_SERVER['WS_RESUME'], 'position' => $_SERVER['WS_POSITION']]);
} elseif ($_SERVER['WS_EVENT'] === 'message') {
    $message = json_decode(file_get_contents('php://input'), true);
    header('WS-Publish: channel:' . $message['room']);
    echo json_encode(['n' => $message['n']]);
}
