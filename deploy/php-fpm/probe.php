<?php
// What wsfpm doctor asks of a PHP-FPM pool: its settings, as JSON. It belongs to root and
// lies below no web folder. Only a FastCGI client can set the parameter, so a page never
// gets an answer.
if (!isset($_SERVER['WSFPM_PROBE'])) {
    http_response_code(404);
    exit;
}
header('Content-Type: application/json');
$ini = [];
foreach (explode(' ', $_SERVER['WSFPM_PROBE_INI']) as $name) {
    $value = ini_get($name);
    $ini[$name] = $value === false ? null : $value;   // null: PHP has no such directive
}
echo json_encode([
    'probe' => $_SERVER['WSFPM_PROBE'],
    'version' => PHP_VERSION,
    'ini' => $ini,
    'access' => array_map(fn($each) => $each['access'], array_intersect_key(ini_get_all(), $ini)),   // bits: 1 user, 2 folder, 4 system
    'xdebug' => extension_loaded('xdebug'),
    'opcache' => extension_loaded('Zend OPcache'),
]);
