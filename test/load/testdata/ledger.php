<?php // runs before every script of the pool (auto_prepend_file) and writes down which WebSocket event it is for
if (isset($_SERVER['WS_EVENT'])) {
    $tag = $_SERVER['WS_CLOSE_CODE'] ?? json_decode(file_get_contents('php://input'), true)['tag'] ?? '-';
    file_put_contents(__DIR__ . '/ledger', "$_SERVER[WS_EVENT] $_SERVER[WS_NODE] $_SERVER[WS_REQUEST_ID] $tag\n", FILE_APPEND);
}
