<?php // does what the client writes: one header per line, then an empty line, then the body
require __DIR__ . '/event.php';
wsfpm_trace();
if ($_SERVER['WS_EVENT'] === 'message') {
    [$head, $body] = explode("\n\n", file_get_contents('php://input'), 2) + [1 => ''];
    foreach (array_filter(explode("\n", $head), 'strlen') as $line) {
        str_starts_with($line, 'status:') ? http_response_code((int) substr($line, 7)) : header($line, false);
    }
    echo $body;
} elseif ($_SERVER['WS_EVENT'] === 'connect') {
    foreach ((array) ($_GET['h'] ?? []) as $line) {
        str_starts_with($line, 'status:') ? http_response_code((int) substr($line, 7)) : header($line, false);
    }
    echo $_GET['body'] ?? '';
}
