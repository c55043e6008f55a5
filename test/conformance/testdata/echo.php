<?php // gives every message back, of the same kind and byte for byte
$state = $_SERVER['STATE'];
switch ($_SERVER['WS_EVENT']) {
    case 'connect': // ?NAME waits until a file of that name is there
        for ($n = 0; $_SERVER['QUERY_STRING'] !== '' && $n < 20000; $n++) {
            clearstatcache();
            if (is_file($state . '/' . basename($_SERVER['QUERY_STRING']))) {
                break;
            }
            usleep(1000);
        }
        break;
    case 'message':
        header('Content-Type: application/vnd.wsfpm+json');
        $body = file_get_contents('php://input');
        if ($_SERVER['WS_OPCODE'] === 'binary') {
            echo '{"base64":"', base64_encode($body), '"}';
        } else {
            echo json_encode(['data' => $body], JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR);
        }
        break;
    case 'disconnect':
        file_put_contents($state . '/ended', $_SERVER['WS_CLOSE_CODE'] . "\n", FILE_APPEND | LOCK_EX);
}
