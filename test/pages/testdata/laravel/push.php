<?php // what a command or a job of the application does
require __DIR__ . '/vendor/autoload.php';
$app = require __DIR__ . '/bootstrap/app.php';
$app->make(Illuminate\Contracts\Console\Kernel::class)->bootstrap();
Illuminate\Support\Facades\Redis::publish('ws:user:42', 'shipped');
event(new App\OrderShipped());
$app->make(Wsfpm\Client::class)->push('user:42', ['by' => 'Client']);
$app->make(Wsfpm\Client::class)->store('user:42', ['stored' => true]);
