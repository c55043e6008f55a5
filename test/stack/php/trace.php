<?php // writes every event into the file named by the route's param TRACE, answers nothing
require __DIR__ . '/event.php';
wsfpm_trace();
