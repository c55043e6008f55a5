<?php
declare(strict_types=1);

/**
 * The key that signs tokens: 32 random bytes or more, known to the server only.
 * Make one with: php -r 'echo bin2hex(random_bytes(32)), "\n";'
 *
 * It comes from the environment. For the WebSocket script:
 *   the route's  params = { JWT_SECRET = "…" }
 * and for the web pages, in the PHP-FPM pool:
 *   env[JWT_SECRET] = …
 */
function jwtSecret(): string
{
    $secret = $_SERVER['JWT_SECRET'] ?? (getenv('JWT_SECRET') ?: throw new LogicException('JWT_SECRET is not set'));
    if (strlen($secret) < 32) {
        throw new LogicException('JWT_SECRET has ' . strlen($secret) . ' bytes, at least 32 random ones are needed: see token/secret.php');
    }
    return $secret;
}
