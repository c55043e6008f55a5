<?php
declare(strict_types=1);

// Pushes over a URL with a token, and prints whether what error pages show of the failure has the secret in it.

require $argv[1] . '/Client.php';
try {
    (new Wsfpm\Client($argv[2], token: 'a-secret', timeout: 0.3))->push('all', 'x');
} catch (Wsfpm\Failed $e) {
    for ($shown = ''; $e !== null; $e = $e->getPrevious()) {
        $shown .= $e->getMessage() . print_r($e->getTrace(), true);
    }
    echo str_contains($shown, 'push') ? (str_contains($shown, 'a-secret') ? 'secret' : 'none') : 'no trace';
}
