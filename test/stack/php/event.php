<?php // what this request brought, as one line of JSON; included by dump.php and trace.php
function wsfpm_event(): string
{
    return json_encode([
        'server' => array_map(fn ($v) => is_string($v) && !preg_match('//u', $v) ? 'base64:' . base64_encode($v) : $v,
            array_filter($_SERVER, fn ($v) => !is_array($v))),
        'get' => (object) $_GET,
        'post' => (object) $_POST,
        'cookie' => (object) $_COOKIE,
        'body' => base64_encode(file_get_contents('php://input')),
        'begin' => $_SERVER['REQUEST_TIME_FLOAT'],
        'end' => microtime(true),
    ], JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES);
}

function wsfpm_trace(): void
{
    if (!empty($_SERVER['TRACE'])) {
        file_put_contents($_SERVER['TRACE'], wsfpm_event() . "\n", FILE_APPEND | LOCK_EX);
    }
}
