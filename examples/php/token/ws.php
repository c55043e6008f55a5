<?php
// Clients without cookies (mobile apps, mini-programs, other servers, pages of
// another site) send a signed token. It is in the query,
//
//   new WebSocket('wss://example.com/ws/app?token=' + jwt)
//
// or, better, in the list of subprotocols, which nginx logs nowhere:
//
//   new WebSocket('wss://example.com/ws/app', ['app.v1', 'auth.' + jwt])
//
// The token is verified once, on connect. Later events get the person in WS_USER, which
// a client cannot forge, and at the token's end the connection ends with 4401, which is not
// final: the client gets a new token and comes back.
declare(strict_types=1);

isset($_SERVER['WS_EVENT']) or exit(http_response_code(404));
require __DIR__ . '/Jwt.php';
require __DIR__ . '/secret.php';

match ($_SERVER['WS_EVENT']) {
    'connect' => connect(),
    'message' => message(),
    'disconnect' => null,
};

function connect(): void
{
    $offered = array_map('trim', explode(',', $_SERVER['WS_PROTOCOLS'] ?? ''));
    $token = $_GET['token'] ?? '';
    foreach ($offered as $protocol) {
        if (str_starts_with($protocol, 'auth.')) {
            $token = substr($protocol, strlen('auth.'));
        }
    }

    try {
        $claims = Jwt::verify(is_string($token) ? $token : '', jwtSecret());
    } catch (UnexpectedValueException $e) {
        http_response_code(401);
        exit('token: ' . $e->getMessage());
    }
    if (!preg_match('/^[\p{L}\p{N}_.@-]{1,100}$/uD', (string) ($claims['sub'] ?? ''))) {
        http_response_code(403);
        exit('token: no subject');
    }

    // Agree on the protocol, never on the "protocol" that is the token.
    if (in_array('app.v1', $offered, true)) {
        header('WS-Protocol: app.v1');
    }
    header("WS-User: $claims[sub]");
    header("WS-Expires: $claims[exp]");
    header('WS-Accept: 1');   // with accept = "header" on the route nothing else accepts a client
    echo json_encode(['hello' => $claims['sub'], 'until' => $claims['exp']]);
}

function message(): void
{
    echo json_encode([
        'from' => $_SERVER['WS_USER'],
        'text' => file_get_contents('php://input'),
    ], JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE);
}
