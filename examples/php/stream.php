<?php
// An answer that arrives piece by piece while the script still runs: the words
// of a language model, the progress of an import, the lines of a log.
//
// With this media type every line becomes one message as soon as it is flushed.
// While it runs, the script holds a PHP worker; at most half of the workers
// stream at once (max_streams). When the client leaves, PHP ends the script at
// its next flush.

isset($_SERVER['WS_EVENT']) or exit(http_response_code(404));
if ($_SERVER['WS_EVENT'] !== 'message') {
    exit;
}

header('Content-Type: application/x-ndjson');
while (ob_get_level() > 0) {
    ob_end_flush();        // output_buffering would delay the lines
}

foreach (answer(file_get_contents('php://input')) as $word) {
    line(['word' => $word]);
}
line(['done' => true]);

/** Sends one line, which is one message to the client. JSON never holds a line break. */
function line(array $data): void
{
    echo json_encode($data, JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE), "\n";
    flush();
}

/** Stands in for a slow source, such as the streaming API of a language model. */
function answer(string $question): Generator
{
    $text = "You asked: $question And here, word by word, comes an answer that takes its time.";
    foreach (preg_split('/\s+/', $text, 200, PREG_SPLIT_NO_EMPTY) as $word) {
        usleep(80_000);
        yield $word;
    }
}
