<?php
declare(strict_types=1);

// A handler in GatewayWorker's words.

use Wsfpm\GatewayClient as Gateway;

require $_SERVER['CLIENT_PHP'] . '/GatewayClient.php';

isset($_SERVER['WS_EVENT']) or exit(http_response_code(404));
Gateway::$registerAddress = $_SERVER['REDIS'];
$client_id = $_SERVER['WS_CONNECTION'];
if ($_SERVER['WS_EVENT'] === 'connect') {
    Gateway::bindUid($client_id, $_GET['user']);
    Gateway::joinGroup($client_id, 'hall');
    Gateway::joinGroup($client_id, 'door');
    Gateway::setSession($client_id, ['since' => 1, 'room' => ['name' => 'hall']]);
    echo $client_id;
    exit;
}
if ($_SERVER['WS_EVENT'] !== 'message') {
    exit;
}
$m = json_decode(file_get_contents('php://input'), true);
switch ($m['type'] ?? '') {
    case 'join':
        Gateway::joinGroup($client_id, $m['room']);
        Gateway::updateSession($client_id, ['room' => ['name' => $m['room']]]);
        Gateway::sendToGroup($m['room'], json_encode(Gateway::getSession($client_id)));
        break;
    case 'whoami':
        Gateway::sendToCurrentClient((string) Gateway::getUidByClientId($client_id));
        break;
    case 'logout':
        Gateway::unbindUid($client_id, 'another');
        Gateway::unbindUid($client_id, $_SERVER['WS_USER']);
        break;
    case 'close':
        Gateway::closeCurrentClient('bye');
}
