<?php
// Issues a token to a user who is logged in: here by the session of the chat
// example, in an app by its own login.
//
// The token is short-lived because a client asks for a new one before every
// connect. A stolen one is of little use after that.
declare(strict_types=1);

require dirname(__DIR__) . '/Jwt.php';
require dirname(__DIR__) . '/secret.php';

header('Content-Type: application/json');
header('Cache-Control: no-store');

// POST only: no link, image or prefetch can ask for one. Another site's page
// could send the POST, but without CORS headers it cannot read the answer.
if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    http_response_code(405);
    header('Allow: POST');
    exit('{"error":"POST only"}');
}

session_start(['read_and_close' => true]);
$me = $_SESSION['name'] ?? null;
if ($me === null) {
    http_response_code(401);
    exit('{"error":"log in first"}');
}

$seconds = 300;
echo json_encode(['token' => Jwt::sign(['sub' => $me], jwtSecret(), $seconds), 'seconds' => $seconds]);
