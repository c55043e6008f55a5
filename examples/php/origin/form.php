<?php
// The handler of 2017: nginx and Lua held the socket and turned every frame
// into a form POST; the script answered with echo. It runs here unchanged:
// no connect and no disconnect event, the client's "name=Ann&n=2" in $_POST,
// the query string of the socket's URL in $_GET, cookies in $_COOKIE.
//
//   events       = ["message"]
//   public       = true            # every client is accepted
//   content_type = "application/x-www-form-urlencoded"
//
// The next line is the only new one. It answers 404 when the script is opened as a
// web page.
isset($_SERVER['WS_EVENT']) or exit(http_response_code(404));

$name = trim($_POST['name'] ?? '');
$n = filter_var($_POST['n'] ?? '1', FILTER_VALIDATE_INT, ['options' => ['min_range' => 1, 'max_range' => 10]]);

if ($name === '' || $n === false) {
    exit('error=' . rawurlencode('send name=…&n=1 to 10'));
}
echo http_build_query(['greeting' => str_repeat("Hello $name! ", $n), 'from' => $_GET['page'] ?? 'nowhere']);
