<?php // writes down that it runs, takes as many milliseconds as the message's second word says, answers its first
$event = $_SERVER['WS_EVENT'];
[$tag, $ms] = $event === 'message' ? explode(' ', file_get_contents('php://input')) + [1 => '0'] : [$_SERVER['WS_CLOSE_CODE'] ?? '-', '0'];
// One write of a short line to the end of a file is not torn.
file_put_contents(__DIR__ . '/ledger', "$event $_SERVER[WS_NODE] $_SERVER[WS_REQUEST_ID] $tag\n", FILE_APPEND);
if ($event === 'connect') {
    isset($_GET['user']) and header("WS-User: $_GET[user]");
    echo 'hello';
} elseif ($event === 'message') {
    usleep(1000 * (int) $ms);
    echo $tag;
}
