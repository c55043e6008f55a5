<?php return ['redis' => ['client' => 'phpredis', 'options' => ['prefix' => 'laravel_database_'],
    'default' => ['host' => getenv('REDIS_HOST') ?: '127.0.0.1', 'port' => getenv('REDIS_PORT') ?: 6379, 'database' => 0]]];
