<?php
// Symfony: a front controller for WebSocket events, beside public/index.php but
// not inside public/. Copy it to the project's root.
//
//   [[route]]
//   path   = "/ws/app"
//   script = "/srv/app/ws.php"
//   accept = "header"               # no client is accepted without WS-Accept
//   params = { APP_ENV = "prod", APP_DEBUG = "0", HTTP_ACCEPT = "application/json" }
//
// Every event arrives as a request for /_ws/connect, /_ws/message or
// /_ws/disconnect. The condition keeps the web out of these paths: WS_EVENT is
// set by the gateway, and no client can send it.
//
//   #[Route('/_ws/{event}', condition: "request.server.has('WS_EVENT')")]
//   public function __invoke(Request $request, string $event): Response
//   {
//       if ($event === 'connect') {
//           $user = $this->getUser();   // the firewall has read the session's cookie
//           return $user === null ? new Response('log in first', 401) : new Response('', 200, [
//               'WS-User' => $user->getUserIdentifier(), 'WS-Join' => 'lobby', 'WS-Accept' => '1']);
//       }
//       if ($event === 'message') {
//           return new JsonResponse(['from' => $request->server->get('WS_USER'), 'text' => $request->getContent()], 200, ['WS-Publish' => 'channel:lobby']);
//       }
//       return new Response();          // disconnect: WS_CLOSE_CODE says why
//   }
//
// - What to log goes to stderr or a file; nothing but the answer may be printed.
// - An exception is a 500: wsfpm sends nothing of it and keeps the connection.
// - Work after the response (kernel.terminate) may overlap the next event.
// - A session stays locked while a handler runs: call $request->getSession()->save()
//   once it has been read.

declare(strict_types=1);

isset($_SERVER['WS_EVENT']) or exit(http_response_code(404));

use App\Kernel;
use Symfony\Component\Dotenv\Dotenv;
use Symfony\Component\HttpFoundation\Request;

require __DIR__ . '/vendor/autoload.php';
(new Dotenv())->bootEnv(__DIR__ . '/.env');

// The handshake's path and query led here; the router is to see the event.
$query = ($_SERVER['QUERY_STRING'] ?? '') === '' ? '' : '?' . $_SERVER['QUERY_STRING'];
$_SERVER['REQUEST_URI'] = '/_ws/' . $_SERVER['WS_EVENT'] . $query;

$kernel = new Kernel($_SERVER['APP_ENV'], (bool) $_SERVER['APP_DEBUG']);
$request = Request::createFromGlobals();
$response = $kernel->handle($request);
$response->send();
$kernel->terminate($request, $response);
