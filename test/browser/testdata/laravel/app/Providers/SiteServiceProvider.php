<?php
namespace App\Providers;

use Illuminate\Auth\GenericUser;
use Illuminate\Contracts\Auth\{Authenticatable, UserProvider};
use Illuminate\Http\Request;
use Illuminate\Support\Facades\{Auth, Broadcast, Route};
use Wsfpm\{Answer, Event};

/** The site of the test: Ann and Bob, who log in at /login. */
class SiteServiceProvider extends \Illuminate\Support\ServiceProvider
{
    public function boot()
    {
        Auth::provider('one', fn () => new class implements UserProvider {
            private const PEOPLE = [7 => ['name' => 'Ann', 'orders' => ['7']], 9 => ['name' => 'Bob', 'orders' => []]];

            public function retrieveById($id) { return isset(self::PEOPLE[$id]) ? new GenericUser(['id' => (int) $id, 'password' => '', 'remember_token' => ''] + self::PEOPLE[$id]) : null; }
            public function retrieveByToken($id, $token) { return @file_get_contents(storage_path("remember-$id")) === $token ? $this->retrieveById($id) : null; }
            public function updateRememberToken(Authenticatable $user, $token) { file_put_contents(storage_path("remember-$user->id"), $token); }
            public function retrieveByCredentials(array $credentials) { return null; }
            public function validateCredentials(Authenticatable $user, array $credentials) { return false; }
        });
        Route::middleware('web')->group(function () {
            Route::get('/login', fn (Request $request) => Auth::guard($request->query('guard'))->loginUsingId($request->query('id'), $request->has('remember')) ? 'in' : '');
            Route::get('/logout', fn () => Auth::logout() ?? 'out');
            Route::get('/ship', fn () => broadcast(new \App\OrderShipped())->toOthers() ? 'shipped' : '');
            Route::websocket('/ws/closure', function (Event $event, Request $request) {
                $hold = function () {
                    file_put_contents($held = storage_path('held'), ''); // touch() fails if the test removes it meanwhile
                    for ($i = 0; $i < 1000 && file_exists($held); $i++, clearstatcache()) usleep(20_000);
                };
                if ($event->body === 'hold') $hold();
                if ($event->body === 'lines' || $request->query('say') === 'lines' && $event->isConnect()) {
                    return Answer::stream((function () use ($event, $hold) {
                        yield 'one';
                        if ($event->isMessage()) $hold();
                        yield ['n' => 2];
                    })());
                }
                if ($event->body === 'breaks') {
                    return Answer::stream((function () {
                        yield 'one';
                        throw new \RuntimeException('a-secret-of-the-stream');
                    })());
                }
                if ($event->body === 'count') $request->session()->increment('count');
                if ($event->isConnect() && $request->query('say') === 'false') return false;
                if ($event->isConnect() && $request->query('say') === 'streamed') {
                    return response()->stream(function () {
                        echo "one\n";
                        while (ob_get_level() > 0) ob_end_flush();
                        flush();
                        throw new \RuntimeException('thrown in a stream of its own');
                    }, 200, ['Content-Type' => 'application/x-ndjson']);
                }
                return match (true) { $event->isConnect() => $request->query('say'), $event->isMessage() => ['got' => $event->body], default => null };
            });
            Route::get('/who', fn (Request $request) => ($request->user()->id ?? 'guest') . ' ' . $request->session()->get('count', 0));
            Route::get('/revoke', fn (Request $request) => Broadcast::revoke($request->query('id'), $request->query('channel')) ?? 'revoked');
        });
        Route::middleware('web')->get('/save', fn () => redirect('/saved')->with('status', 'saved'));
        Route::middleware('web')->get('/saved', fn () => session('status', 'lost'));
        require $this->app->basePath('routes/channels.php');
        Broadcast::channel('gate', fn () => throw new \Illuminate\Auth\Access\AuthorizationException());
        Broadcast::channel('large.{room}', fn ($user) => ['id' => $user->id, 'about' => str_repeat('x', $user->id === 9 ? 8_000_000 : 3_900)]);
        Broadcast::channel('while.{file}', fn ($user, $file) => is_file($this->app->basePath("storage/$file")) ? ['id' => $user->id] : false);
        Broadcast::channel('broken', fn () => throw new \RuntimeException('a-secret-of-the-callback'));
        Broadcast::channel('any.{name}', fn () => true);
        Broadcast::channel('admins', fn () => true, ['guards' => ['admin']]);
        Broadcast::channel('bytes', fn () => ["no text: \xff"]);
        Route::middleware('web')->group($this->app->basePath('routes/web.php'));
    }
}
