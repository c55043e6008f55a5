<?php
namespace App\Providers;

use Illuminate\Auth\GenericUser;
use Illuminate\Contracts\Auth\{Authenticatable, UserProvider};
use Illuminate\Support\Facades\{Auth, Route};

/** The site of the test: one user, who logs in at /login. */
class SiteServiceProvider extends \Illuminate\Support\ServiceProvider
{
    public function boot()
    {
        Auth::provider('one', fn () => new class implements UserProvider {
            public function retrieveById($id) { return $id == 42 ? new GenericUser(['id' => 42, 'password' => '', 'orders' => ['7']]) : null; }
            public function retrieveByToken($id, $token) { return null; }
            public function updateRememberToken(Authenticatable $user, $token) {}
            public function retrieveByCredentials(array $credentials) { return null; }
            public function validateCredentials(Authenticatable $user, array $credentials) { return false; }
        });
        Route::middleware('web')->get('/login', function () {
            Auth::loginUsingId(42);
            return 'in';
        });
        Route::middleware('web')->get('/pay', fn () => broadcast(new \App\OrderPaid())->toOthers() ? 'paid' : '');
        require $this->app->basePath('routes/channels.php');
        Route::websocket('/ws/early', fn () => null); // the package's provider is listed after this one, and booted later
        Route::middleware('web')->group($this->app->basePath('routes/web.php'));
    }
}
