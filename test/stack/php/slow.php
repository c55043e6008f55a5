<?php // a message's text is how many milliseconds to take; the answer says when it ended
require __DIR__ . '/event.php';
if ($_SERVER['WS_EVENT'] === 'message') {
    usleep(1000 * (int) file_get_contents('php://input'));
    echo 'slept ', file_get_contents('php://input');
}
wsfpm_trace();
