<?php
// Returns whether the page's login is still valid: a browser hides the reason of a
// refused handshake. Regular requests also keep the session alive.
declare(strict_types=1);

require dirname(__DIR__) . '/session.php';
beginSession();

header('Content-Type: application/json');
header('Cache-Control: no-store');
if (!isset($_SESSION['name'])) {
    http_response_code(401);
}
echo json_encode(['name' => $_SESSION['name'] ?? null]);
