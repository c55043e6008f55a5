<?php return ['defaults' => ['guard' => 'web'], 'providers' => ['users' => ['driver' => 'one']],
    'guards' => ['web' => ['driver' => 'session', 'provider' => 'users'], 'admin' => ['driver' => 'session', 'provider' => 'users']]];
