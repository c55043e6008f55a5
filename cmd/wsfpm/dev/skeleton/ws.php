<?php // ws.php
isset($_SERVER['WS_EVENT']) or exit(http_response_code(404));
if ($_SERVER['WS_EVENT'] === 'connect') header('WS-Join: lobby');
if ($_SERVER['WS_EVENT'] !== 'message') exit;
header('WS-Publish: channel:lobby');                              // to all clients in the lobby
echo json_encode(['text' => file_get_contents('php://input')]);
