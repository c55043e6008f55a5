<?php
declare(strict_types=1);

/** Begins the session. The WebSocket script only reads it: ['read_and_close' => true]. */
function beginSession(array $options = []): void
{
    session_start($options + [
        'cookie_httponly' => true,
        'cookie_samesite' => 'Lax',
        'cookie_secure' => !empty($_SERVER['HTTPS']),
        'use_strict_mode' => true,
    ]);
}

/** A token for forms, so that no other site can send them in the visitor's name. */
function formToken(): string
{
    return $_SESSION['form'] ??= bin2hex(random_bytes(16));
}

function formTokenIsRight(): bool
{
    return is_string($_POST['form'] ?? null) && hash_equals($_SESSION['form'] ?? '', $_POST['form']) && $_POST['form'] !== '';
}

function html(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

/** Headers that every page of ours carries. */
function pageHeaders(): void
{
    header('Content-Type: text/html; charset=utf-8');
    header('Cache-Control: no-store');
    header('X-Content-Type-Options: nosniff');
    header('Referrer-Policy: same-origin');
    // ws: and wss: for browsers in which 'self' does not cover them.
    header("Content-Security-Policy: default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'");
}
