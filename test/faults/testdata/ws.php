<?php // does what a message asks for and keeps a ledger: a line before and a line after every run
function ledger(string $line): void
{
    file_put_contents(__DIR__ . '/ledger', $line . "\n", FILE_APPEND);
}

function flush_out(): void
{
    while (ob_get_level()) {
        ob_end_flush();
    }
    flush();
}

$id = $_SERVER['WS_CONNECTION'];
$run = $_SERVER['WS_REQUEST_ID'];
$event = $_SERVER['WS_EVENT'];
if ($event === 'disconnect') {
    ledger("b $run disconnect {$_SERVER['WS_CLOSE_CODE']} {$_GET['tag']} 0");
    ledger("e $run");
    exit;
}
if ($event === 'connect') {
    ledger("b $run connect 0 {$_GET['tag']} 0");
    header("X-Connection: $id");
    header("WS-User: {$_GET['user']}");
    header("WS-Join: {$_GET['join']}");
    ledger("e $run");
    echo "H $id {$_GET['tag']}";
    exit;
}
$asked = file_get_contents('php://input');
[$tag, $n, $verb, $with] = explode(' ', $asked, 4) + ['?', '?', '?', ''];
ledger("b $run message {$_SERVER['WS_SEQ']} $tag $n");
$answer = "A $id {$_SERVER['WS_SEQ']} $asked";
switch ($verb) {
    case 'slow':
        usleep(1000 * (int) $with);
        break;
    case 'push': // to a channel, and an answer
        [$channel, $k] = explode(' ', $with);
        header('Content-Type: application/vnd.wsfpm+json');
        $answer = json_encode([
            ['to' => "channel:$channel", 'data' => "P channel:$channel s$tag $k"],
            ['data' => $answer],
        ], JSON_UNESCAPED_SLASHES);
        break;
    case 'join':
        header("WS-Join: $with");
        break;
    case 'leave':
        header("WS-Leave: $with");
        break;
    case 'stream':
        header('Content-Type: application/x-ndjson');
        for ($i = 1; $i < (int) $with; $i++) {
            echo "S $id {$_SERVER['WS_SEQ']} $i $tag\n";
            flush_out();
        }
        $answer .= "\n";
        break;
    case 'die': // half an answer, then the worker is gone
        echo substr($answer, 0, 7);
        flush_out();
        posix_kill(getmypid(), SIGKILL);
        sleep(5);
        // no break: it is dead
    case 'fatal':
        echo $answer;
        no_such_function();
        // no break: it has ended
    case 'odd':
        header('WS-Nonsense: 1');
        break;
    case 'finish': // goes on behind its answer
        ledger("e $run");
        echo $answer;
        fastcgi_finish_request();
        usleep(1000 * (int) $with);
        exit;
}
ledger("e $run");
echo $answer;
