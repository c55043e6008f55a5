<?php
declare(strict_types=1);

namespace Wsfpm\Laravel;

use Illuminate\Broadcasting\BroadcastManager;
use Illuminate\Contracts\Container\Container;
use Illuminate\Foundation\Http\Middleware\VerifyCsrfToken;
use Illuminate\Http\Request;
use Illuminate\Routing\{Route, Router};
use Illuminate\Support\ServiceProvider;
use Symfony\Component\HttpFoundation\Response;
use Wsfpm\{Client, Redis};

/**
 * What the package adds to a Laravel application (docs/frameworks.md): Client in the container, the broadcast driver
 * "wsfpm", and Route::websocket(). Laravel finds this class by composer.json.
 *
 * Nothing needs to be configured where Laravel's default Redis is wsfpm's. Else config/broadcasting.php has a connection
 * "wsfpm": "connection" is one of Laravel's Redis connections, "url" another Redis, as in Client, "prefix" the gateway's
 * redis.prefix, "timeout" that of the url, in seconds.
 */
final class WsfpmServiceProvider extends ServiceProvider
{
    private const CONFIG = 'broadcasting.connections.wsfpm';

    public function register(): void
    {
        $config = $this->app->make('config');
        $config->set(self::CONFIG, ['driver' => 'wsfpm', ...$config->get(self::CONFIG, [])]);
        $this->app->singleton(Client::class, fn (Container $app): Client => new Client(self::server($app), self::prefix($app), timeout: self::timeout($app)));
        $this->app->singleton(Presence::class, fn (Container $app): Presence => new Presence(new Redis(self::server($app), self::timeout($app)), self::prefix($app)));
        $this->callAfterResolving(BroadcastManager::class, function (BroadcastManager $manager): void {
            $manager->extend('wsfpm', fn (Container $app): WsfpmBroadcaster => new WsfpmBroadcaster($app));
        });
        // Route::websocket('/ws/chat', Chat::class): only events of wsfpm reach it, under the path to which clients connect. The
        // handler is a class with __invoke(), [class, method] or a Closure, and gets the Event.
        // Here and not in boot(): the application's routes may be loaded when the providers before this one are booted.
        Router::macro('websocket', function (string $uri, array|string|\Closure $handler): Route {
            /** @var Router $this */
            $run = static fn (Events $events, Request $request): Response => $events->handle($request, $handler); // which route:cache can store
            return $this->match(['GET', 'POST'], $uri, $run)->withoutMiddleware([VerifyCsrfToken::class]); // the gateway has compared Origin
        });
    }

    private static function server(Container $app): object|string
    {
        $config = $app->make('config')->get(self::CONFIG);
        return $config['url'] ?? static function () use ($app, $config): object {
            static $last = null;
            [$redis, $name] = [$app->make('redis'), $config['connection'] ?? 'default'];
            if ($last !== null && $redis->connection($name)->client() === $last) { // it has broken: a queue worker outlives Redis
                $redis->purge($name);
            }
            return $last = $redis->connection($name)->client();
        };
    }

    private static function prefix(Container $app): string
    {
        return $app->make('config')->get(self::CONFIG . '.prefix') ?? 'ws:';
    }

    private static function timeout(Container $app): float
    {
        return (float) ($app->make('config')->get(self::CONFIG . '.timeout') ?? 3.0);
    }
}
