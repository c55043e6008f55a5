<?php
// WordPress: its logged-in users may connect. Put this file outside of the
// web folder and say where WordPress is:
//
//   [[route]]
//   path   = "/ws/site"
//   script = "/srv/app/ws.php"
//   accept = "header"               # no client is accepted without WS-Accept
//   params = { WORDPRESS_DIR = "/var/www/html" }
//
// WordPress is loaded on connect only, since that takes far longer than all the
// rest. Messages go without it: the gateway brings the user's id and name on
// every event. Load it there too where you need posts or the database.
//
// From a plugin, to every tab of an author when a comment comes in:
//
//   add_action('comment_post', function ($id) {
//       $author = get_post(get_comment($id)->comment_post_ID)->post_author;
//       $redis = new Redis();
//       $redis->connect('127.0.0.1');
//       $redis->publish("ws:user:$author", 'A new comment');
//   });
//
// What to route: give your messages a "type" and branch on it below.

declare(strict_types=1);

isset($_SERVER['WS_EVENT']) or exit(http_response_code(404));

if ($_SERVER['WS_EVENT'] === 'message') {
    header('WS-Publish: channel:members');
    echo json_encode([
        'from' => rawurldecode($_SERVER['WS_STATE']),
        'text' => file_get_contents('php://input'),
    ], JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE);
    exit;
}
if ($_SERVER['WS_EVENT'] !== 'connect') {
    exit;
}

// WordPress is loaded here and not in a function: plugins expect its variables to be global.
define('WP_USE_THEMES', false);
define('DONOTCACHEPAGE', true);    // for cache plugins: this is not a page
// No cron run on the back of a handshake: by a hook, since wp-config.php may define DISABLE_WP_CRON itself.
$wp_filter = ['muplugins_loaded' => [10 => [['function' => fn () => remove_action('init', 'wp_cron'), 'accepted_args' => 0]]]];
require $_SERVER['WORDPRESS_DIR'] . '/wp-load.php';

if (!is_user_logged_in()) {
    status_header(401);
    exit('log in first');
}
$user = wp_get_current_user();
header("WS-User: $user->ID");
header('WS-Join: members');
// A display name is free text and a header is not: percent-encoding makes it fit.
header('WS-State: ' . rawurlencode($user->display_name));
header('WS-Accept: 1');
echo json_encode(['hello' => $user->display_name]);
