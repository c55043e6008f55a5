<?php
declare(strict_types=1);

namespace Wsfpm\Symfony;

use Symfony\Component\Routing\Annotation\Route;
use Wsfpm\Refused;

/**
 * A route of Symfony for the events of a WebSocket, with the path that the client connects to. The web gets 404 there: WS_EVENT comes
 * from the gateway, and no client can send it. Needs symfony/expression-language.
 *
 *     #[WebSocket('/ws/chat')]                  // all events
 *     #[WebSocket('/ws/chat', 'message')]       // one kind of them
 *     #[WebSocket('/ws/room/{room}', requirements: ['room' => '\d+'])]
 */
#[\Attribute(\Attribute::IS_REPEATABLE | \Attribute::TARGET_CLASS | \Attribute::TARGET_METHOD)]
final class WebSocket extends Route
{
    /**
     * @param string|null $event "connect", "message" or "disconnect"; null: all three
     * @param array<string, string> $requirements of the path's parameters, as in Route
     */
    public function __construct(string $path, ?string $event = null, array $requirements = [], ?string $name = null, int $priority = 0)
    {
        if (!in_array($event, [null, 'connect', 'message', 'disconnect'], true)) {
            throw new Refused("#[WebSocket]: there is no event \"$event\": want connect, message or disconnect");
        }
        $condition = $event === null ? "request.server.has('WS_EVENT')" : "request.server.get('WS_EVENT') === '$event'";
        parent::__construct($path, name: $name, requirements: $requirements, condition: $condition, priority: $priority);
    }
}
