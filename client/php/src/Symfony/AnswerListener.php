<?php
declare(strict_types=1);

namespace Wsfpm\Symfony;

use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpFoundation\StreamedResponse;
use Symfony\Component\HttpKernel\Event\ViewEvent;
use Symfony\Component\HttpKernel\EventListener\AbstractSessionListener;
use Wsfpm\Answer;
use Wsfpm\Wire;

/** Makes the response of an Answer that a controller has returned (kernel.view). On connect it accepts the client, unless the answer refuses. */
final class AnswerListener
{
    /** Leaves all that is no Answer to an event, and so to Symfony's error: the web gets no headers of wsfpm. */
    public function __invoke(ViewEvent $view): void
    {
        $answer = $view->getControllerResult();
        $event = $view->getRequest()->server->get('WS_EVENT');
        if (!$answer instanceof Answer || $event === null) {
            return;
        }
        $isConnect = $event === 'connect';
        $headers = $answer->headers();
        if ($isConnect && $answer->status() === 200) {
            $headers['WS-Accept'] = ['1'];
        }
        if (isset($headers['Cache-Control'])) { // else Symfony makes it private once a session was read
            $headers[AbstractSessionListener::NO_AUTO_CACHE_CONTROL_HEADER] = ['1'];
        }
        $lines = $answer->lines();
        // On connect the lines are made before the headers are sent: what fails in them must not let the client in.
        $view->setResponse($lines !== null && !$isConnect
            ? new StreamedResponse(static fn () => Wire::sendLinesOrExit($lines), $answer->status(), $headers)
            : new Response($answer->body(), $answer->status(), $headers));
    }
}
