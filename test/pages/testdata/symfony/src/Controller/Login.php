<?php
namespace App\Controller;

use Symfony\Component\HttpFoundation\Response;

class Login
{
    public function __invoke(): Response
    {
        return new Response('in');
    }
}
