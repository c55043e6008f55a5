<?php
namespace App\Controller;

use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\Routing\Annotation\Route;
use Wsfpm\Answer;
use Wsfpm\Event;
use Wsfpm\Symfony\WebSocket;

class Hostile
{
    #[WebSocket('/ws/hostile')]
    public function event(Event $event, Request $request): mixed
    {
        return match ($event->isConnect() ? $request->query->get('connect') : $event->body) {
            'throws' => throw new \RuntimeException('thrown'),
            'fails' => strlen([]),
            'nothing' => null,
            'text' => 'in',
            'a response' => new Response('in'),
            'a stream that throws' => Answer::stream($this->lines($event)),
            'cached' => $request->getSession()->has('read') ? Answer::nothing() : Answer::text('made at ' . hrtime(true))->cache(30),
            'a wrong answer' => Answer::text('in')->join('a')->leave('*')->relay('channel:elsewhere', binary: true),
            'two messages' => Answer::stream(['one', 'two']),
            'slow' => Answer::stream($this->slow($request->query->get('file'))),
            default => Answer::nothing(),
        };
    }

    /** On connect PHP's errors go where the gateway does not see them. */
    private function lines(Event $event): \Generator
    {
        $event->isConnect() && ini_set('error_log', '/dev/null');
        yield 'first';
        yield ['second' => 2];
        throw new \RuntimeException('thrown in the middle');
    }

    /** The second line is made once the client has had the first. */
    private function slow(string $file): \Generator
    {
        yield 'first';
        for ($tries = 0; !is_file($file) && $tries < 3000; $tries++) {
            usleep(10_000);
            clearstatcache();
        }
        yield 'second';
    }

    #[Route('/answer')]
    public function web(): Answer
    {
        return Answer::text('a page')->user(7);
    }
}
