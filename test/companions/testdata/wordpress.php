<?php
// The plugin as WordPress loads it: php wordpress.php FILE REDIS [PASSWORD [USER]]. Prints what wsfpm_push returns for a push and a durable one.
define('ABSPATH', '/');
define('WSFPM_REDIS', $argv[2]);
isset($argv[3]) && define('WSFPM_REDIS_PASSWORD', $argv[3]);
isset($argv[4]) && define('WSFPM_REDIS_USER', $argv[4]);
function add_action(): void
{
}
require $argv[1];
echo json_encode([wsfpm_push('user:7', 'x'), wsfpm_push('user:7', 'x', true)]);
