<?php // In a real project Composer writes this file. Here Symfony comes from Debian's packages.
foreach (['Bundle/FrameworkBundle', 'Bundle/SecurityBundle', 'Component/Dotenv', 'Component/ExpressionLanguage', 'Component/Yaml'] as $part) {
    require_once "/usr/share/php/Symfony/$part/autoload.php";
}
spl_autoload_register(function ($class) {
    if (str_starts_with($class, 'App\\')) {
        require dirname(__DIR__) . '/src/' . strtr(substr($class, 4), '\\', '/') . '.php';
    }
    if (str_starts_with($class, 'Wsfpm\\')) {
        require_once __DIR__ . '/wsfpm/src/' . substr($class, 6) . '.php';
    }
});
