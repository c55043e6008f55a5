<?php
declare(strict_types=1);

// Answers each event with Answer; a message names what to do.

use Wsfpm\Answer;
use Wsfpm\Event;

require $_SERVER['CLIENT_PHP'] . '/Answer.php';

$event = Event::current() ?? exit(http_response_code(404));
if ($event->isConnect()) {
    if (isset($_GET['refuse'])) {
        Answer::refuse(403, 'not you')->send();
        exit;
    }
    if (isset($_GET['wait'])) { // it has looked, and decides later
        touch("$_GET[wait]/looked");
        while (!file_exists("$_GET[wait]/go")) {
            usleep(10_000);
            clearstatcache();
        }
    }
    Answer::json(['type' => $event->type, 'offered' => $event->protocols, 'resume' => $event->resume, 'at' => $event->connectedAt > 1e9, 'body' => $event->body])
        ->user($_GET['user'] ?? null)->join(['lobby', $event->connection])->state("a\nb")->accept()->send();
    exit;
}
if ($event->isDisconnect()) {
    Answer::nothing()->publish('user:bob', ['left' => $event->user, 'code' => $event->closeCode, 'why' => $event->closeReason, 'held' => $event->duration < 1000])->send();
    exit;
}
if ($event->relayed > 0) {
    Answer::nothing()->publish('user:bob', ['copied' => $event->relayed, 'missed' => $event->relayMissed, 'frames' => $event->json()])->send();
    exit;
}
switch ($event->json()['do'] ?? '') {
    case 'facts':
        Answer::json(['user' => $event->user, 'channels' => $event->channels, 'state' => $event->state, 'number' => $event->number, 'binary' => $event->isBinary])->send();
        break;
    case 'binary':
        Answer::binary("\0\xff")->send();
        break;
    case 'stream':
        Answer::stream((function (): Generator {
            foreach (['one', ['two' => 2], 'three'] as $line) {
                yield $line;
            }
        })())->join('streamed')->send();
        break;
    case 'say':
        Answer::text('said')->publish('channel:lobby', 'hello', except: 'self')->publish("conn:$event->connection", "\0\xfe", binary: true)->send();
        break;
    case 'close':
        Answer::text('bye')->close(4001, 'signed out')->send();
        break;
    case 'name':
        Answer::text('x')->join('a,b')->send();
        break;
    case 'printed':
        echo 'a word';
        Answer::text('x')->send();
        break;
    case 'sent':
        echo 'a word';
        ob_flush();
        flush();
        try {
            Answer::text('x')->send();
        } catch (Wsfpm\Refused $e) {
            error_log($e->getMessage());
        }
        break;
    case 'relay':
        Answer::text('relayed')->relay('channel:lobby', prefix: 'c:', copy: 3600)->send();
        break;
    case 'elsewhere':
        Answer::nothing()->relay('channel:elsewhere', binary: true)->send();
        break;
    case 'resume':
        Answer::nothing()->resume(null)->send();
        break;
}
