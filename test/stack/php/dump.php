<?php // answers connect and message with everything that PHP received
require __DIR__ . '/event.php';
wsfpm_trace();
echo wsfpm_event();
