<?php
// Checks the examples: php examples/php/tests/run.php
//
// Every file must parse; the token, the chat's store and the push script are run
// as they are used. It needs no PHPUnit, no server and no network.
declare(strict_types=1);

require dirname(__DIR__) . '/token/Jwt.php';
require dirname(__DIR__) . '/token/secret.php';
require dirname(__DIR__) . '/chat/Store.php';
require dirname(__DIR__) . '/chat/Presence.php';

// This file is its own worker: several of them write to one store at once.
if (($argv[1] ?? '') === 'worker') {
    worker(new Store($argv[2]), $argv[3], $argv[4]);
    exit;
}
if (in_array($argv[1] ?? '', ['connect', 'message'], true)) {
    chatEvent($argv[1], $argv[2], $argv[3]);
    exit;
}

$passed = $failed = 0;
$folder = sys_get_temp_dir() . '/wsfpm-examples-' . bin2hex(random_bytes(6));
mkdir($folder, 0700);

foreach (['files', 'guards', 'tokens', 'secrets', 'history', 'pace', 'presence', 'presenceAway', 'rooms', 'folders', 'concurrency', 'logout', 'pushArguments', 'pushOverRedis', 'pushOverAdmin'] as $test) {
    try {
        $test("$folder/$test");
    } catch (Throwable $e) {
        check(false, "$test: " . get_class($e) . ': ' . $e->getMessage() . ' at line ' . $e->getLine());
    }
}
remove($folder);
echo "$passed passed, $failed failed\n";
exit($failed === 0 ? 0 : 1);

// ---------------------------------------------------------------------- tests

function files(): void
{
    foreach (phpFiles() as $file) {
        [$code, $output] = run([PHP_BINARY, '-l', $file]);
        check($code === 0, basename(dirname($file)) . '/' . basename($file) . " parses: $output");
    }
}

/** A handler that is opened as a web page does nothing. */
function guards(): void
{
    foreach (phpFiles() as $file) {
        $code = file_get_contents($file);
        if (str_contains($code, "\$_SERVER['WS_EVENT']") && !str_contains($file, '/tests/')) {
            $first = strpos($code, "isset(\$_SERVER['WS_EVENT']) or exit(http_response_code(404));");
            check($first !== false && $first < (strpos($code, 'require ') ?: PHP_INT_MAX), "$file has the guard before anything else");
        }
    }
}

function tokens(): void
{
    $secret = str_repeat('k', 32);
    $good = Jwt::sign(['sub' => 'ann'], $secret, 60);
    check(Jwt::verify($good, $secret)['sub'] === 'ann', 'a good token is good');
    check(Jwt::verify(Jwt::sign([], $secret, -3), $secret, 5) !== [], 'a token just over is within the leeway');

    $encode = fn (string $s): string => rtrim(strtr(base64_encode($s), '+/', '-_'), '=');
    $make = function (string $head, string $body) use ($encode, $secret): string {
        $text = $encode($head) . '.' . $encode($body);
        return "$text." . $encode(hash_hmac('sha256', $text, $secret, true));
    };
    [$head, $body, $signature] = explode('.', $good);
    $future = time() + 60;
    $bad = [
        'expired' => Jwt::sign([], $secret, -60),
        'signed with another secret' => Jwt::sign([], str_repeat('x', 32), 60),
        'algorithm none' => $encode('{"alg":"none"}') . ".$body.",
        'algorithm HS512' => $make('{"alg":"HS512"}', '{"exp":' . $future . '}'),
        'algorithm in an array' => $make('{"alg":["HS256"]}', '{"exp":' . $future . '}'),
        'a critical extension' => $make('{"alg":"HS256","crit":["x"]}', '{"exp":' . $future . '}'),
        'another body' => "$head." . $encode('{"sub":"root","exp":' . $future . '}') . ".$signature",
        'no end' => $make('{"alg":"HS256"}', '{"sub":"ann"}'),
        'an end in words' => $make('{"alg":"HS256"}', '{"exp":"tomorrow"}'),
        'not yet' => $make('{"alg":"HS256"}', '{"exp":' . $future . ',"nbf":' . (time() + 30) . '}'),
        'signature padded' => "$good=",
        'a part too many' => "$good.x",
        'nothing' => '',
        'dots' => '..',
        'too long' => str_repeat('a', 5000) . '.b.c',
        'not JSON' => $make('hello', 'you'),
    ];
    foreach ($bad as $what => $token) {
        check(throws(fn () => Jwt::verify($token, $secret), UnexpectedValueException::class), "refused: $what");
    }
    check(throws(fn () => Jwt::sign([], 'short', 60), LogicException::class), 'a short secret is refused');
}

/** No placeholder and no short word signs tokens, the README's own included. */
function secrets(): void
{
    $readme = file_get_contents(dirname(__DIR__) . '/README.md');
    check(preg_match('/JWT_SECRET = "(.*?)"/', $readme, $m) === 1, 'the README has a JWT_SECRET');
    foreach ([$m[1], '', 'short', str_repeat('k', 31)] as $secret) {
        $_SERVER['JWT_SECRET'] = $secret;
        check(throws(fn () => jwtSecret(), LogicException::class), "refused as JWT_SECRET: '$secret'");
    }
    $_SERVER['JWT_SECRET'] = str_repeat('k', 32);
    check(jwtSecret() === str_repeat('k', 32), '32 bytes are taken');
    unset($_SERVER['JWT_SECRET']);
    putenv('JWT_SECRET');
    check(throws(fn () => jwtSecret(), LogicException::class), 'without JWT_SECRET nothing is signed');
}

function history(string $folder): void
{
    $store = new Store($folder);
    $first = $store->keep('lobby', 'ann', 'k0', 'hello');
    check($store->keep('lobby', 'ann', 'k0', 'hello') === $first, 'the same key again gives the same message');
    check(count($store->history('lobby')) === 1, 'and keeps it once');
    check($store->keep('lobby', 'bob', 'k0', 'hi')['id'] > $first['id'], 'the same key of another person is another message, with a higher id');
    for ($i = 1; $i <= 60; $i++) {
        $last = $store->keep('lobby', 'ann', "k$i", "message $i");
    }
    $messages = $store->history('lobby');
    check(count($messages) === 50 && end($messages) === $last, 'the last 50 are kept');
    check(array_column($messages, 'id') === array_values(array_unique(array_column($messages, 'id'))), 'ids are unique');
    check($store->history('help') === [], 'another room is another history');
    check($store->keep('lobby', 'ann', 'u', 'Grüße 🙂 </script>')['text'] === $store->history('lobby')[49]['text'], 'text comes back as it was');
}

function pace(string $folder): void
{
    $store = new Store($folder);
    check($store->wait('ann') === 0.0, 'the first message goes through');
    $wait = $store->wait('ann');
    check($wait > 0 && $wait <= 1, 'the second waits, at most a second');
    check((new Store($folder))->wait('ann') > 0, 'from another tab, too');
    check($store->wait('bob') === 0.0, 'another person does not wait');
    usleep((int) ($wait * 1e6) + 20_000);
    check($store->wait('ann') === 0.0, 'after the wait it goes through');
    check($store->wait('42') === 0.0 && $store->wait('42') > 0, 'a name of digits is a name');
}

/** What wsfpm keeps in Redis is read right, also a name of digits, and all of it in one transaction. */
function presence(): void
{
    $redis = "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
        . "*4\r\n*2\r\n\$10\r\n1795879931\r\n\$6\r\n000816\r\n*4\r\n\$8\r\nuser:Ann\r\n\$1\r\n2\r\n\$7\r\nuser:42\r\n\$1\r\n1\r\n:2\r\n:0\r\n";
    $of = "echo json_encode((new Presence('redis://127.0.0.1:%d/3'))->of('lobby', ['lobby', 'help']));";
    [$seen, [, $output]] = withServer($redis, fn ($port) => presenceCommand($of, $port));
    check($output === '{"at":1795879931000816,"people":{"Ann":2,"42":1},"rooms":{"lobby":2,"help":0}}', "who is in a room: $output");
    $commands = preg_replace('/[*$]\d+\r\n/', '', $seen);
    check(strtr($commands, ["\r\n" => ' ']) === 'SELECT 3 MULTI TIME HGETALL ws:presence:channel:room.lobby '
        . 'HLEN ws:presence:channel:room.lobby HLEN ws:presence:channel:room.help EXEC ', "what Redis got: $commands");

    $empty = "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*2\r\n\$1\r\n7\r\n\$1\r\n5\r\n*0\r\n";
    [, [, $output]] = withServer($empty, fn ($port) => presenceCommand("echo json_encode((new Presence('redis://127.0.0.1:%d'))->of('help', []));", $port));
    check($output === '{"at":7000005,"people":[],"rooms":[]}', "an empty room: $output");
    foreach ([1 => 'true', 0 => 'false'] as $there => $want) {
        [$seen, [, $output]] = withServer("+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n:$there\r\n",
            fn ($port) => presenceCommand("echo json_encode((new Presence('redis://:p%%20w@127.0.0.1:%d'))->isHere('Ann'));", $port));
        check($output === $want && str_contains($seen, "\r\np w\r\n") && str_contains($seen, 'ws:presence:user:Ann'), "is Ann here: $output");
    }
}

/** Without Redis, and with one that refuses or breaks off, who is here is unknown; nothing fails. */
function presenceAway(): void
{
    $isHere = "echo json_encode((new Presence('redis://127.0.0.1:%d'))->isHere('Ann'));";
    foreach (['', "-NOAUTH Authentication required.\r\n", "+OK\r\n+OK\r\n+QUEUED\r\n", "+OK\r\n+OK\r\n-ERR\r\n-EXECABORT\r\n", "+OK\r\n+OK\r\n+QUEUED\r\n-LOADING\r\n"] as $answer) {
        [, [$code, $output, $errors]] = withServer($answer, fn ($port) => presenceCommand($isHere, $port));
        check($code === 0 && $output === 'null' && $errors === '', 'unknown after ' . json_encode($answer) . ": $output$errors");
    }
    [$code, $output] = run(presenceCommand($isHere, 1));
    check($code === 0 && $output === 'null', "unknown without Redis: $output");
}

/** Without extensions (-n): the example needs none. */
function presenceCommand(string $code, int $port): array
{
    return [PHP_BINARY, '-n', '-r', 'require ' . var_export(dirname(__DIR__) . '/chat/Presence.php', true) . '; ' . sprintf($code, $port)];
}

function rooms(string $folder): void
{
    $store = new Store($folder);
    check($store->rooms() === ['lobby', 'help', 'random'], 'the first rooms are there');
    for ($i = 0; $i < 1000 && $store->open("room$i"); $i++);
    check($i === 40, 'there is a highest number of rooms');
    check($store->open('room3') && $store->open('lobby'), 'those that are there stay open');

    $store->keep('room3', 'ann', 'k', 'hello');
    $store->keep('room4', 'ann', 'k', 'hello');
    $rooms = json_decode(file_get_contents("$folder/rooms.json"), true);
    file_put_contents("$folder/rooms.json", json_encode(array_map(fn ($used) => $used - 100_000, $rooms)));
    touch("$folder/room-" . substr(hash('sha256', 'room3'), 0, 16) . '.json', time() - 100_000);
    clearstatcache();
    check($store->open('42'), 'there is place again, for a name of digits too');
    check($store->rooms() === ['lobby', 'help', 'random', 'room4', '42'], 'rooms without a guest and a message for a day are forgotten');
    check($store->history('room3') === [] && count($store->history('room4')) === 1, 'with their messages');
}

function folders(string $folder): void
{
    mkdir($folder, 0777);
    chmod($folder, 0777);
    check(throws(fn () => new Store($folder), RuntimeException::class), 'a folder open to everybody is refused');
    check(throws(fn () => new Store("$folder/x\0y"), Throwable::class), 'and so is nonsense');
}

/** Six processes at once: nothing is lost, nothing is doubled, no file is torn. */
function concurrency(string $folder): void
{
    $store = new Store($folder);
    $workers = [];
    foreach (range(1, 6) as $n) {
        // Two processes each write as one person, with the same keys: tabs that send again.
        $workers[] = start([PHP_BINARY, __FILE__, 'worker', $folder, "c$n", 'person' . $n % 3]);
    }
    $passes = [];
    foreach ($workers as $worker) {
        [$code, $output] = finish($worker);
        check($code === 0, "a worker ended well: $output");
        array_push($passes, ...json_decode($output));
    }
    $messages = $store->history('lobby');
    check(count($messages) === 45, '3 persons with 15 keys each, from two processes: 45 messages, not ' . count($messages));
    check(count(array_unique(array_column($messages, 'id'))) === 45, 'each with its own id');
    check(count($store->rooms()) === 9, 'six rooms were opened');
    usort($passes, fn ($a, $b) => $a[1] <=> $b[1]);
    check(count($passes) > 1, 'a process still writes');
    foreach (array_slice($passes, 1) as $i => [, $end]) {
        check($end - $passes[$i][0] >= 1, 'from all processes together one message a second goes through');
    }
}

function worker(Store $store, string $connection, string $name): void
{
    for ($i = 0; $i < 15; $i++) {
        $store->open("room-$connection");
        $store->keep('lobby', $name, "k$i", "message $i");
    }
    // All write as one person for a while; of each that goes through: when it began and ended.
    $passes = [];
    for ($until = microtime(true) + 2.5; ($begin = microtime(true)) < $until; usleep(10_000)) {
        if ($store->wait('everybody') === 0.0) {
            $passes[] = [$begin, microtime(true)];
        }
    }
    echo json_encode($passes);
}

/** A person who has logged out on the site is closed with 4001 at the next message. */
function logout(string $folder): void
{
    mkdir($folder);
    $session = "$folder/sess_" . str_repeat('a', 32);
    $sends = function (string $event = 'message', string $what = '{"type":"typing"}') use ($folder): array {
        [$code, $output] = run([PHP_BINARY, __FILE__, $event, $folder, $what]);
        return json_decode($output, true) ?? ["exit code $code: $output"];
    };
    file_put_contents($session, 'name|s:3:"Ann";');
    check($sends() === ['WS-Publish: channel:room.lobby; except=self; fast'], 'a message of a person who is logged in is published');
    file_put_contents($session, 'name|s:3:"Bob";');
    check($sends() === ['WS-Close: 4001 you have logged out'], 'another person in the same browser: closed with 4001');
    check($sends('connect', 'room=lobby&me=Ann') === ['WS-Accept: 1', 'WS-Close: 4001 you have logged in as someone else'], 'a page of another person that comes back: closed with 4001');
    check(($sends('connect', 'room=lobby&me=Bob')[0] ?? '') === 'WS-User: Bob', 'a page of the person who is logged in is let in');
    unlink($session);
    check($sends() === ['WS-Close: 4001 you have logged out'], 'logged out: closed with 4001, and nothing else');
}

function pushArguments(): void
{
    $wrong = [
        [], ['user:42'], ['unknown', 'x'], ['user:', 'x'], ['user:a,b', 'x'], ['user:42', ''], ['user:42', "\xff"], ['user:42', 'x', 'y'],
        ['--what', 'x'], ['--redis'], ['--redis', 'http://x', 'all', 'x'], ['--redis', 'redis://h', '--admin', 'http://h', 'all', 'x'],
        ['--admin', 'ftp://x', 'all', 'x'], ['--admin', 'unix:', 'all', 'x'], ['--admin', 'http:/x', 'all', 'x'], ['--json', 'no'], ['--json', '[]'], ['--json', '{"data":"x"}'], ['--json', '{"to":"you"}'],
        ['--json', '{"to":"all"}', 'all'], ['--admin', 'http://127.0.0.1:1', '--token', "a\r\nb", 'all', 'x'],
    ];
    foreach ($wrong as $arguments) {
        [$code, , $errors] = run([PHP_BINARY, dirname(__DIR__) . '/push.php', ...$arguments]);
        $what = json_encode($arguments, JSON_INVALID_UTF8_SUBSTITUTE);
        check($code === 2 && str_starts_with($errors, 'push: ') && !str_contains($errors, 'Warning'), "push refuses $what: $errors");
    }
    [$code, $output] = run([PHP_BINARY, dirname(__DIR__) . '/push.php', '--help']);
    check($code === 0 && str_starts_with($output, 'usage:'), 'push --help');
}

/** Without extensions (-n), push speaks Redis's protocol by itself. */
function pushOverRedis(): void
{
    $cases = [
        [['user:42', "h\u{f6}i there"], ":2\r\n", 0, "2 nodes\n", "*3\r\n$7\r\nPUBLISH\r\n$10\r\nws:user:42\r\n$10\r\nh\u{f6}i there\r\n"],
        [['--prefix', 'p:', 'all', 'x'], ":0\r\n", 1, "0 nodes\n", "*3\r\n$7\r\nPUBLISH\r\n$5\r\np:all\r\n$1\r\nx\r\n"],
        [['--json', '{"to":"all","data":{}}'], ":1\r\n", 0, "1 node\n", "*3\r\n$7\r\nPUBLISH\r\n$10\r\nws:command\r\n$22\r\n{\"to\":\"all\",\"data\":{}}\r\n"],
        [['all', 'x'], "-NOPERM no\r\n", 2, '', null],
        [['all', 'x'], '', 2, '', null],
    ];
    foreach ($cases as [$arguments, $answer, $code, $output, $sent]) {
        [$seen, $result] = withServer($answer, fn ($port) => [PHP_BINARY, '-n', dirname(__DIR__) . '/push.php', '--redis', "redis://127.0.0.1:$port/3", ...$arguments]);
        check($result[0] === $code && $result[1] === $output, 'push over Redis: ' . json_encode([$arguments, $result]));
        check($sent === null || $seen === $sent, 'what Redis got: ' . json_encode($seen));
    }
}

function pushOverAdmin(): void
{
    $cases = [
        [['user:42', 'hi'], "HTTP/1.0 200 OK\r\n\r\n{\"delivered\": 17}", 0, "17 connections\n", '{"to":"user:42","data":"hi"}'],
        [['user:42', 'hi'], "HTTP/1.0 200 OK\r\n\r\n{\"delivered\":0}", 1, "0 connections\n", null],
        [['all', 'hi'], "HTTP/1.0 401 Unauthorized\r\n\r\nno token", 2, '', null],
        [['--json', '{"to":"all","data":{}}'], "HTTP/1.0 200 OK\r\n\r\n{\"delivered\":1}", 0, "1 connection\n", '{"to":"all","data":{}}'],
    ];
    foreach ($cases as $i => [$arguments, $answer, $code, $output, $body]) {
        $scheme = $i % 2 === 0 ? 'http://' : '';
        [$seen, $result] = withServer($answer, fn ($port) => [PHP_BINARY, '-n', dirname(__DIR__) . '/push.php', '--admin', "{$scheme}127.0.0.1:$port", '--token', 's3cret', ...$arguments]);
        check($result[0] === $code && $result[1] === $output, 'push over the admin listener: ' . json_encode([$arguments, $result]));
        check(str_contains($seen, "\r\nAuthorization: Bearer s3cret\r\n") && str_contains($seen, "\r\nContent-Type: application/json\r\n"), 'with token and type');
        check($body === null || str_ends_with($seen, "\r\n\r\n$body"), 'what the listener got: ' . json_encode($seen));
    }
}

// -------------------------------------------------------------------- helpers

function check(bool $good, string $what): void
{
    global $passed, $failed;
    $good ? $passed++ : $failed++;
    $good || print "FAIL $what\n";
}

function throws(callable $f, string $class): bool
{
    try {
        $f();
    } catch (Throwable $e) {
        return $e instanceof $class;
    }
    return false;
}

function phpFiles(): array
{
    $files = [];
    foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator(dirname(__DIR__), FilesystemIterator::SKIP_DOTS)) as $file) {
        if ($file->getExtension() === 'php') {
            $files[] = $file->getPathname();
        }
    }
    sort($files);
    return $files;
}

/** A server for one connection: answers the first bytes received, and returns them. */
function withServer(string $answer, callable $command): array
{
    $server = stream_socket_server('tcp://127.0.0.1:0');
    $process = start($command((int) substr(strrchr(stream_socket_get_name($server, false), ':'), 1)));
    $client = stream_socket_accept($server, 10);
    $seen = fread($client, 65536);
    fwrite($client, $answer);
    fclose($client);
    return [$seen, finish($process)];
}

function start(array $command): array
{
    $process = proc_open($command, [0 => ['file', '/dev/null', 'r'], 1 => ['pipe', 'w'], 2 => ['pipe', 'w']], $pipes, null, ['PATH' => getenv('PATH')]);
    return [$process, $pipes];
}

/** Returns exit code, output and errors. */
function finish(array $started): array
{
    [$process, $pipes] = $started;
    $output = stream_get_contents($pipes[1]);
    $errors = stream_get_contents($pipes[2]);
    return [proc_close($process), $output, $errors];
}

/**
 * Prints the headers that the chat sends to a message of Ann, or to her page when it
 * connects with a query. PHP drops headers on the command line, so ws.php runs in a
 * namespace with a header() of its own.
 */
function chatEvent(string $event, string $folder, string $message): void
{
    session_save_path($folder);
    $_COOKIE = [session_name() => str_repeat('a', 32)];
    parse_str($event === 'connect' ? $message : '', $_GET);
    $_SERVER = ['WS_EVENT' => $event, 'WS_RESUME' => 'ok', 'WS_USER' => 'Ann', 'WS_STATE' => 'lobby', 'CHAT_DIR' => $folder] + $_SERVER;
    $GLOBALS['sent'] = [];
    $chat = dirname(__DIR__) . '/chat';
    $script = strtr(file_get_contents("$chat/ws.php"), [
        '<?php' => 'namespace Chat; use Store, Presence; function header(string $line): void { $GLOBALS["sent"][] = $line; }',
        'declare(strict_types=1);' => '',
        'require __DIR__' => 'require_once ' . var_export($chat, true), // its classes are here already
        "'php://input'" => var_export('data:,' . rawurlencode($message), true),
    ]);
    ob_start();
    eval($script);
    ob_end_clean();
    echo json_encode($GLOBALS['sent'], JSON_UNESCAPED_SLASHES);
}

function run(array $command): array
{
    return finish(start($command));
}

function remove(string $folder): void
{
    foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator($folder, FilesystemIterator::SKIP_DOTS), RecursiveIteratorIterator::CHILD_FIRST) as $file) {
        $file->isDir() ? rmdir($file->getPathname()) : unlink($file->getPathname());
    }
    rmdir($folder);
}
