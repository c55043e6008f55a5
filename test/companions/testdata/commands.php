<?php
declare(strict_types=1);

// Reads commands as JSON, a line of base64 each, and prints what Command says of each, in an
// answer and as a push: "ok", "refused", or "unread" for what PHP cannot hold.

use Wsfpm\Command;
use Wsfpm\Refused;

require $argv[1] . '/Command.php';

function said(mixed $commands, bool $answer): string
{
    $list = is_array($commands) ? $commands : [$commands];
    foreach ($list as $i => $command) {
        if (!is_object($command)) {
            return 'refused'; // by PHP: a command is an array
        }
        $list[$i] = get_object_vars($command);
    }
    try {
        Command::encode($list, $answer);
        return 'ok';
    } catch (Refused) {
        return 'refused';
    }
}

while (($line = fgets(STDIN)) !== false) {
    try {
        $commands = json_decode(base64_decode($line), false, 512, JSON_THROW_ON_ERROR);
        echo said($commands, true), ' ', said($commands, false), "\n";
    } catch (JsonException) {
        echo "unread unread\n";
    }
}
