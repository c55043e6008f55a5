<?php
// Tells the page whether its login still holds: a browser hides from a page why
// a WebSocket was refused. Asking now and then also keeps the session alive.
declare(strict_types=1);

require dirname(__DIR__) . '/session.php';
beginSession();

header('Content-Type: application/json');
header('Cache-Control: no-store');
if (!isset($_SESSION['name'])) {
    http_response_code(401);
}
echo json_encode(['name' => $_SESSION['name'] ?? null]);
