<?php // Pushes from the shell: WSFPM_REDIS_URL=redis://127.0.0.1:PORT php push.php channel:lobby 'Tea is ready'
// `wsfpm dev` prints its URL. With PHP's Redis extension this is $redis->publish("ws:$to", $data).
PHP_SAPI === 'cli' or exit(http_response_code(404));
[$to, $text] = array_slice($argv, 1) + ['channel:lobby', 'Hello from PHP'];
$url = parse_url(getenv('WSFPM_REDIS_URL') ?: 'redis://127.0.0.1:6379');
$redis = stream_socket_client("tcp://$url[host]:$url[port]") or exit(2);
$words = ['PUBLISH', "ws:$to", json_encode(['text' => $text])];
fwrite($redis, '*' . count($words) . "\r\n" . implode('', array_map(fn($w) => '$' . strlen($w) . "\r\n$w\r\n", $words)));
echo trim(fgets($redis), ":\r\n"), " node(s)\n";
