<?php // In a real project Composer writes this file. Here Laravel comes from Debian's packages.
require_once '/usr/share/php/Illuminate/autoload.php';
spl_autoload_register(function ($class) {
    $file = dirname(__DIR__) . '/app/' . strtr(substr($class, 4), '\\', '/') . '.php';
    if (str_starts_with($class, 'App\\') && is_file($file)) {
        require $file;
    }
    if (str_starts_with($class, 'Wsfpm\\')) {
        require_once __DIR__ . '/wsfpm/src/' . strtr(substr($class, 6), '\\', '/') . '.php';
    }
});
