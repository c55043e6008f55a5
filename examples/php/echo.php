<?php // Sends every message back, text as text and binary as binary.
isset($_SERVER['WS_EVENT']) or exit(http_response_code(404)); // opened as a web page: no
if ($_SERVER['WS_EVENT'] !== 'message') exit;                 // every client may connect
if ($_SERVER['WS_OPCODE'] === 'binary') header('Content-Type: application/octet-stream');
readfile('php://input');
