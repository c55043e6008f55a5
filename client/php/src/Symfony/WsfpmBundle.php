<?php
declare(strict_types=1);

namespace Wsfpm\Symfony;

use Symfony\Component\DependencyInjection\ChildDefinition;
use Symfony\Component\DependencyInjection\ContainerBuilder;
use Symfony\Component\DependencyInjection\Reference;
use Symfony\Component\HttpFoundation\RequestStack;
use Symfony\Component\HttpKernel\Bundle\Bundle;
use Symfony\Component\HttpKernel\KernelEvents;
use Wsfpm\Client;
use Wsfpm\Event;

/**
 * Symfony's side of wsfpm: the attribute WebSocket for controllers, Wsfpm\Event as their argument, Wsfpm\Answer as what they return, and
 * Wsfpm\Client as a service, of the URL in the parameter "wsfpm.url".
 */
final class WsfpmBundle extends Bundle
{
    /** Adds the services. The application's own definitions and parameters of these names win. */
    public function build(ContainerBuilder $container): void
    {
        $container->setParameter('wsfpm.url', '%env(WSFPM_REDIS_URL)%');
        $container->register(Client::class)->setArguments(['%wsfpm.url%']);
        $container->register(Event::class)->setShared(false)->setFactory([self::class, 'event'])->setArguments([new Reference(RequestStack::class)]);
        $container->register(AnswerListener::class)->addTag('kernel.event_listener', ['event' => KernelEvents::VIEW]);
        $container->registerAttributeForAutoconfiguration(
            WebSocket::class,
            static function (ChildDefinition $controller, WebSocket $route, \ReflectionClass|\ReflectionMethod $of): void {
                $controller->addTag('controller.service_arguments');
            },
        );
    }

    /** The event of the current request: Symfony's tests of controllers make requests, too. */
    public static function event(RequestStack $requests): Event
    {
        $request = $requests->getCurrentRequest();
        if ($request === null || !$request->server->has('WS_EVENT')) {
            throw new \LogicException('There is no event of a WebSocket: is the route a #[WebSocket]?');
        }
        return new Event($request->server->all(), $request->getContent());
    }
}
