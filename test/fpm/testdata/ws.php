<?php // does what a message asks for, or at connect the query's "do", and writes down that it ran
function wsfpm_note(string $line): void
{
    file_put_contents(__DIR__ . '/ledger', $line . "\n", FILE_APPEND | LOCK_EX);
}

function wsfpm_gate(string $name): void // waits until the test opens the gate
{
    while (!file_exists(__DIR__ . "/gate-$name")) {
        usleep(1000);
        clearstatcache();
    }
}

function wsfpm_cut(int $signal): void // dies with half an answer flushed
{
    echo 'half an answer';
    while (ob_get_level()) {
        ob_end_flush();
    }
    flush();
    posix_kill(getmypid(), $signal);
    sleep(5);
}

$id = $_SERVER['WS_REQUEST_ID'];
wsfpm_note("begin $id {$_SERVER['WS_EVENT']} " . ($_SERVER['WS_CLOSE_CODE'] ?? '-'));
register_shutdown_function(fn () => wsfpm_note("end $id"));
if ($_SERVER['WS_EVENT'] === 'disconnect') {
    exit;
}
if ($_SERVER['WS_EVENT'] === 'connect' && isset($_GET['user'])) {
    header("WS-User: {$_GET['user']}");
}
$asked = $_SERVER['WS_EVENT'] === 'message' ? file_get_contents('php://input') : $_GET['do'] ?? 'hello';
$answer = "{$_SERVER['WS_CONNECTION']} " . ($_SERVER['WS_SEQ'] ?? 0) . " $asked";
[$do, $with] = explode(' ', $asked, 2) + [1 => ''];
switch ($do) {
    case 'gate':
        wsfpm_gate($with);
        break;
    case 'sleep':
        usleep(1000 * (int) $with);
        break;
    case 'cut':
        wsfpm_cut((int) $with);
        break;
    case 'finish':
        echo $answer;
        fastcgi_finish_request();
        wsfpm_gate($with);
        exit;
}
echo $answer;
