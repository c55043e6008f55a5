<?php
// A client with a user and three channels, as ?u=NUMBER says; messages come back.
if (($_SERVER['WS_EVENT'] ?? '') === 'connect') {
    $u = (int)$_GET['u'];
    header("WS-User: $u");
    header('WS-Join: site, room-' . $u % 1000 . ", own-$u");
} else {
    echo file_get_contents('php://input');
}
