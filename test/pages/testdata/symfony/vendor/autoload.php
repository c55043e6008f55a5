<?php // In a real project Composer writes this file. Here Symfony comes from Debian's packages.
foreach (['Bundle/FrameworkBundle', 'Bundle/SecurityBundle', 'Component/Dotenv', 'Component/ExpressionLanguage', 'Component/Yaml'] as $part) {
    require_once "/usr/share/php/Symfony/$part/autoload.php";
}
spl_autoload_register(function ($class) {
    foreach (['App\\' => dirname(__DIR__) . '/src/', 'Wsfpm\\' => __DIR__ . '/wsfpm/src/'] as $prefix => $folder) {
        $file = $folder . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
        if (str_starts_with($class, $prefix) && is_file($file)) {
            require_once $file;
        }
    }
});
