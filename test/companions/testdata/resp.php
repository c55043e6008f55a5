<?php
declare(strict_types=1);

// Reads replies of Redis, a line of base64 each, and prints what Connection makes of each as a
// line: "failed", or how many bytes it took, a space, and the value in base64 of PHP's JSON.

use Wsfpm\Connection;
use Wsfpm\Failed;

require $argv[1] . '/Connection.php';

/** A value in a form that Go writes too. */
function shown(mixed $v): string
{
    return match (true) {
        $v === null => 'null',
        is_int($v) => ":$v",
        is_string($v) => '$' . bin2hex($v),
        $v instanceof Failed => '-' . bin2hex($v->getMessage()),
        default => '[' . implode(' ', array_map('shown', $v)) . ']',
    };
}

while (($line = fgets(STDIN)) !== false) {
    try {
        [$value, $taken] = Connection::decode(base64_decode($line));
        echo "$taken ", shown($value), "\n";
    } catch (Failed) {
        echo "failed\n";
    }
}
