<?php
// Laravel: a front controller for WebSocket events, beside public/index.php but
// not inside public/. Copy it to the project's root.
//
//   [[route]]
//   path   = "/ws/app"
//   script = "/srv/app/ws.php"
//   accept = "header"               # no client is accepted without WS-Accept
//   params = { HTTP_ACCEPT = "application/json" }   # errors as JSON, not as a login page
//
// routes/web.php, so that session and login are there:
//
//   Route::any('/_ws/{event}', function (Request $request, string $event) {
//       abort_unless($request->server->has('WS_EVENT'), 404);   // the web has no business here
//       return match ($event) {
//           'connect' => $request->user()
//               ? response('')->withHeaders(['WS-User' => $request->user()->id, 'WS-Join' => 'lobby', 'WS-Accept' => '1'])
//               : response('log in first', 401),
//           'message' => response()->json(['from' => $request->server('WS_USER'), 'text' => $request->getContent()])->header('WS-Publish', 'channel:lobby'),
//           default => response()->noContent(),                // disconnect
//       };
//   });
//
// bootstrap/app.php: an event is a POST without a CSRF token; the gateway has
// checked the Origin instead.
//
//   ->withMiddleware(fn (Middleware $m) => $m->validateCsrfTokens(except: ['_ws/*']))
//
// Pushing: Redis::publish('ws:user:42', $text). Laravel puts a prefix of its own
// before every channel, so Redis sees laravel_database_ws:user:42. The gateway
// is to hear both:
//
//   [redis]
//   prefix = ["ws:", "laravel_database_ws:"]
//
// Laravel's prefix is redis.options.prefix in config/database.php. It is made
// from APP_NAME: yours is another one if your application has another name.
//
// - An exception is a 500: wsfpm sends nothing of it and keeps the connection.
// - Jobs after the response (terminate, dispatch()->afterResponse()) may overlap
//   the next event.

declare(strict_types=1);

isset($_SERVER['WS_EVENT']) or exit(http_response_code(404));

use Illuminate\Contracts\Http\Kernel;
use Illuminate\Http\Request;

define('LARAVEL_START', microtime(true));
require __DIR__ . '/vendor/autoload.php';

// The handshake's path and query led here; the router is to see the event.
$query = ($_SERVER['QUERY_STRING'] ?? '') === '' ? '' : '?' . $_SERVER['QUERY_STRING'];
$_SERVER['REQUEST_URI'] = '/_ws/' . $_SERVER['WS_EVENT'] . $query;
// Without this a connect would become the "previous page" to which the site sends people back.
$_SERVER['HTTP_X_REQUESTED_WITH'] = 'XMLHttpRequest';

$app = require_once __DIR__ . '/bootstrap/app.php';
$kernel = $app->make(Kernel::class);
$request = Request::capture();
$response = $kernel->handle($request)->send();
$kernel->terminate($request, $response);
