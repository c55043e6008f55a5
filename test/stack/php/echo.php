<?php // gives every message back, of the same kind
if ($_SERVER['WS_EVENT'] !== 'message') {
    exit;
}
if ($_SERVER['WS_OPCODE'] === 'binary') {
    header('Content-Type: application/octet-stream');
}
echo file_get_contents('php://input');
