<?php
declare(strict_types=1);

// Gives each case of a table to Answer or Command, and prints its verdict as JSON. Run as
// php verdicts.php answers|commands TABLE.

use Wsfpm\Answer;
use Wsfpm\Command;
use Wsfpm\Refused;

require __DIR__ . '/../../../client/php/src/Answer.php';

/** The value that a table writes as {"hex"}, {"times", "of"}, {"numbered", "of", "bytes"} or {"cat"}. */
function value(mixed $v): mixed
{
    if ($v instanceof stdClass) {
        return match (true) {
            isset($v->hex) => hex2bin($v->hex),
            isset($v->times) && is_array($v->of) => array_merge(...array_fill(0, $v->times, array_map('value', $v->of))),
            isset($v->times) => str_repeat($v->of, $v->times),
            isset($v->numbered) => array_map(fn (int $i): string => str_pad("$i", $v->bytes, $v->of), range(1, $v->numbered)),
            isset($v->cat) => implode('', array_map('value', $v->cat)),
            default => (object) array_map('value', get_object_vars($v)),
        };
    }
    return is_array($v) ? array_map('value', $v) : $v;
}

/** What Answer makes of calls, in base64, since bytes may be no UTF-8. */
function answered(array $calls): array
{
    $answer = null;
    foreach ($calls as $call) {
        $method = array_shift($call);
        $arguments = array_map('value', $call);
        $answer = $answer === null ? Answer::$method(...$arguments) : $answer->$method(...$arguments);
    }
    $headers = [];
    foreach ($answer->headers() as $name => $values) {
        foreach ($values as $value) {
            $headers[] = [$name, base64_encode($value)];
        }
    }
    return ['status' => $answer->status(), 'headers' => $headers, 'body' => base64_encode($answer->body())];
}

/** What Command makes of one command or a list. */
function commanded(mixed $command, bool $answer): array
{
    $command = value($command);
    $list = array_map(get_object_vars(...), is_array($command) ? $command : [$command]);
    return ['body' => base64_encode(Command::encode($list, $answer))];
}

function verdict(callable $made): array
{
    try {
        return $made();
    } catch (Refused $e) {
        return ['refused' => $e->getMessage(), 'file' => basename($e->getFile())];
    }
}

$verdicts = [];
foreach (json_decode(file_get_contents($argv[2])) as $case) {
    $verdicts[] = $argv[1] === 'answers'
        ? verdict(fn (): array => answered($case->calls))
        : ['answer' => verdict(fn (): array => commanded($case->command, true)), 'push' => verdict(fn (): array => commanded($case->command, false))];
}
echo json_encode($verdicts, JSON_THROW_ON_ERROR);
