<?php
declare(strict_types=1);

namespace Wsfpm\Laravel;

use Illuminate\Contracts\Container\Container;
use Illuminate\Http\{Request, Response};
use Symfony\Component\HttpFoundation\{Response as HttpResponse, StreamedResponse};
use Wsfpm\{Answer, Event, Wire};

/** What Route::websocket() runs: it calls the route's handler with the Event, and makes a response of what that returns. */
final class Events
{
    public function __construct(private readonly Container $app)
    {
    }

    /**
     * A request from the web is a 404: WS_EVENT comes from the gateway, and no client can send it.
     *
     * @param array{object|string, string}|string|\Closure $handler
     */
    public function handle(Request $request, array|string|\Closure $handler): HttpResponse
    {
        abort_unless($request->server->has('WS_EVENT'), 404);
        $session = $request->hasSession() ? $request->session() : null;
        $event = new Event($request->server->all(), (string) $request->getContent());
        if (is_array($handler)) {
            $handler = [is_string($handler[0]) ? $this->app->make($handler[0]) : $handler[0], $handler[1]];
        }
        // A session that middleware has begun, such as a remembered login, is not stored yet, and no page has it.
        $isStored = $session !== null && $request->cookies->get($session->getName()) === $session->getId();
        $before = [$session?->getId(), $session?->all()];
        try {
            $response = self::response($event, $this->app->call($handler, [Event::class => $event] + $request->route()->parametersWithoutNulls()));
        } finally {
            if ($isStored && [$session->getId(), $session->all()] === $before) {
                $session->flush();
                $session->start(); // Laravel saves it next: what a page has done meanwhile, such as a logout, stays done
            }
            $session?->reflash(); // it is for the next page
        }
        // The handler has come to its end: this is no error page. That of a streamed response has not.
        if ($event->isConnect() && $response->isSuccessful() && !$response instanceof StreamedResponse) {
            $response->headers->set('WS-Accept', '1');
        }
        return $response;
    }

    /**
     * Of an Answer, a text, a value to be sent as JSON, nothing, or a response of the framework. On connect a stream's lines are made
     * before the headers are sent: what fails in them must not let the client in.
     */
    private static function response(Event $event, mixed $answer): HttpResponse
    {
        if ($answer instanceof HttpResponse) {
            return $answer;
        }
        if (!$answer instanceof Answer) {
            $answer = match (true) {
                $answer === null => Answer::nothing(),
                $answer === false && $event->isConnect() => Answer::refuse(),
                is_string($answer) => Answer::text($answer),
                default => Answer::json($answer),
            };
        }
        $lines = $answer->lines();
        if ($lines !== null && !$event->isConnect()) {
            return new StreamedResponse(static fn () => Wire::sendLinesOrExit($lines), $answer->status(), $answer->headers());
        }
        return new Response($answer->body(), $answer->status(), $answer->headers());
    }
}
