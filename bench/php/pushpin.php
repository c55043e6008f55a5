<?php
// The same echo for Pushpin, which sends WebSocket events as an HTTP body:
// "OPEN\r\n", "TEXT <hex length>\r\n<data>\r\n", and wants the like back.
header('Content-Type: application/websocket-events');
$in = file_get_contents('php://input');
for ($at = 0, $end = strlen($in); $at < $end;) {
    $stop = strpos($in, "\r\n", $at);
    [$type, $size] = explode(' ', substr($in, $at, $stop - $at)) + [1 => null];
    $at = $stop + 2;
    if ($type === 'OPEN') {
        echo "OPEN\r\n";
    }
    if ($size !== null) {
        $data = substr($in, $at, hexdec($size));
        $at += strlen($data) + 2;
        if ($type === 'TEXT') {
            echo "TEXT $size\r\n$data\r\n";
        }
    }
}
