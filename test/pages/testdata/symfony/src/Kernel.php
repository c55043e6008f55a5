<?php
namespace App;

use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpKernel\Kernel as BaseKernel;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;

class Kernel extends BaseKernel
{
    use MicroKernelTrait;

    public function getProjectDir(): string
    {
        return dirname(__DIR__);
    }

    protected function configureContainer(ContainerConfigurator $container): void
    {
        $container->extension('framework', ['secret' => 'of the test', 'session' => ['storage_factory_id' => 'session.storage.factory.native', 'handler_id' => null],
            'router' => ['utf8' => true], 'http_method_override' => false]);
        $container->extension('security', [
            'enable_authenticator_manager' => true,
            'password_hashers' => ['Symfony\Component\Security\Core\User\InMemoryUser' => 'plaintext'],
            'providers' => ['all' => ['memory' => ['users' => ['ann' => ['password' => 'secret', 'roles' => ['ROLE_USER']]]]]],
            'firewalls' => ['main' => ['json_login' => ['check_path' => '/login']]],
        ]);
        $container->services()->defaults()->autowire()->autoconfigure()->load('App\\Controller\\', __DIR__ . '/Controller/');
    }

    protected function configureRoutes(RoutingConfigurator $routes): void
    {
        $routes->add('login', '/login')->methods(['POST'])->controller('App\Controller\Login');
        $routes->import(__DIR__ . '/Controller/', 'annotation');
    }
}
