<?php // a message's text is how many milliseconds to take, or begins with "gate": until there is a file of that name beside this one
require __DIR__ . '/event.php';
if ($_SERVER['WS_EVENT'] === 'message') {
    $text = file_get_contents('php://input');
    usleep(1000 * (int) $text);
    while (str_starts_with($text, 'gate') && !file_exists(__DIR__ . '/' . $text)) {
        usleep(1000);
        clearstatcache();
    }
    echo 'slept ', $text;
}
wsfpm_trace();
